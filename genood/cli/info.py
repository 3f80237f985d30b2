"""Show what a bundle is and where it comes from."""

from __future__ import annotations

import json

import click

from genood.cli.examples import examples
from genood.cli.options import logging_options


@click.command("info", epilog=examples("genood info bundle", "genood info"))
@click.argument("bundle", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print the metadata as JSON.")
@logging_options
def command(bundle: str | None, as_json: bool) -> None:
    """Show a bundle's model card, or its metadata with --json; its files are checked.

    Without BUNDLE, that of the one that comes with genood, and where it is.
    """
    from genood.bundles.shipped import DEFAULT_BUNDLE, check_default
    from genood.ensemble import load_bundle

    if bundle is None:
        check_default()
    loaded = load_bundle(DEFAULT_BUNDLE if bundle is None else bundle)
    if as_json:
        click.echo(json.dumps({**loaded.metadata, "fingerprint": loaded.fingerprint}, indent=2))
    else:
        where = f"Directory: {DEFAULT_BUNDLE}\n" if bundle is None else ""
        click.echo(f"{loaded.card}\n{where}Fingerprint: {loaded.fingerprint}")
