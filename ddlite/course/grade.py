"""Grade a folder of submissions with nbgrader, each in a process of its own, with a limit on time and memory."""

import contextlib
import csv
import html
import io
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import matplotlib
import nbformat
import psutil
from nbgrader.api import Gradebook

from ddlite.machinery.files import write_bytes

SOURCE = Path(__file__).resolve().parents[2] / "notebooks" / "assignments" / "source"
NBGRADER = [sys.executable, "-m", "nbgrader"]
CONFIGURATION = """c = get_config()
c.CourseDirectory.course_id = "ddlite"
c.OverwriteCells.add_missing_cells = True
c.Execute.timeout = {seconds}
c.Application.log_level = "ERROR"
"""


def grade(folder, source=SOURCE, seed=0, minutes=5.0, gib=3.0, jobs=None):
    """Grade every notebook in a folder; a generator of one row for each, as they are done.

    Args:
        folder: holds one notebook for each student, NAME.ipynb, all of one assignment. Written there: `grades.csv`, made anew
            after each submission, and `feedback/NAME.html`.
        source: the folder of the teacher's assignments, each a folder with one notebook.
        seed: what hidden tests draw their examples from; choose one that students do not know.
        minutes: for a whole submission; a single cell has a third of it, and is then interrupted.
        gib: memory that a submission may hold, with all its processes.
        jobs: submissions at a time; by default one for each core.

    A row is a dict: `student`; `points`, or None for what is to be marked by hand, of each graded cell; `total` and `of`, the
    points that were and could be had without the cells to be marked; `seconds`; `note`, what went wrong, if anything.
    A submission that cannot be run to its end has no points, and stops no other.

    Raises FileNotFoundError if there is nothing to grade, ValueError if the notebooks belong to no known assignment.
    """
    folder, source = Path(folder).resolve(), Path(source).resolve()
    submissions = sorted(folder.glob("*.ipynb"))
    if not submissions:
        raise FileNotFoundError(f"There is no notebook (.ipynb) in {folder}.")
    assignment, notebook, worth = find_assignment(submissions, source)
    rows = []
    with tempfile.TemporaryDirectory(prefix="ddlite-") as temporary, ThreadPoolExecutor(jobs or os.cpu_count()) as pool:
        course = Path(temporary) / "course"
        (course / "source").mkdir(parents=True)
        shutil.copytree(notebook.parent, course / "source" / assignment)
        (course / "nbgrader_config.py").write_text(CONFIGURATION.format(seconds=max(1, round(minutes * 20))), encoding="utf-8")
        released = subprocess.run([*NBGRADER, "generate_assignment", assignment], cwd=course, env=surroundings(),
                                  capture_output=True, text=True)
        if released.returncode:
            raise ValueError(f"nbgrader does not take {notebook} as an assignment:\n{released.stderr}")
        waiting = {pool.submit(one, path, assignment, notebook.name, course, seed, minutes, gib): path for path in submissions}
        try:
            for done in as_completed(waiting):
                try:
                    earned, seconds, note, feedback = done.result()
                except Exception as cause:  # whatever one submission brings about stops no other
                    note = f"It could not be graded: {cause or type(cause).__name__}"
                    earned, seconds, feedback = {}, 0.0, apology(waiting[done], note)
                points = {cell: earned.get(cell, 0) for cell in worth}
                row = {"student": waiting[done].stem, "points": points, "total": sum(each or 0 for each in points.values()),
                       "of": sum(most for cell, most in worth.items() if points[cell] is not None), "seconds": seconds,
                       "note": note}
                write_bytes(folder / "feedback" / f"{row['student']}.html", feedback)
                rows = sorted([*rows, row], key=lambda row: row["student"])
                write_bytes(folder / "grades.csv", as_csv(rows, worth))
                yield row
        finally:
            for each in waiting:
                each.cancel()


def find_assignment(submissions, source):
    """The assignment that the first readable submission belongs to: its name, its notebook, its graded cells with points."""
    known = {}
    for notebook in sorted(source.glob("*/*.ipynb")):
        cells = [cell.metadata.get("nbgrader", {}) for cell in nbformat.read(notebook, 4).cells]
        known[notebook] = {about["grade_id"]: about["points"] for about in cells if about.get("grade")}
    for path in submissions:
        cells = read_cells(path)
        for notebook, worth in known.items():
            if any(cell in worth for cell in cells):
                return notebook.parent.name, notebook, worth
    raise ValueError(f"None of the {len(submissions)} notebooks belongs to an assignment in {source}: known are "
                     f"{', '.join(notebook.parent.name for notebook in known) or 'none'} (another folder: --source).")


def read_cells(path):
    """The grade ids in a notebook; none if it is no notebook."""
    try:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        return [cell["metadata"].get("nbgrader", {}).get("grade_id") for cell in cells]
    except (ValueError, KeyError, TypeError, AttributeError, OSError):
        return []


