"""The grading is right: solutions pass, right answers of other kinds pass, wrong ones are told what is wrong."""

import re
import sys

import nbformat
import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tests" / "answers"))
import try_all

COURSE = ROOT / "notebooks" / "assignments"
SOURCES = sorted(COURSE.glob("source/*/*.ipynb"))
EACH = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.parent.name)


def run(sources, names):
    for source in sources:
        exec(compile(source, "<cell>", "exec"), names)


@EACH
def test_right_and_wrong_answers(path):
    """Task by task in one process, under two teacher's seeds (more: `python tests/answers/try_all.py --seeds 50`)."""
    results = list(try_all.tried(path, (7, 23)))
    assert not (found := list(try_all.complaints(results))), "\n".join(found)
    kinds = [(task, kind) for task, kind, *_ in results]
    assert {task for task, _ in kinds} == set(try_all.tasks(path))
    assert all(kinds.count((task, "right")) >= 3 for task in try_all.tasks(path))


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
    assert failed == graded == [task + "-test" for task in try_all.tasks(path)]


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
    code = [cell.source.splitlines() for cell in notebook.cells if cell.cell_type == "code"]
    assert max(len(line) for lines in code for line in lines) <= 100
    assert max(map(len, code)) <= 30
