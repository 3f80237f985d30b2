"""Show what a bundle is and where it comes from."""

from __future__ import annotations

import json

import click

from genood.cli.examples import examples
from genood.cli.options import logging_options


@click.command("info", no_args_is_help=True, epilog=examples("genood info bundle"))
@click.argument("bundle")
@click.option("--json", "as_json", is_flag=True, help="Print the metadata as JSON.")
@logging_options
def command(bundle: str, as_json: bool) -> None:
    """Show a bundle's model card, or its metadata with --json; its files are checked."""
    from genood.ensemble import load_bundle

    loaded = load_bundle(bundle)
    if as_json:
        click.echo(json.dumps({**loaded.metadata, "fingerprint": loaded.fingerprint}, indent=2))
    else:
        click.echo(f"{loaded.card}\nFingerprint: {loaded.fingerprint}")
