"""`ddlite grade`, and nbgrader itself, on whole notebooks: good ones, unsolved ones, and ones that misbehave."""

import csv
import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import nbformat
import psutil
import pytest
from conftest import ROOT
from test_assignments import SOURCES

pytest.importorskip("nbgrader", reason="nbgrader is not installed: pip install 'ddlite[course]'")
from ddlite.cli.main import main
from ddlite.course import feedback, submission, wall
from ddlite.course.grade import as_csv, grade

COURSE = ROOT / "notebooks" / "assignments"
CHECK = """from ddlite.course import check
from ddlite.course.checks import alone
with alone({name}):  # many checks of the course do so, and it sets a profile
    check({name}(2, 3), slow_{name}(2, 3), {{"You subtract.": -1}})
### BEGIN HIDDEN TESTS
from ddlite.course import teachers_seed
check({name}(teachers_seed(), 4), {hidden})
### END HIDDEN TESTS"""


def task(name, kind, source, **about):
    cell = nbformat.v4.new_code_cell(source)
    cell.metadata.nbgrader = {"schema_version": 3, "grade_id": f"T-{name}", "grade": False, "locked": False, "solution": False,
                              "task": False, kind: True, **about}
    return cell


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """An assignment of two one-line tasks, and what students hand in: {name: code in place of the first answer}."""
    folder = tmp_path_factory.mktemp("tiny")
    solution = "def {}(a, b):\n    ### BEGIN SOLUTION\n    return a {} b\n    ### END SOLUTION"
    cells = [task("given", "locked", "def slow_add(a, b):\n    return sum([a, b])\nslow_times = lambda a, b: sum([a] * b)"),
             task("sum", "solution", solution.format("add", "+")),
             task("sum-test", "grade", CHECK.format(name="add", hidden="slow_add(teachers_seed(), 4)"), locked=True, points=2),
             task("product", "solution", solution.format("times", "*")),
             task("product-test", "grade", CHECK.format(name="times", hidden="teachers_seed() * 4"), locked=True, points=3)]
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}})
    (folder / "source" / "T").mkdir(parents=True)
    (folder / "handed-in").mkdir()
    nbformat.write(notebook, folder / "source" / "T" / "T.ipynb")

    def hand_in(name, code=None):
        if code:
            notebook.cells[1].source = code
        nbformat.write(notebook, folder / "handed-in" / f"{name}.ipynb")

    return folder, hand_in


