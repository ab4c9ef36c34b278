"""Build the site into build/site/ (`python make.py site`): its pages, the playground, and ddlite/assets/play.html.

Offline, from what is installed; notebooks are shown as they are stored. A broken link, or a warning, ends it.
"""

import shutil
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import check
import playground
import stage

HERE, ROOT = Path(__file__).resolve().parent, stage.ROOT
STAGED, SITE, KEPT = ROOT / "build" / "site-pages", ROOT / "build" / "site", ROOT / "ddlite" / "assets" / "play.html"


def build(out=SITE):
    """The whole site, into a folder that it replaces."""
    shutil.rmtree(STAGED, ignore_errors=True)
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(HERE / "pages", STAGED)
    repository = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ddlite"]["repository"]
    tree = stage.stage(STAGED, repository)
    shutil.copytree(ROOT / "notebooks" / "pictures", STAGED / "notebooks" / "pictures")
    trees = "\n\n".join("\n".join(["```{toctree}", ":hidden:", f":caption: {caption}", *names, "```"])
                        for caption, names in tree.items())
    fill(STAGED / "index.md", TREE=trees, FIRST=tree["Lessons"][0])
    fill(STAGED / "_templates" / "page.html", LICENCES=playground.LICENCES)
    playground_pieces()
    playground.favicon(STAGED / "_static" / "favicon.png")
    made = subprocess.run([sys.executable, "-m", "sphinx", "--builder", "html", "--quiet", "--fail-on-warning", "--keep-going",
                           "--doctree-dir", STAGED / "_doctrees", STAGED, out], check=False)
    if made.returncode:
        sys.exit("The site was not built: see Sphinx's words above.")
    polish(out)
    if faults := check.faults(out):
        sys.exit("\n".join(["The site has faults:", *faults]))


def polish(out):
    """What the theme forgets for those who read with their ears or the keyboard."""
    for path in out.rglob("*.html"):
        fill(path, **{'<p class="caption" role="heading">': '<p class="caption" role="heading" aria-level="2">',
                      '<aside class="sidebar-drawer">': '<aside class="sidebar-drawer" aria-label="All pages">',
                      "<pre>": '<pre tabindex="0">',  # what scrolls sideways
                      '<div class="table-wrapper': '<div tabindex="0" class="table-wrapper'})


def playground_pieces():
    """The playground's pages as fragments, with scripts and styles beside them, and as one file."""
    (STAGED / "fragments").mkdir()
    (STAGED / "_extra").mkdir()
    shutil.copy(HERE / "play" / "page.css", STAGED / "_static")
    for name in playground.PAGES:
        (STAGED / "_static" / f"{name}.js").write_text(playground.script(name), encoding="utf-8")
        (STAGED / "fragments" / f"{name}.html").write_text(
            f'<link rel="stylesheet" href="_static/page.css">\n<div class="play">\n{playground.fragment(name)}</div>\n'
            f'<script src="_static/{name}.js" defer></script>\n', encoding="utf-8")
    (STAGED / "_extra" / "play.html").write_text(playground.page(), encoding="utf-8")


def fill(path, **values):
    text = path.read_text(encoding="utf-8")
    for name, value in values.items():
        text = text.replace(name, value)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    began = time.monotonic()
    build()
    shutil.copy(SITE / "play.html", KEPT)
    size = sum(path.stat().st_size for path in SITE.rglob("*") if path.is_file())
    print(f"{SITE / 'index.html'}: {size / 2**20:.1f} MiB, made in {time.monotonic() - began:.0f} s")
