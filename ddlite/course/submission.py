"""What students hand in: files that may be damaged, copied, or made to harm. Nothing in them is trusted."""

import json
import os
import re
import stat
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import nbformat

LARGEST = 20 * 2**20  # bytes of a notebook: pictures included, an honest one has one or two million
PLACEHOLDER = "YOUR ANSWER HERE"
UNUSUAL = re.compile(r"\b(_getframe|f_back|f_locals|currentframe|settrace|setprofile|get_referrers|get_objects|__closure__|"
                     r"__code__|__subclasses__|cell_contents|get_ipython|importlib|getsource|teachers_seed|ctypes|addaudithook|"
                     r"sys\.modules)\b")


@dataclass(frozen=True)
class Assignment:
    """A teacher's notebook: its name, the notebook, {graded cell: points}, {check: the answer's cell before it}."""

    name: str
    notebook: object
    worth: dict
    answers: dict

    @property
    def ids(self):
        return {id_of(cell): cell for cell in self.notebook.cells if id_of(cell)}


def assignments(source):
    """All assignments below a folder: NAME/anything.ipynb. Raises ValueError for a notebook that is none."""
    found = []
    for path in sorted(Path(source).glob("*/*.ipynb")):
        try:
            notebook = nbformat.read(path, 4)
        except Exception as cause:
            raise ValueError(f"{path} is no notebook that can be read: {cause}") from cause
        worth, answers, answer = {}, {}, None
        for cell in notebook.cells:
            about = cell.metadata.get("nbgrader", {})
            if about.get("grade"):
                worth[about["grade_id"]] = about["points"]
                if cell.cell_type == "code" and answer:
                    answers[about["grade_id"]] = answer
            if about.get("solution"):
                answer = about["grade_id"]
        found.append(Assignment(path.parent.name, notebook, worth, answers))
    return found


def id_of(cell):
    """The grade id of a cell; None if it has none, or something else in its place."""
    about = cell.get("metadata") if isinstance(cell, dict) else None
    about = about.get("nbgrader") if isinstance(about, dict) else None
    name = about.get("grade_id") if isinstance(about, dict) else None
    return name if isinstance(name, str) else None


def read(path):
    """The cells of a file: a list of dicts with `cell_type`, `source` and `id`, and nothing else of it.

    Raises ValueError, in words for its author, for a link, anything but a file, a file that is too large or is no notebook.
    """
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            raise ValueError("This is a link or something else, not a file: hand in the notebook itself.")
        with open(os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise ValueError("This is no file: hand in the notebook itself.")
            content = file.read(LARGEST + 1)
    except OSError as cause:
        raise ValueError(f"It cannot be read: {cause.strerror}.") from cause
    if len(content) > LARGEST:
        raise ValueError(f"This file has more than {LARGEST // 2**20} MiB: clear the outputs, and hand it in again.")
    try:
        cells = json.loads(content)["cells"]
        made = [{"cell_type": cell["cell_type"], "id": id_of(cell),
                 "source": cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])} for cell in cells]
        if not all(one["cell_type"] in ("code", "markdown", "raw") for one in made):
            raise ValueError
        "".join(one["source"] for one in made).encode()
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, MemoryError) as cause:
        raise ValueError("This is no notebook: the file is damaged, or another one.") from cause
    return made


def which(cells, known):
    """The assignment that most of the cells belong to, or None."""
    counts = {one.name: sum(cell["id"] in one.worth or cell["id"] in one.ids for cell in cells) for one in known}
    best = max(known, key=lambda one: counts[one.name], default=None)
    return best if best and counts[best.name] else None


def unusual(cells, assignment):
    """Words in a student's cells that no task asks for, and that look into the checks or change them: for a person to judge."""
    own = [cell["source"] for cell in cells if cell["cell_type"] == "code" and (
        cell["id"] not in assignment.ids or assignment.ids[cell["id"]].metadata.nbgrader.get("solution"))]
    return sorted({word for source in own for word in UNUSUAL.findall(source)})


def merged(cells, assignment):
    """A notebook to run: the student's cells, with the teacher's own in place of what students may not change.

    Returns it and a list of notes. Missing cells are put in; of cells that were copied, the checks run once.
    """
    teachers, notes = assignment.ids, []
    counts = Counter(cell["id"] for cell in cells if cell["id"] in teachers)
    notes += [f"{counts[name]} cells are {name}: delete the copies (all were run, from top to bottom)" for name in counts
              if counts[name] > 1 and teachers[name].metadata.nbgrader.get("solution")]
    made, seen = [], set()

    def runs_at(check):
        """Of copies of a check the first after its answer."""
        copies, answer = ([k for k, cell in enumerate(cells) if cell["id"] == name is not None]
                          for name in (check, assignment.answers.get(check)))
        return next((k for k in copies if k > max(answer, default=-1)), copies[-1])

    for k, cell in enumerate(cells):
        name = cell["id"] if cell["id"] in teachers else None
        own = teachers.get(name)
        last = name and sum(one["id"] == name for one in cells) == 1 + sum(one.metadata.get("copy_of") == name for one in made)
        if own is not None and not own.metadata.nbgrader.get("solution"):
            if k == runs_at(name):
                made.append(_copy(own, own.source))
        elif own is not None:
            made.append(_copy(own, cell["source"]))
            if not last:  # an earlier copy: it runs, but is not what is marked
                made[-1].metadata = nbformat.from_dict({"copy_of": name})
        else:
            more = {"outputs": [], "execution_count": None} if cell["cell_type"] == "code" else {}
            made.append(nbformat.from_dict({"cell_type": cell["cell_type"], "source": cell["source"], "metadata": {}, **more}))
        seen.add(name)
    order = [id_of(cell) for cell in assignment.notebook.cells if id_of(cell)]
    for position, name in enumerate(order):
        if name not in seen:
            notes.append(f"the cell {name} is missing")
            after = {id_of(cell): k for k, cell in enumerate(made)}
            place = max((after[one] + 1 for one in order[:position] if one in after), default=0)
            own = teachers[name]
            made.insert(place, _copy(own, "" if own.metadata.nbgrader.get("solution") else own.source))
    notebook = nbformat.v4.new_notebook(metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    for k, cell in enumerate(made):
        cell.id = f"cell-{k}"
        notebook.cells.append(cell)
    return notebook, notes


def _copy(own, source):
    made = nbformat.from_dict({"cell_type": own.cell_type, "metadata": {"nbgrader": dict(own.metadata.nbgrader)},
                               "source": source})
    if own.cell_type == "code":
        made.outputs, made.execution_count = [], None
    return made
