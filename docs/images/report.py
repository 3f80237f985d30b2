"""Make report.png: the head of a report of the demo's reads, as a browser shows it.

Usage, in the repository's root: python docs/images/report.py [FILE]

Needs genood with its extras report and test, Pillow, and a Chromium.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parents[2]
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
WIDTH, HEIGHT, SCALE = 1200, 1010, 2
COLOURS = 128
"""Enough for a page of few; the file is a third of what it would be."""


def write_page(folder: Path) -> Path:
    """The report of the demo's in-distribution and foreign reads together."""
    examples = ROOT / "examples"
    genomes = sorted((examples / "genomes").glob("*.fna.gz"))
    reads = [examples / "reads" / f"{side}.fasta.gz" for side in ("in", "ood")]
    for command in (
        ["train", *genomes, "-o", folder / "bundle", "--model", "context"],
        [
            "score",
            "-m",
            folder / "bundle",
            *reads,
            "-o",
            folder / "demo.tsv",
            "--report",
            folder / "page.html",
        ],
    ):
        subprocess.run([sys.executable, "-m", "genood", *map(str, command), "-q"], check=True)
    return folder / "page.html"


def picture_of(page_file: Path) -> Image.Image:
    """The head of a page, light, at twice the pixels."""
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as started:
        browser = started.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(
            viewport={"width": WIDTH, "height": HEIGHT}, device_scale_factor=SCALE, color_scheme="light"
        )
        page.goto(page_file.as_uri())
        page.wait_for_function("document.querySelectorAll('.chart svg').length >= 5")
        picture = Image.open(io.BytesIO(page.screenshot()))
        picture.load()
        browser.close()
    return picture


def main() -> None:
    """Write the picture."""
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).with_name("report.png")
    with tempfile.TemporaryDirectory() as folder:
        picture = picture_of(write_page(Path(folder)))
    picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE).save(target, optimize=True)
    print(f"{target}: {picture.width} x {picture.height} pixels, {target.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