@pytest.mark.parametrize("walled", [True, False])
def test_misbehaving_submissions(tiny, monkeypatch, walled):
    """Each costs its author points and nobody else anything: the honest ones beside them are graded as if alone."""
    folder, hand_in = tiny
    if walled and not wall.stands():
        pytest.skip("no wall can be built here: install bubblewrap")
    monkeypatch.setattr(wall, "stands", lambda: walled)
    add = "def add(a, b):\n    return a - b"
    hand_in("ada", "def add(a, b):\n    return b + a")
    hand_in("by-hand", "for _ in range(20_000): print('la' * 500)  # and it shouts\n"
                       "def add(a, b):\n    return 5  # the visible check's answer, written in")
    hand_in("bully", f"{add}\nimport os, signal\n"
                     "deeds = [lambda: os.kill(os.getppid(), signal.SIGKILL),\n"
                     f"         lambda: open({str(folder / 'handed-in' / 'ada.ipynb')!r}).read(),\n"
                     f"         lambda: open({str(folder / 'written.txt')!r}, 'w').write('I was here')]\n"
                     "for deed in deeds:\n    try:\n        print('succ' + 'eeded', deed())\n"
                     "    except OSError as refused:\n        print(refused)")
    hand_in("checker", f"{add}\nimport ddlite.course\nddlite.course.check = lambda *_, **__: None\ncheck = print\n"
                       "slow_add = add  # the specification too")
    hand_in("exit", "import os\nos._exit(0)")
    hand_in("glutton", "held = bytearray(3 * 2**30)\nfor k in range(0, len(held), 4096): held[k] = 1")
    hand_in("loop", "while True: pass")
    hand_in("shouts-aside", "import sys\nprint('a warning', file=sys.stderr)\n"
                            "def add(a, b):\n    print('another', file=sys.stderr)\n    return a + b")
    hand_in("transformer", f"{add}\nget_ipython().input_transformers_post.append(\n"
                           "    lambda lines: ['pass'] if 'check(' in ''.join(lines) else lines)")
    hand_in("hider", f"{add}\nimport ddlite.course.checks as c\nfor name in ('max', 'abs', 'all', 'any', 'float', 'zip'):\n"
                     "    c.check.__globals__[name] = lambda *_, **__: 1e12")
    hand_in("tracer", f"{add}\nimport sys\ndef at(frame, event, argument):\n    if 'holds' in frame.f_locals:\n"
                      "        frame.f_locals['holds'] = True\n    return at\nsys.settrace(at)")
    hand_in("profiler", f"{add}\nimport sys\ndef at(frame, event, argument):\n    if 'holds' in frame.f_locals:\n"
                        "        frame.f_locals['holds'] = True\nsys.setprofile(at)")
    hand_in("late-tracer", "import sys\ndef at(frame, event, argument):\n    if 'holds' in frame.f_locals:\n"
                           "        frame.f_locals['holds'] = True\n    return at\n"
                           "def add(a, b):\n    sys.settrace(at)\n    return a - b")
    hand_in("recoder", f"{add}\nimport ddlite.course.checks as c\nc.check.__code__ = (lambda *_, **__: None).__code__")
    hand_in("script", f"{add}\nfrom IPython.display import HTML, display\n"
                      "display(HTML('<script>alert(1)</script><img src=x onerror=alert(2)>'))")
    os.mkfifo(folder / "handed-in" / "pipe.ipynb") if not (folder / "handed-in" / "pipe.ipynb").exists() else None
    (folder / "handed-in" / "deep.ipynb").write_text("[" * 200_000, encoding="utf-8")
    (folder / "handed-in" / "zero.ipynb").write_text("{ this is no notebook", encoding="utf-8")
    (folder / "handed-in" / "nowhere.ipynb").unlink(missing_ok=True)
    (folder / "handed-in" / "nowhere.ipynb").symlink_to(folder / "not-there.ipynb")
    rows = {row["student"]: row for row in grade(folder / "handed-in", folder / "source", seed=11, minutes=3, gib=2)}
    assert rows["ada"]["points"] == {"T-sum-test": 2, "T-product-test": 3} and not rows["ada"]["note"]
    assert rows["shouts-aside"]["total"] == 5
    for name in ("transformer", "recoder", "hider", "tracer", "profiler", "late-tracer"):
        assert rows[name]["points"]["T-sum-test"] == 0 and "tampered" in rows[name]["note"], rows[name]
    for name in ("by-hand", "bully", "checker", "loop", "script"):
        assert rows[name]["points"] == {"T-sum-test": 0, "T-product-test": 3}, rows[name]
    for name, words in {"exit": "exit()", "glutton": "2 GiB", "nowhere": "a link", "zero": "no notebook", "pipe": "a link",
                        "deep": "no notebook"}.items():
        assert rows[name]["total"] == 0 and words in rows[name]["note"], rows[name]
    assert not (folder / "written.txt").exists()
    table = list(csv.DictReader((folder / "handed-in" / "grades.csv").open(encoding="utf-8", newline="")))
    assert [row["student"] for row in table] == sorted(rows) and table[0]["total"] == "5"
    pages = {path.stem: path.read_text(encoding="utf-8") for path in (folder / "handed-in" / "feedback").iterdir()}
    assert set(pages) == set(rows) and "You subtract." in pages["checker"]
    assert not any("<script" in page or "<img src=x" in page.lower() or "http" in page.partition("<body")[0].replace(
        "http-equiv", "") for page in pages.values())
    if not walled:
        assert all(f"may not {deed}" in pages["bully"] for deed in ("start, or talk to", "read this file", "write or remove"))


