"""`ddlite play`: ten learned images teach a network in the browser, from one file that ships; nothing is served or fetched."""

import webbrowser
from pathlib import Path

PAGE = Path(__file__).parent.parent / "assets" / "play.html"


def play():
    """Open the page, and say where it lies: it can be kept, or sent on."""
    if not PAGE.is_file():
        raise ValueError(f"{PAGE} is not there: `python make.py site` in the project's folder makes it.")
    opened = webbrowser.open(PAGE.as_uri())
    print(PAGE if opened else f"No browser was found. Open this file in one: {PAGE}")
