"""The grading is right: solutions pass, right answers of other kinds pass, wrong ones are told what is wrong."""

import contextlib
import copy
import functools
import itertools
import multiprocessing
import re
import statistics
import sys
import warnings
from concurrent import futures

import nbformat
import pytest
import torch
from conftest import ROOT

import ddlite as dd
from ddlite import course
from ddlite.course import a2, a3, a3_learning, a4

sys.path.insert(0, str(ROOT / "tests" / "answers"))
import try_all

COURSE = ROOT / "notebooks" / "assignments"
SOURCES = sorted(COURSE.glob("source/*/*.ipynb"))
EACH = pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.parent.name)


def run(sources, names):
    for source in sources:
        exec(compile(source, "<cell>", "exec"), names)


@contextlib.contextmanager
def drawn_once():
    """Examples that checks draw again for each answer are drawn once for all: most of the time of the test below."""
    with pytest.MonkeyPatch.context() as patch:
        for module, names in ((a2, ("_strangers", "_means", "_fair")), (a3, ("_normalised", "_pool_gradients")),
                              (a3_learning, ("_compared", "_counted")), (a4, ("_poisoned",))):
            for name in names:
                patch.setattr(module, name, remembering(getattr(module, name)))
        yield


def remembering(draw):
    """A function that keeps what it gave, and gives a copy where it is asked the same once more."""
    known = {}

    def key(value):
        if isinstance(value, torch.Tensor):
            return value.detach().numpy().tobytes()
        if isinstance(value, (list, tuple)):
            return tuple(map(key, value))
        if isinstance(value, dd.DistilledSet):
            return key((value.images, value.labels, value.step_sizes))
        if isinstance(value, (dd.RandomStart, a3.Shifted)):
            return getattr(value, "seed", None), getattr(value, "by", None)
        return value if isinstance(value, (int, float, str)) else id(value)

    def drawn(*given):
        asked = key(given)
        if asked not in known:
            known[asked] = draw(*given), given  # what was given is kept, so that no other has its id
        return copy.deepcopy(known[asked][0])

    return drawn


def all_tried(path):
    """Every answer, each under one of two teacher's seeds (more: tests/answers/try_all.py)."""
    warnings.simplefilter("ignore")
    with drawn_once():
        return list(try_all.tried(path, itertools.cycle(((7,), (23,)))))


@EACH
def test_right_and_wrong_answers(path):
    """In a process of their own: wrong answers may reload or change the package, and other tests must not notice."""
    with futures.ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        results = process.submit(all_tried, path).result()
    assert not (found := list(try_all.complaints(results))), "\n".join(found)
    kinds = [(task, kind) for task, kind, *_ in results]
    assert {task for task, _ in kinds} == set(try_all.tasks(path))
    assert all(kinds.count((task, "right")) > 3 and kinds.count((task, "wrong")) >= 20 for task in try_all.tasks(path))


def test_what_a1_says_is_off():
    """What A1's text names raises while an answer is checked, whoever calls it; the rest works."""
    [text] = [cell.source for cell in nbformat.read(SOURCES[0], 4).cells if "ddlite's trainings* are" in cell.source]
    off, on = (re.findall(r"`(dd\.[\w.]+)`", part) for part in text.split("*ddlite's trainings* are")[1].split("stay on"))
    assert len(off) == 7 and len(on) == 3
    named = {name: functools.reduce(getattr, name.split(".")[1:], dd) for name in (*off, *on)}
    with course.alone(lambda: None):
        for name in off:
            with pytest.raises(AssertionError, match="Write it yourself"):
                named[name](None)
        for name in on:
            with pytest.raises((TypeError, AttributeError, ValueError)):
                named[name](None)
    with pytest.raises((TypeError, AttributeError)):
        dd.train(None)


def test_the_guide_covers_every_task():
    """Two marked answers to each open question, and a variant of each task for next year."""
    text = (ROOT / "notebooks/MARKING.md").read_text(encoding="utf-8")
    varied = {(name, number) for name, numbers in re.findall(r"^\| (A\d) ([\d, ]+) \|", text, re.MULTILINE)
              for number in numbers.split(", ")}
    for path in SOURCES:
        heads = [re.match(r"## Task (\d) · (.+) \((.+), \d+ minutes, (\d+) points\)", cell.source)
                 for cell in nbformat.read(path, 4).cells if cell.source.startswith("## Task")]
        for number, title, kind, points in (head.groups() for head in heads):
            if kind == "a question":
                head = f"### {path.parent.name} · {title} ({points} points)\n"
                part = text.split(head)[1].split("\n##")[0]
                assert len(re.findall(r"\n\n> ", f"\n{part}")) == len(re.findall(r"^\*\*\d\S* point", part, re.MULTILINE)) == 2
            else:
                assert (path.parent.name, number) in varied, (path, number)


def test_the_guides_example_of_a_check():
    """MARKING.md's check for a course of one's own: a right answer passes, its three mistakes are told."""
    text = (ROOT / "notebooks/MARKING.md").read_text(encoding="utf-8")
    [code] = [block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "def class_means" in block]
    names = {}
    exec(code, names)

    def means(images, labels):
        return torch.stack([images[labels == label].mean(0) for label in range(3)])

    names["class_means"](means)
    for words, wrong in (("These are sums", lambda images, labels: means(images, labels) * labels.bincount()[:, None]),
                         ("the mean size", lambda images, labels: means(images, labels) * labels.bincount()[:, None] / 3),
                         ("in the wrong order", lambda images, labels: means(images, labels).flip(0)),
                         ("came in were changed", lambda images, labels: means(images.mul_(1.0).add_(1), labels))):
        with pytest.raises(AssertionError, match=words):
            names["class_means"](wrong)


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
    assert max(map(len, code)) <= 20 and statistics.median(map(len, code)) <= 6


def test_numbers_are_compared_by_pytorchs_arithmetic():
    class Agreeable(torch.Tensor):
        def __sub__(self, other):
            return torch.zeros(self.shape)

    with pytest.raises(AssertionError, match="is wrong"):
        course.check(torch.zeros(3).as_subclass(Agreeable), torch.ones(3))