DEEDS = """
import ctypes, mmap, os, resource, signal, socket, sqlite3, subprocess, sys
import numpy, safetensors.torch, torch
mate, marks, gone = {mate!r}, {marks!r}, []
def by_folder():
    place = os.open(os.path.dirname(mate), os.O_RDONLY)
    os.write(os.open("ada.ipynb", os.O_WRONLY, dir_fd=place), b"mine")
def by_c():
    file = ctypes.CDLL(None).fopen(mate.encode(), b"r")
    if not file: raise OSError("no such file")
def full():
    with open("large", "wb") as file:
        for _ in range(300): file.write(bytes(2**20))
for deed in (
        lambda: torch.save({{}}, mate), lambda: safetensors.torch.save_file({{}}, mate), lambda: numpy.save(marks, 1),
        lambda: sqlite3.connect(marks).execute("create table t (x)"), by_folder, by_c, full, lambda: torch.load(mate),
        lambda: open(mate).read(), lambda: os.open(mate, os.O_RDONLY), lambda: os.truncate(mate, 0), lambda: os.unlink(mate),
        lambda: os.rename("large", mate), lambda: os.link(mate, "stolen"), lambda: mmap.mmap(os.open(mate, os.O_RDWR), 0),
        lambda: subprocess.run(["cp", mate, "stolen"], check=True, stderr=subprocess.DEVNULL),
        lambda: open({source!r}).read(), lambda: open(os.path.join({home!r}, ".bashrc")).read(),
        lambda: open("/usr/written", "w"), lambda: open("/etc/passwd").read(), lambda: os.kill({grader}, signal.SIGKILL),
        lambda: resource.prlimit({grader}, resource.RLIMIT_CPU, (0, 0)),
        lambda: socket.create_connection(("127.0.0.1", {port}), 2), lambda: os.environ["DDLITE_TEST_SECRET"]):
    try:
        deed()
        gone.append(deed)
    except (OSError, KeyError, RuntimeError, ValueError, sqlite3.Error, subprocess.SubprocessError,
            safetensors.SafetensorError):
        pass
print("succ" + "eeded:", [deed.__code__.co_firstlineno for deed in gone], [deed.__code__.co_names for deed in gone])
"""


def test_what_the_wall_holds(tiny, monkeypatch):
    """Whatever a submission tries, nobody else's file, mark or process is touched, and only its author loses points."""
    folder, hand_in = tiny
    if not wall.stands():
        pytest.skip("no wall can be built here: install bubblewrap")
    for old in (folder / "handed-in").glob("*"):
        old.unlink() if not old.is_dir() else shutil.rmtree(old)
    monkeypatch.setenv("DDLITE_TEST_SECRET", "the teacher's")
    add, wrong = "def add(a, b):\n    return a + b", "def add(a, b):\n    return a - b"
    hand_in("ada", add)
    mate, kept = folder / "handed-in" / "ada.ipynb", (folder / "handed-in" / "ada.ipynb").read_bytes()
    with socket.create_server(("127.0.0.1", 0)) as listening:
        hand_in("burglar", DEEDS.format(mate=str(mate), marks=str(folder / "handed-in" / "grades.csv"),
                                        source=str(folder / "source" / "T" / "T.ipynb"), home=str(Path.home()),
                                        grader=os.getpid(), port=listening.getsockname()[1]) + add)
        hand_in("survivor", "import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', "
                            f"'outlives-{os.getpid()}'], start_new_session=True)\n{add}")
        hand_in("crowd", "import os, time\nfor _ in range(150):\n    if not os.fork():\n        time.sleep(600)\n" + add)
        hand_in("impostor", f"{wrong}\nimport sys, types\nfake = types.ModuleType('ddlite.course')\n"
                            "fake.check = lambda *_, **__: None\nfake.teachers_seed = lambda: 0\n"
                            "sys.modules['ddlite.course'] = fake\n")
        hand_in("patcher", f"{wrong}\nimport torch\ntorch.Tensor.max = lambda *_: torch.tensor(0.0)\n"
                           "torch.Tensor.__le__ = lambda *_: torch.tensor(True)\n")
        hand_in("peeper", "import sys\ndef add(a, b):\n    names = sys._getframe(1).f_locals\n    return a - b")
        rows = {row["student"]: row for row in grade(folder / "handed-in", folder / "source", seed=3, minutes=3, gib=2)}
    page = (folder / "handed-in" / "feedback" / "burglar.html").read_text(encoding="utf-8")
    assert "succeeded: [] []" in page, re.findall("succeeded.*", page)
    assert mate.read_bytes() == kept and rows["ada"]["total"] == rows["burglar"]["total"] == rows["survivor"]["total"] == 5
    assert not any(f"outlives-{os.getpid()}" in (one.info["cmdline"] or []) for one in psutil.process_iter(["cmdline"]))
    # Which limit ends a crowd depends on how large its processes are; either costs the author the points, and is named.
    assert rows["crowd"]["total"] == 0 and re.search("processes|memory", rows["crowd"]["note"])
    for name in ("impostor", "patcher"):
        assert rows[name]["points"] == {"T-sum-test": 0, "T-product-test": 3} and "tampered" in rows[name]["note"], rows[name]
    assert "_getframe" in rows["peeper"]["note"] and not rows["ada"]["note"]