def one(path, assignment, name, course, seed, minutes, gib):
    """Grade one submission in a course of its own, with nothing else in reach.

    Returns the points of each graded cell (a dict, empty if it could not be graded), seconds, what went wrong, feedback (HTML).
    """
    began, note, points = time.monotonic(), "", {}
    with tempfile.TemporaryDirectory(prefix="ddlite-") as temporary:
        here, scratch = Path(temporary) / "course", Path(temporary) / "scratch"
        shutil.copytree(course, here)
        (here / "submitted" / "student" / assignment).mkdir(parents=True)
        shutil.copy(path, here / "submitted" / "student" / assignment / name)
        startup = scratch / "ipython" / "profile_default" / "startup"
        startup.mkdir(parents=True)
        (scratch / "matplotlib").mkdir()
        for fonts in Path(matplotlib.get_cachedir()).glob("fontlist*.json"):  # else each submission makes its own list
            shutil.copy(fonts, scratch / "matplotlib")
        cells = nbformat.read(course / "source" / assignment / name, 4).cells
        given = [cell.source for cell in cells
                 if cell.cell_type == "code" and not cell.metadata.get("nbgrader", {}).get("solution")]
        (startup / "guard.py").write_text(
            "from ddlite.course.guard import guard\n"
            f"guard(get_ipython(), {str(scratch)!r}, {[str(path.parent), str(here), str(SOURCE)]!r}, {given!r})\n"
            "del guard\n", encoding="utf-8")
        places = {"IPYTHONDIR": "ipython", "MPLCONFIGDIR": "matplotlib", "TMPDIR": ".", "TEMP": ".", "HOME": ".",
                  "JUPYTER_RUNTIME_DIR": "runtime"}
        environment = surroundings(**{key: str(scratch / place) for key, place in places.items()}, OMP_NUM_THREADS="1",
                                   PYTHONDONTWRITEBYTECODE="1", DDLITE_TEACHERS_SEED=str(seed))
        for command in ("autograde", "generate_feedback"):
            note = note or limited([*NBGRADER, command, assignment, "--student=student"], here, environment,
                                   began + 60 * minutes, gib)
        if not note:
            with Gradebook(f"sqlite:///{here}/gradebook.db") as gradebook:
                [notebook] = gradebook.find_submission(assignment, "student").notebooks
                points = {cell.name: None if cell.needs_manual_grade else cell.score for cell in notebook.grades}
            feedback = next((here / "feedback" / "student" / assignment).glob("*.html")).read_bytes()
        else:
            if not read_cells(path):
                note = "This is no notebook of the assignment: the file is damaged, or another one."
            feedback = apology(path, note)
    return points, round(time.monotonic() - began, 1), note, feedback


def apology(path, note):
    """The feedback page of a submission that could not be graded."""
    page = "<!doctype html><meta charset=utf-8><title>{}</title><p>{}"
    return page.format(html.escape(path.stem), html.escape(note)).encode()


def limited(command, folder, environment, until, gib):
    """Run a command with all the processes it starts, no longer and no larger than allowed; returns what went wrong, or ""."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                   start_new_session=True)
        family, note = {process.pid: psutil.Process(process.pid)}, ""
        try:
            while process.poll() is None and not note:
                held = 0
                for member in [*family.values()]:
                    with contextlib.suppress(psutil.Error):
                        family.update({child.pid: child for child in member.children(recursive=True)})
                        held += member.memory_info().rss
                if held > gib * 2**30:
                    note = f"It took more than {gib:g} GiB of memory."
                elif time.monotonic() > until:
                    note = "It took more time than it may."
                time.sleep(0.1)
        finally:
            for member in family.values():  # whatever it started, and did not end
                with contextlib.suppress(psutil.Error):
                    member.kill()
            process.wait()
        log.seek(0)
        said = log.read().decode(errors="replace")
    if not note and process.returncode:
        note = ("Python ended in the middle of the notebook: does it call exit()?" if "DeadKernelError" in said
                else f"nbgrader could not grade it: {(said.strip() or 'it gave no reason').splitlines()[-1]}")
    return note


def surroundings(**more):
    """The environment of such a process: nbgrader calls alembic, which lies beside Python."""
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}", **more}


def as_csv(rows, worth):
    """The rows as a table for a spreadsheet; cells to be marked by hand are empty."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["student", *(f"{cell} ({points:g})" for cell, points in worth.items()), "total", "of", "seconds", "note"])
    for row in rows:
        points = ["" if points is None else f"{points:g}" for points in row["points"].values()]
        table.writerow([row["student"], *points, f"{row['total']:g}", f"{row['of']:g}", row["seconds"], row["note"]])
    return text.getvalue().encode()
