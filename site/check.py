"""What is wrong with the site's pages: links that lead nowhere, what would be fetched from elsewhere, pictures in no words."""

from pathlib import Path
from urllib.parse import unquote, urldefrag, urlsplit

from bs4 import BeautifulSoup


def faults(folder):
    """A list of sentences, empty if all is well."""
    folder = Path(folder).resolve()
    pages = {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in sorted(folder.rglob("*.html"))}
    places = {path: {tag["id"] for tag in page.find_all(id=True)} for path, page in pages.items()}
    found = []
    for path, page in pages.items():
        for tag in page.find_all(True):
            for link in filter(None, (tag.get(name) for name in ("href", "src", "poster", "data"))):
                if words := fault(tag, link, path, places):
                    found.append(f"{path.relative_to(folder)}: {link} {words}")
            if tag.name == "img" and (not tag.get("alt", "").strip() or tag["alt"].endswith((".png", ".svg"))):
                found.append(f"{path.relative_to(folder)}: a picture without words, {tag.get('src', '')[:60]}")
    return sorted(set(found))


def fault(tag, link, path, places):
    """What is wrong with one link, in words, or None."""
    if link.startswith(("data:", "mailto:")):
        return None
    if urlsplit(link).scheme or link.startswith("//"):
        return None if tag.name == "a" else "would be fetched from elsewhere"
    file, place = urldefrag(link)
    target = (path.parent / unquote(file.split("?")[0])).resolve() if file else path
    if target.is_dir():
        target /= "index.html"
    if not target.exists():
        return "leads to no file"
    if place and target in places and unquote(place) not in places[target]:
        return "leads to no such place on its page"
    return None