def test_nothing_to_grade(tmp_path, capsys):
    with pytest.raises(SystemExit, match="no notebook"):
        main(["grade", str(tmp_path)])
    nbformat.write(nbformat.v4.new_notebook(), tmp_path / "ada.ipynb")
    with pytest.raises(SystemExit, match="known are A1"):
        main(["grade", str(tmp_path)])


def test_solved_and_unsolved(tmp_path, capsys):
    """One as a whole notebook, from the command line: the solutions have all points but those for the open question, the
    student copy none. (All are solved, task by task, in test_assignments.py; A1 is graded by nbgrader below.)"""
    path = SOURCES[3]
    (tmp_path / "solved.ipynb").write_bytes(path.read_bytes())
    (tmp_path / "unsolved.ipynb").write_bytes((COURSE / "release" / path.parent.name / path.name).read_bytes())
    main(["grade", str(tmp_path), "--seed", "99"])
    unsolved, solved = sorted(csv.DictReader((tmp_path / "grades.csv").open(encoding="utf-8", newline="")),
                              key=lambda row: float(row["total"]))
    assert solved["total"] == solved["of"] and float(solved["of"]) >= 10 and not solved["note"]
    assert float(unsolved["total"]) == 0 and "graded with ours" in unsolved["note"]
    assert "1 to mark by hand" in capsys.readouterr().out


def test_nbgrader_end_to_end(tmp_path):
    """nbgrader's own commands on the first assignment: release, fetch, submit, collect, autograde, feedback."""
    source, course = SOURCES[0], tmp_path / "course"
    (course / "source").mkdir(parents=True)
    exchange, desk = tmp_path / "exchange", tmp_path / "desk"
    exchange.mkdir(), desk.mkdir()
    exchange.chmod(0o777)
    (course / "source" / "A1").mkdir()
    (course / "source" / "A1" / source.name).write_bytes(source.read_bytes())
    (course / "nbgrader_config.py").write_bytes((COURSE / "nbgrader_config.py").read_bytes())
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
                   "JUPYTER_DATA_DIR": str(tmp_path / "jupyter"), "DDLITE_TEACHERS_SEED": "3"}

    def nbgrader(folder, *arguments):
        result = subprocess.run([sys.executable, "-m", "nbgrader", *arguments, f"--Exchange.root={exchange}"], cwd=folder,
                                env=environment, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr[-3000:]

    nbgrader(course, "generate_assignment", "A1")
    nbgrader(course, "release_assignment", "A1")
    nbgrader(desk, "fetch_assignment", "A1", "--course=ddlite")
    handed_out = desk / "A1" / source.name
    assert "BEGIN SOLUTION" not in handed_out.read_text() and "HIDDEN TESTS" not in handed_out.read_text()
    solved = {cell.metadata.nbgrader.grade_id: cell.source for cell in nbformat.read(source, 4).cells
              if "nbgrader" in cell.metadata}
    notebook = nbformat.read(handed_out, 4)
    for cell in notebook.cells:
        if cell.metadata.get("nbgrader", {}).get("grade_id") in ("A1-hand", "A1-step"):
            cell.source = solved[cell.metadata.nbgrader.grade_id]
    nbformat.write(notebook, handed_out)
    nbgrader(desk, "submit", "A1", "--course=ddlite")
    nbgrader(course, "collect", "A1")
    nbgrader(course, "autograde", "A1")
    nbgrader(course, "generate_feedback", "A1")
    nbgrader(course, "release_feedback", "A1")
    nbgrader(course, "export", "--to=grades.csv")
    [row] = csv.DictReader((course / "grades.csv").open(encoding="utf-8", newline=""))
    assert float(row["score"]) == 5
    assert len(list((course / "feedback").glob("*/A1/*.html"))) == 1


def test_the_guard_does_not_hinder(tmp_path):
    """What honest answers do still works under it: a figure, Adam (it imports half of PyTorch), a file in their own folder."""
    code = ("import tempfile, torch\nfrom ddlite.course.guard import guard\n"
            "from IPython.core.interactiveshell import InteractiveShell\n"
            f"guard(InteractiveShell(), 'word', [], {{}}, ({str(tmp_path)!r}, [{str(tmp_path.parent / 'elsewhere')!r}]))\n"
            "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.savefig(open('figure.png', 'wb'))\n"
            "w = torch.nn.Parameter(torch.ones(2))\nadam = torch.optim.Adam([w]); w.grad = w.data; adam.step()\n"
            "from sklearn.cluster import KMeans\nKMeans(2).fit(torch.randn(9, 2).numpy())\nprint('all done')\n"
            "import os; os.replace('figure.png', 'moved.png')\n"
            f"os.replace('moved.png', {str(tmp_path.parent / 'grades.csv')!r})")
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                            env={**os.environ, "TMPDIR": str(tmp_path), "MPLCONFIGDIR": str(tmp_path)})
    assert result.stdout.strip() == "all done", result.stderr
    assert "may not write or remove files: grades.csv" in result.stderr  # moved within its folder, but not out of it
    assert (tmp_path / "moved.png").stat().st_size > 1000


