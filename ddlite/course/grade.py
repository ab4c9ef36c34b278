"""Grade a folder of submissions, each in a process of its own, behind a wall where one stands, with limits."""

import contextlib
import csv
import io
import json
import math
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import matplotlib
import nbformat
import psutil
from nbgrader.utils import determine_grade, is_grade

from ddlite.course import submission, wall
from ddlite.course.feedback import page
from ddlite.course.submission import id_of
from ddlite.machinery.files import write_bytes, write_json
from ddlite.machinery.threads import cores

SOURCE = Path(__file__).resolve().parents[2] / "notebooks" / "assignments" / "source"
FORMULA = re.compile(r"(^|[;,|\t\r\n]\s*)(?=[=+\-@\t\r＝＋－＠])")  # where one begins
PROCESSES, WRITTEN = 100, 2**28  # of a submission: processes at a time, bytes in its folder


def submissions(folder):
    """The notebooks of a folder, one for each student; files that begin with a dot are nobody's.

    Raises FileNotFoundError, with what is expected, if there is none.
    """
    found = sorted(path for path in Path(folder).glob("*.ipynb") if not path.name.startswith("."))
    if not found:
        below = sum(1 for _ in Path(folder).glob("*/*.ipynb"))
        raise FileNotFoundError(f"There is no notebook (.ipynb) in {folder}: NAME.ipynb of each student is expected in the "
                                "folder itself" + (f"; there are {below} in folders below it." if below else "."))
    return found


def grade(folder, source=SOURCE, seed=0, minutes=5.0, gib=3.0, jobs=None):
    """Grade every notebook in a folder; a generator of one row for each, as they are done.

    Args:
        folder: holds one notebook for each student, NAME.ipynb, all of one assignment. Written there: `grades.csv`, made anew
            after each submission, and `feedback/NAME.html`.
        source: the folder of the teacher's assignments, each a folder with one notebook.
        seed: any whole number; hidden tests draw their examples from it; choose one that students do not know.
        minutes: for a whole submission, half a minute at least; a single cell has a third of it, and is then interrupted.
        gib: memory that a submission may hold, with all its processes; 1 at least, as PyTorch alone takes half of that.
        jobs: submissions at a time; by default one for each core that this process may use, which a container may limit.

    A row is a dict: `student`; `points`, or None for what is to be marked by hand, of each graded cell; `total` and `of`, the
    points that were and could be had without the cells to be marked; `seconds`; `note`, what went wrong, if anything.
    A submission that cannot be run to its end has no points, and stops no other. Where an answer fails its check, ours takes
    its place for the tasks after it, and the note says so.

    Raises FileNotFoundError if there is nothing to grade, ValueError if the notebooks belong to no known assignment or a limit
    would give every student nothing.
    """
    if not 0.5 <= minutes < math.inf:
        raise ValueError(f"minutes={minutes:g}: a submission needs half a minute at least, or nobody gets points.")
    if not 1 <= gib < math.inf:
        raise ValueError(f"gib={gib:g}: a submission needs 1 GiB at least, or nobody gets points.")
    if jobs is not None and jobs < 1:
        raise ValueError(f"jobs={jobs}: one submission at a time is the least.")
    folder, known = Path(folder).resolve(), submission.assignments(source)
    read = {path: _read(path) for path in submissions(folder)}
    belong = {path: submission.which(cells, known) for path, (cells, _) in read.items()}
    counts = Counter(one.name for one in belong.values() if one)
    if not counts:
        raise ValueError(f"None of the {len(read)} notebooks belongs to an assignment in {source}: known are "
                         f"{', '.join(one.name for one in known) or 'none'} (another folder: --source).")
    assignment = next(one for one in known if one.name == counts.most_common(1)[0][0])
    rows = []
    with ThreadPoolExecutor(jobs or cores()) as pool:
        waiting = {}
        for path, (cells, note) in read.items():
            if not note and belong[path] is None:
                note = "None of the assignment's cells are in it: was it copied into a new notebook?"
            elif not note and belong[path] is not assignment:
                note = f"This is {belong[path].name}; the others handed in {assignment.name}."
            waiting[pool.submit(one, cells, note, assignment, folder, seed, minutes, gib)] = path
        try:
            for done in as_completed(waiting):
                try:
                    points, seconds, notes, notebook = done.result()
                except Exception as cause:  # whatever one submission brings about stops no other
                    notes = [f"It could not be graded: {cause or type(cause).__name__}"]
                    points, seconds, notebook = {}, 0.0, None
                points = {cell: points.get(cell, 0) for cell in assignment.worth}
                row = {"student": waiting[done].stem, "points": points, "total": sum(each or 0 for each in points.values()),
                       "of": sum(most for cell, most in assignment.worth.items() if points[cell] is not None),
                       "seconds": seconds, "note": "; ".join(notes)}
                write_bytes(folder / "feedback" / f"{row['student']}.html",
                            _page(row["student"], notebook, points, assignment.worth, notes))
                rows = sorted([*rows, row], key=lambda row: row["student"])
                write_bytes(folder / "grades.csv", as_csv(rows, assignment.worth))
                yield row
        finally:
            for each in waiting:
                each.cancel()


