"""A student's folder: the lessons without their outputs, the assignments, and what the lessons link to.

    python notebooks/classroom.py FOLDER      what is there already is left as it is: a student's work is never lost
"""

import json
import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent


def unanswered(book):
    """A lesson without any output, so that no answer stands below a question, and without links to what teachers read."""
    for cell in book["cells"]:
        cell["source"] = [re.sub(r"\[([^\]]+)\]\((?:\.\./)?MARKING[^)]*\)", r"\1", line) for line in cell["source"]]
        if cell["cell_type"] == "code":
            cell["outputs"], cell["execution_count"] = [], None
    return book


def to_read(book):
    """The page of results without its code, which needs files that no student needs."""
    shown = [cell for cell in book["cells"] if cell["cell_type"] == "markdown"
             or any("text/markdown" in output.get("data", {}) for output in cell["outputs"])]
    for cell in shown:
        if cell["cell_type"] == "code":
            cell["source"] = [line for output in cell["outputs"] for line in output["data"]["text/markdown"]]
            cell["cell_type"] = "markdown"
            del cell["outputs"], cell["execution_count"]
    return {**book, "cells": shown}


def fill(folder):
    """Write the folder, and return how many files are new."""
    lessons = [*HERE.glob("[0-9]*.ipynb"), *HERE.glob("gallery/*.ipynb")]
    released = sorted((HERE / "assignments" / "release").glob("*/*.ipynb"))
    books = {path.relative_to(HERE): unanswered for path in lessons} | {Path("results.ipynb"): to_read}
    files = {name: json.dumps(change(json.loads((HERE / name).read_text(encoding="utf-8"))), indent=1, ensure_ascii=False)
             for name, change in books.items()}
    files |= {path.relative_to(HERE): path.read_text(encoding="utf-8") for path in (HERE / "pictures").glob("*.svg")}
    files |= {Path("assignments") / path.name: path.read_text(encoding="utf-8") for path in released}
    glossary = (HERE / "GLOSSARY.md").read_text(encoding="utf-8")
    files[Path("GLOSSARY.md")] = re.sub(r"\[([^\]]+)\]\((?:\.\./|TEACHING)[^)]*\)", r"\1", glossary)
    new = [name for name in files if not (folder / name).exists()]
    for name in new:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(files[name], encoding="utf-8")
    return len(new)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    number = fill(Path(sys.argv[1]))
    print(f"{sys.argv[1]}: new files: {number}. Open {sys.argv[1]}/01_fixed_initialization.ipynb first.")