@pytest.mark.parametrize("name, written", [
    ("=1+1", "'=1+1"), ("+1", "'+1"), ("-2", "'-2"), ("@SUM(A1)", "'@SUM(A1)"), ("\t=1", "'\t'=1"), ("＝1", "'＝1"),
    ("ada;=1+1", "ada;'=1+1"), ("ada, -1", "ada, '-1"), ("ada\n=1", "ada\n'=1"), ("Ada-Mae O'Hara (2)", "Ada-Mae O'Hara (2)")])
def test_no_name_is_a_formula(name, written):
    """Students choose their files' names, and spreadsheets split at commas, semicolons or tabs."""
    row = {"student": name, "points": {"T-sum": 2}, "total": 2, "of": 2, "seconds": 1.0, "note": name}
    [found] = csv.DictReader(as_csv([row], {"T-sum": 2}).decode().splitlines(keepends=True))
    assert found["student"] == found["note"] == written


@pytest.mark.skipif(not wall.stands(), reason="no wall can be built here: install bubblewrap")
def test_a_checkout_is_found_behind_the_wall(tmp_path):
    """ddlite need not be installed: what the grader imports, a submission's kernel imports, too."""
    shutil.copytree(ROOT / "ddlite", tmp_path / "ddlite")
    code = ("import subprocess, sys\nfrom ddlite.course import wall\n"
            "command = wall.around(environment=wall.clean_environment(wall.SCRATCH, 0))\n"
            "subprocess.run([*command, sys.executable, '-c', 'import ddlite; print(ddlite.__file__)'], check=True)")
    result = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True,
                            env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert result.stdout.strip() == str(tmp_path / "ddlite" / "__init__.py"), result.stderr


@pytest.mark.parametrize("place", [0, 2, 3, 5])
def test_a_copied_check_runs_once_and_after_its_answer(tiny, place):
    [assignment] = submission.assignments(tiny[0] / "source")
    cells = [{"cell_type": cell.cell_type, "id": submission.id_of(cell), "source": cell.source}
             for cell in assignment.notebook.cells]
    made, _ = submission.merged([*cells[:place], cells[2], *cells[place:]], assignment)
    assert [submission.id_of(cell) for cell in made.cells] == [cell["id"] for cell in cells]


@pytest.mark.skipif(not wall.stands(), reason="no wall can be built here: install bubblewrap")
def test_a_wall_stands_wherever_python_is_called_from(tmp_path):
    """By a path that goes back, like ../.venv/bin/python: the folders to go back through are not behind the wall."""
    python = tmp_path / os.path.relpath(os.path.abspath(sys.executable), tmp_path)
    subprocess.run([python, "-c", "from ddlite.course import wall; assert wall.stands()"], check=True, cwd=tmp_path,
                   env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_a_pages_links_run_nothing():
    """Links of a student's text lead to pages, or to nothing."""
    cell = nbformat.v4.new_markdown_cell(
        "[a](javascript:alert(1)) [b](&#106;avascript:alert(1)) [c](data:text/html,x) <a href='vbscript:x'>d</a> "
        "![e](//elsewhere/x.png) [f](https://example.org) [g](#here) ![h](data:image/png;base64,AAAA)")
    shown = feedback.page("ada", nbformat.v4.new_notebook(cells=[cell]), {}, {}, []).decode().partition("<body")[2]
    assert re.findall(r'(?:href|src)="?([^">]*)', shown) == ["https://example.org", "#here", "data:image/png;base64,AAAA"]


def test_no_module_of_a_students_takes_the_place_of_a_check():
    """What the teacher's cells import is loaded before the student's first line, and so is watched over."""
    code = """import sys
from ddlite.course import guard
assert 'ddlite.course.a4' not in sys.modules
guard._load(['%commands of IPython', 'from ddlite.course import a4, check\\nimport nowhere'])
assert 'ddlite.course.a4' in sys.modules"""
    subprocess.run([sys.executable, "-c", code], check=True)
