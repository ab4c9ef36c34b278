"""The grading is right: solutions pass, right answers of other kinds pass, wrong ones are told what is wrong."""

import re

import nbformat
import pytest
from conftest import ROOT

COURSE = ROOT / "notebooks" / "assignments"
SOURCES = sorted(COURSE.glob("source/*/*.ipynb"))
EACH = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.parent.name)


def tasks(path):
    """The code cells of an assignment by task: {grade_id: (cells before it, solution, tests)}, in order."""
    before, found, task = [], {}, None
    for cell in (cell for cell in nbformat.read(path, 4).cells if cell.cell_type == "code"):
        about = cell.metadata.get("nbgrader", {})
        if about.get("solution"):
            task = about["grade_id"]
            found[task], before = (before, cell.source, []), []
        elif about.get("grade"):
            found[task][2].append(cell.source)
        else:
            before.append(cell.source)
    return found


def answers(assignment):
    """What students hand in: (task, "right" or "wrong", words, code); wrong ones with the words that they shall be told."""
    text = (ROOT / "tests" / "answers" / f"{assignment}.py").read_text(encoding="utf-8")
    return [(*re.match(r"(\S+) (right|wrong): (.+)", block).groups(), block.partition("\n")[2])
            for block in text.split("# %% ")[1:]]


def run(sources, names):
    for source in sources:
        exec(compile(source, "<cell>", "exec"), names)


@EACH
def test_right_and_wrong_answers(path, monkeypatch):
    """Task by task in one process, each answer among the solutions of the tasks before: all answers, then all complaints."""
    monkeypatch.setenv("DDLITE_TEACHERS_SEED", "7")
    given, names, complaints = answers(path.parent.name), {}, []
    for task, (before, solution, tests) in tasks(path).items():
        run(before, names)
        kept = dict(names)
        for _, kind, words, code in (answer for answer in given if answer[0] == task):
            said = None
            try:
                run([code, *tests], names)
            except Exception as error:
                said = f"{type(error).__name__}: {error}"
            if kind == "right" and said or kind == "wrong" and not (said and "AssertionError" in said and words in said):
                complaints.append(f"{task}, {kind} ({words}): {said or 'accepted'}")
            names.clear()
            names.update(kept)
        run([solution, *tests], names)
    assert not complaints, "\n".join(complaints)
    kinds = [(task, kind) for task, kind, _, _ in given]
    assert sum(kind == "wrong" for _, kind in kinds) >= 20 and {task for task, _ in kinds} == set(tasks(path))
    assert all(kinds.count((task, "right")) >= 3 for task in tasks(path))