def _page(student, notebook, points, worth, notes):
    """The feedback page; without the notebook where that cannot be shown."""
    try:
        return page(student, notebook, points, worth, notes)
    except Exception as cause:  # whatever stands in one notebook stops no other
        return page(student, None, points, worth, [*notes, f"The notebook cannot be shown: {type(cause).__name__}."])


def _read(path):
    """The cells of a submission, and what is wrong with it."""
    try:
        return submission.read(path), ""
    except ValueError as cause:
        return [], str(cause)


def one(cells, note, assignment, handed_in, seed, minutes, gib):
    """Grade one submission, with nothing else in reach: points of each graded cell, seconds, notes, the notebook as run."""
    began = time.monotonic()
    if note:
        return {}, 0.0, [note], None
    notebook, notes = submission.merged(cells, assignment)
    if words := submission.unusual(cells, assignment):
        notes.append(f"worth a look, as it may see or change the checks: {', '.join(words)}")
    with tempfile.TemporaryDirectory(prefix="ddlite-") as temporary:
        folder = Path(temporary)
        scratch = folder / "scratch"
        environment = _environment(scratch, seed)
        write_bytes(folder / "notebook.ipynb", nbformat.writes(notebook).encode(errors="replace"))
        write_json(folder / "job.json", {
            "seconds": max(1, round(minutes * 20)), "wall": wall.stands(), "scratch": str(scratch), "environment": environment,
            "hidden": [str(handed_in), str(SOURCE)], "answers": assignment.answers,
            "solutions": {name: assignment.ids[name].source for name in assignment.answers.values()}})
        note = limited([sys.executable, "-m", "ddlite.course.run", str(folder)], folder,
                       {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}, began + 60 * minutes, gib)
        if not note:
            result = json.loads((folder / "result.json").read_text(encoding="utf-8"))
            note = result["note"]
        seconds = round(time.monotonic() - began, 1)
        if note:
            return {}, seconds, [note, *notes], None
        executed = nbformat.read(folder / "executed.ipynb", 4)
    return _points(executed, result["passed"]), seconds, [*notes, *_said(result, assignment)], executed


def _environment(scratch, seed):
    """What stands in the kernel's environment; its folders are made where no wall stands, behind one they make themselves."""
    if wall.stands():
        return wall.clean_environment(wall.SCRATCH, seed)
    environment = {**os.environ, **wall.clean_environment(str(scratch), seed)}
    for name in ("ipython", "matplotlib", "runtime", "cache"):
        (scratch / name).mkdir(parents=True)
    for fonts in Path(matplotlib.get_cachedir()).glob("fontlist*.json"):  # else each submission makes its own list
        shutil.copy(fonts, scratch / "matplotlib")
    return environment


def _points(notebook, passed):
    """{graded cell: points}, None where a person must mark. A check counts where it ran to its end, untouched."""
    points = {}
    for cell in notebook.cells:
        if not cell.metadata.get("nbgrader", {}).get("grade") or not is_grade(cell):
            continue
        name, own = id_of(cell), nbformat.from_dict(cell)
        if cell.cell_type == "code":
            # What is written to stderr, a progress bar or a warning, is no failure.
            own.outputs = [output for output in own.outputs if output.get("name") != "stderr"]
            points[name] = determine_grade(own)[0] if passed.get(name) else 0
        else:
            empty = cell.source.strip() in ("", submission.PLACEHOLDER)
            points[name] = 0 if empty else None
    return points


def _said(result, assignment):
    """Notes on a run: answers that ours took the place of, and what was tampered with."""
    used = [name for name in result["ours"] if name != list(assignment.answers.values())[-1]]
    if used:
        yield f"the tasks after {', '.join(used)} were graded with ours in its place"
    if result["changed"]:
        yield f"the checks were tampered with: {', '.join(result['changed'][:3])}"


def _files(folder):
    """All files below a folder, as far as they are still there."""
    with contextlib.suppress(OSError):
        return [path for path in folder.rglob("*") if path.is_file() and not path.is_symlink()]
    return []


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
                elif len(family) > PROCESSES:
                    note = f"It started more than {PROCESSES} processes."
                elif sum(path.lstat().st_size for path in _files(folder)) > WRITTEN:
                    note = "It wrote more files than it may."
                time.sleep(0.1)
        finally:
            for member in family.values():  # whatever it started, and did not end
                with contextlib.suppress(psutil.Error):
                    member.kill()
            process.wait()
        log.seek(0)
        said = log.read().decode(errors="replace")
    if not note and process.returncode:
        note = f"It could not be run: {(said.strip() or 'no reason was given').splitlines()[-1][:300]}"
    return note


def as_csv(rows, worth):
    """The rows as a table for a spreadsheet; cells to be marked by hand are empty."""
    text = io.StringIO(newline="")
    table = csv.writer(text)
    table.writerow(["student", *(f"{cell} ({points:g})" for cell, points in worth.items()), "total", "of", "seconds", "note"])
    for row in rows:
        points = ["" if points is None else f"{points:g}" for points in row["points"].values()]
        table.writerow([_text(row["student"]), *points, f"{row['total']:g}", f"{row['of']:g}", row["seconds"],
                        _text(row["note"])])
    return text.getvalue().encode()


def _text(words):
    """Words that no spreadsheet takes for a formula, at whichever of the usual separators it splits them."""
    return FORMULA.sub(r"\1'", words)
