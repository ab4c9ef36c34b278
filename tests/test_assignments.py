"""The grading is right: solutions pass, right answers of other kinds pass, wrong ones are told what is wrong."""

import re
import sys

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
            if (kind == "right" and said) or (kind == "wrong" and not (said and "AssertionError" in said and words in said)):
                complaints.append(f"{task}, {kind} ({words}): {said or 'accepted'}")
            names.clear()
            names.update(kept)
        run([solution, *tests], names)
    assert not complaints, "\n".join(complaints)
    kinds = [(task, kind) for task, kind, _, _ in given]
    assert sum(kind == "wrong" for _, kind in kinds) >= 20 and {task for task, _ in kinds} == set(tasks(path))
    assert all(kinds.count((task, "right")) >= 3 for task in tasks(path))


@EACH
def test_the_student_copy_fails_exactly_at_the_graded_cells(path, capsys):
    released, names, failed, graded = nbformat.read(COURSE / "release" / path.parent.name / path.name, 4), {}, [], []
    for cell in (cell for cell in released.cells if cell.cell_type == "code"):
        about = cell.metadata.nbgrader
        try:
            run([cell.source], names)
        except Exception:
            failed.append(about.grade_id)
        if about.grade:
            graded.append(about.grade_id)
    assert failed == graded == [task + "-test" for task in tasks(path)]


@EACH
def test_the_student_copy_is_made_from_the_source(path):
    """Cell for cell what nbgrader makes of the source now, but for the pictures, which take a run to make."""
    pytest.importorskip("nbgrader", reason="nbgrader is not installed: pip install 'ddlite[course]'")
    sys.path.insert(0, str(COURSE))
    from release import PICTURE, student_copy

    made, stored = student_copy(nbformat.read(path, 4), {}), nbformat.read(COURSE / "release" / path.parent.name / path.name, 4)
    assert [cell.source.split(PICTURE)[0] for cell in stored.cells] == [cell.source for cell in made.cells]
    assert [cell.metadata for cell in stored.cells] == [cell.metadata for cell in made.cells]
    text = nbformat.writes(stored)
    assert "image/png" in text and not re.search("(BEGIN|END) (SOLUTION|HIDDEN|MARK)", text)
    assert not any(cell.get("outputs") for cell in stored.cells)


@EACH
def test_what_a_task_says(path):
    """Title, difficulty, minutes, points that add up; one question to be marked by hand, with its mark scheme."""
    notebook = nbformat.read(path, 4)
    heads = [re.match(r"## Task \d · .+ \((easy|medium|hard|a question), (\d+) minutes, (\d+) points\)", cell.source)
             for cell in notebook.cells if cell.cell_type == "markdown" and cell.source.startswith("## Task")]
    graded = [cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade")]
    assert all(heads) and [int(head[3]) for head in heads] == [cell.metadata.nbgrader.points for cell in graded]
    assert all("is right" in str(cell.outputs) for cell in graded if cell.cell_type == "code"), "run `make assignments`"
    assert all(set(cell.metadata) <= {"nbgrader"} for cell in notebook.cells), "time stamps, or what only one tool reads"
    open_question = graded[-1]
    assert open_question.metadata.nbgrader.solution and "=== BEGIN MARK SCHEME ===" in open_question.source
    code = [line for cell in notebook.cells if cell.cell_type == "code" for line in cell.source.splitlines()]
    assert max(map(len, code)) <= 100
