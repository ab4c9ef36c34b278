"""The site's pages, from what the project has: notebooks as they are stored, Markdown, docstrings."""

import json
import re
from pathlib import Path, PurePosixPath

import ddlite as dd

ROOT = Path(__file__).resolve().parent.parent
LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s]+)\)")


def sources():
    """What becomes a page: notebooks and their Markdown, but not the assignments. {path within the project: Path}"""
    patterns = ("*.ipynb", "*.md", "gallery/*.ipynb", "gallery/*.md")
    found = [path for pattern in patterns for path in (ROOT / "notebooks").glob(pattern)]
    return {path.relative_to(ROOT).as_posix(): path for path in sorted(found)}


def stage(folder, repository):
    """Write all pages but the site's own into a folder; the names of pages for the sidebar, {caption: [page]}.

    `repository` is the project's address, or empty: then there are no links to Colab and Binder.
    """
    pages = sources()
    for name, path in pages.items():
        text = path.read_text(encoding="utf-8")
        made = notebook(json.loads(text), name, repository) if path.suffix == ".ipynb" else markdown(text, name)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(made, encoding="utf-8")
    readme = (ROOT / "README.md").read_text(encoding="utf-8").replace("# ddlite\n", "# The package\n", 1)
    (folder / "about.md").write_text(relinked(readme, "README.md"), encoding="utf-8")
    (folder / "api.md").write_text(reference(), encoding="utf-8")
    notebooks = [name for name in pages if name.endswith(".ipynb")]
    lessons = [name for name in notebooks if re.match(r"notebooks/\d", name)]
    gallery = [name for name in pages if "/gallery/" in name]
    others = [name for name in pages if name not in lessons and name not in gallery]
    return {"Lessons": lessons, "Later ideas": [*gallery, "kernel.md"], "Reference": [*others, "api.md", "about.md"]}


def notebook(book, name, repository):
    """A notebook, with the words of its pictures where the site reads them, and a line under its title to take it along."""
    for cell in book["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            cell["source"] = relinked(source, name)
        for output in cell.get("outputs", []):
            if words := output.get("metadata", {}).get("image/png", {}).get("alt"):
                cell["metadata"]["mystnb"] = {"image": {"alt": words}}
            if "data:image/png" in "".join(output.get("data", {}).get("text/html", "")):
                output["data"].pop("image/png", None)  # the same picture once more, for readers that show no HTML
        if source.startswith(("Markdown(tables.", "import dots", "dots.")):  # what makes a table says nothing to a reader
            cell["metadata"].setdefault("tags", []).append("remove-input")
    first = next(cell for cell in book["cells"] if cell["cell_type"] == "markdown")
    title, _, rest = first["source"].partition("\n")
    ways = [f"{{download}}`Download it <{PurePosixPath(name).name}>` to run it"]
    if repository:
        where = repository.removeprefix("https://github.com/").rstrip("/")
        ways += [f"[open it in Colab](https://colab.research.google.com/github/{where}/blob/main/{name})",
                 f"[open it in Binder](https://mybinder.org/v2/gh/{where}/main?urlpath=lab/tree/student/{PurePosixPath(name).relative_to('notebooks')})"]
    words = f"This is a notebook, with its results as they are stored. {', '.join(ways)}."
    panels = ("live.", "slides.Slides", "sortable.Sortable")
    if any(word in "".join(cell["source"]) for cell in book["cells"] for word in panels):
        words += " Where it has sliders or buttons, this page has a still picture: [play on the first page](/index.md)."
    first["source"] = f"{title}\n\n{{.take-along}}\n{words}\n{rest}"
    return json.dumps(book)


def markdown(text, name):
    """A page of Markdown whose headings go down one level at a time."""
    if "\n## " not in text:
        text = re.sub(r"^###", "##", text, flags=re.MULTILINE)
    return relinked(text, name)


def relinked(text, name):
    """Links to files, turned into links to the site's pages; what is not on the site loses its link."""
    def place(found):
        words, target = found[1], found[2]
        if re.match(r"[a-z]+:|#", target):
            return found[0]
        path, _, spot = target.partition("#")
        parts = []
        for part in (PurePosixPath(name).parent / path).parts:
            parts = parts[:-1] if part == ".." else [*parts, part]
        path = "/".join(parts)
        if path in sources() or path == "README.md":
            return f"[{words}](/{'about.md' if path == 'README.md' else path}{'#' + spot if spot else ''})"
        module = path.removesuffix(".py").replace("/", ".")
        if path.endswith(".py") and module in documented():
            return f"[{words}](#module-{module})"
        return words

    return LINK.sub(place, text)


def documented():
    """The modules of the API reference, in the order of reading: {module: [its public names in ddlite]}."""
    first = ["unroll", "distilled", "distill", "starts", "goals", "data", "evaluate", "networks"]
    found = {f"ddlite.{name}": [] for name in first}
    for name in dd.__all__:
        thing = getattr(dd, name)
        module = getattr(thing, "__module__", None)  # a module has none
        if module is None:
            found.setdefault(thing.__name__, [])
        else:
            found.setdefault(module, []).append(name)
    for path in sorted((ROOT / "ddlite" / "gallery").glob("[a-z]*.py")):
        found.setdefault(f"ddlite.gallery.{path.stem}", [])
    return found


def reference():
    """The API reference: each module with what it says of itself, and its public names."""
    lines = ["# API reference", "", "What `import ddlite as dd` brings, by file, in an order to read it in.", ""]
    for module, names in documented().items():
        lines += [f"(module-{module})=", f"## {module}", "", "```{eval-rst}", f".. automodule:: {module}",
                  *(["   :no-members:", "   :no-index:"] if names else []), ""]
        for name in names:
            thing = getattr(dd, name)
            kind = "function"
            if isinstance(thing, type):
                kind = "exception" if issubclass(thing, BaseException) else "class"
            network = hasattr(thing, "forward")  # whose methods are PyTorch's
            lines += [f".. auto{kind}:: ddlite.{name}", *(["   :no-members:"] if network else []), ""]
        lines += ["```", ""]
    return "\n".join(lines)
