"""Make the student copies (release/) from the teacher's notebooks (source/), and store what these show: `make assignments`.

Solutions, hidden tests and mark schemes are taken out by nbgrader's own preprocessors; the pictures that a right answer
shows are put under its task. Never edit a student copy by hand.
"""

import base64
import shutil
import sys
from pathlib import Path

import nbformat
from nbgrader.preprocessors import (
    CheckCellMetadata,
    ClearHiddenTests,
    ClearMarkScheme,
    ClearOutput,
    ClearSolutions,
    ComputeChecksums,
    LockCells,
)

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))
from execute import BUILD, TEACHING, execute, note, tidy, with_tables

from ddlite.machinery.files import write_bytes

SOURCES = sorted(HERE.glob("source/*/*.ipynb"))
PICTURE = "\n\nA right answer shows:\n\n"


def student_copy(source, pictures):
    """A source notebook as students get it, a new one.

    Args:
        source: the notebook, as nbformat reads it.
        pictures: {grade id of a test: (words, PNG in base64)}, from a run of the solutions.
    """
    notebook = nbformat.from_dict(source)
    for step in (LockCells, ClearSolutions, ClearOutput, CheckCellMetadata, ClearHiddenTests, ClearMarkScheme,
                 ComputeChecksums):
        notebook, _ = step().preprocess(notebook, {})
    text = None
    for cell in notebook.cells:
        if cell.cell_type == "markdown" and "nbgrader" not in cell.metadata:
            text = cell  # the words of the task that the next test belongs to
        elif cell.cell_type == "code" and cell.metadata.nbgrader.grade:
            cell.metadata["jupyter"] = {"source_hidden": True}  # a check is long, and says how the answer is found
        if (name := cell.metadata.get("nbgrader", {}).get("grade_id")) in pictures:
            words, png = pictures[name]
            text.source += f"{PICTURE}![{words}](attachment:{name}.png)"
            text["attachments"] = {f"{name}.png": {"image/png": png}}
    return notebook


def pictures(executed):
    """The pictures that the tests of an executed source show: {grade id: (words, PNG in base64)}."""
    found = {}
    for cell in executed.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}) and cell.metadata.get("nbgrader", {}).get("grade"):
                words = output.metadata.get("image/png", {}).get("alt") or output.data.get("text/plain", "")
                png = base64.b64encode(base64.b64decode(output.data["image/png"])).decode()
                found[cell.metadata.nbgrader.grade_id] = (" ".join(words.split()), png)
    return found


def main():
    for path in SOURCES:
        executed, *cost = execute(path, BUILD / path.name)
        note(path, "solved", executed, *cost)
        shown = pictures(executed)
        write_bytes(path, nbformat.writes(tidy(executed)).encode() + b"\n")  # teachers see what a right answer shows
        copy = student_copy(nbformat.read(path, 4), shown)
        write_bytes(HERE / "release" / path.parent.name / path.name, nbformat.writes(copy).encode() + b"\n")
        for other in sorted((HERE / "release" / path.parent.name).iterdir()):
            if other.name != path.name:  # renamed or removed in the source
                shutil.rmtree(other) if other.is_dir() else other.unlink()
    write_bytes(TEACHING, with_tables(TEACHING.read_text(encoding="utf-8")).encode())


if __name__ == "__main__":
    main()
