"""What holds the project together: one list of packages, one style, links made from one value, a wheel with its assets."""

import ast
import os
import re
import runpy
import shutil
import subprocess
import sys
import tomllib
import zipfile

import pytest
import yaml
from conftest import ROOT

import ddlite as dd

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
SOMEWHERE = "https://github.com/someone/ddlite"
ELSEWHERE = {"torch": "pytorch-cpu", "matplotlib": "matplotlib-base"}  # conda's names of the same packages


def run(*command, **options):
    return subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False, cwd=ROOT, **options)


def tracked():
    listing = run("git", "ls-files")
    if listing.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in listing.stdout.split("\n") if name and (ROOT / name).is_file()]


def test_environments_agree():
    """Root and Binder list the same packages, and these are pyproject's with the notebooks extra."""
    root, binder = (yaml.safe_load((ROOT / name).read_text()) for name in ("environment.yml", "binder/environment.yml"))
    assert root == binder
    wanted = PROJECT["project"]["dependencies"] + PROJECT["project"]["optional-dependencies"]["notebooks"]
    names = {re.sub(r"^[\w-]+", lambda name: ELSEWHERE.get(name[0], name[0]), line) for line in wanted}
    assert set(root["dependencies"]) == names | {"python=3.12", "pip"}


def test_binder_files():
    for name, needs in {"postBuild": "set -euo pipefail", "start": 'exec "$@"'}.items():
        text = (ROOT / "binder" / name).read_text()
        assert text.startswith("#!/bin/bash") and needs in text
        assert run("bash", "-n", ROOT / "binder" / name).returncode == 0
    assert "OMP_NUM_THREADS=1" in (ROOT / "binder" / "start").read_text()


def test_repo2docker_accepts_the_binder_folder(monkeypatch):
    """Its own detection, and the Dockerfile it would build (nothing is built)."""
    app = pytest.importorskip("repo2docker.app", reason="repo2docker is not installed").Repo2Docker()
    from repo2docker.buildpacks import CondaBuildPack

    monkeypatch.chdir(ROOT)
    packs = [kind(base_image=app.base_image) for kind in app.buildpacks]
    first = next(pack for pack in packs if pack.detect())
    assert type(first) is CondaBuildPack and first.python_version == "3.12"
    assert first.get_post_build_scripts() == ["binder/postBuild"] and first.get_start_script().endswith("binder/start")
    first.platform = "linux/amd64"
    dockerfile = first.render()
    assert "binder/environment.yml" in dockerfile and "postBuild" in dockerfile


def test_nothing_of_others_is_committed():
    """No packages, archives, data or grades; our own sets are safetensors."""
    foreign = {".whl", ".gz", ".zip", ".tar", ".bz2", ".npz", ".npy", ".pt", ".pth", ".pkl", ".db", ".csv"}
    assert not [path for path in tracked() if path.suffix in foreign]


def test_ruff():
    out = run(sys.executable, "-m", "ruff", "check", ".")
    assert out.returncode == 0, out.stdout


def test_versions_agree():
    version = PROJECT["project"]["version"]
    assert dd.__version__ == version and f"version: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_links_come_from_one_value(tmp_path):
    for name in ("make.py", "pyproject.toml"):
        shutil.copy(ROOT / name, tmp_path / name)
    config = tmp_path / "pyproject.toml"
    empty = re.sub(r'^repository = ".*"', 'repository = ""', config.read_text(), flags=re.MULTILINE)
    config.write_text(empty)
    assert "repository =" in run(sys.executable, tmp_path / "make.py", "links").stderr
    config.write_text(empty.replace('repository = ""', 'repository = "https://github.com/someone/ddlite"'))
    links = run(sys.executable, tmp_path / "make.py", "links").stdout
    for part in ("mybinder.org/v2/gh/someone/ddlite/main", "colab.research.google.com/github/someone/ddlite", "git-pull?repo=",
                 "%pip install 'ddlite[notebooks] @ git+https://github.com/someone/ddlite'"):
        assert part in links
    assert (ROOT / "notebooks/01_fixed_initialization.ipynb").name in links
    assert links.count("notebooks/assignments/release") == 2 and (ROOT / "notebooks/assignments/release").is_dir()


def test_make_refuses_unknown_commands():
    out = run(sys.executable, "make.py", "dmeo")
    assert out.returncode == 1 and "python make.py demo" in out.stderr


@pytest.mark.parametrize("uv", [True, False])
def test_setup_installs_the_lock_with_uv_or_pip(uv, tmp_path, monkeypatch):
    make, ran = runpy.run_path(ROOT / "make.py"), []

    def note(*words):
        ran.append(words)
        if words[-1] == "uv" and not uv:
            raise SystemExit(1)

    monkeypatch.setattr("venv.create", lambda folder, with_pip: None)
    for name, value in {"run": note, "VENV": tmp_path}.items():
        monkeypatch.setitem(make["setup"].__globals__, name, value)
    make["setup"]()
    make["setup"]()  # nothing is left to do
    tools, files = [words[1] for words in ran], [words[-1] for words in ran]
    assert tools == ["pip", *["uv" if uv else "pip"] * 2] and files == ["uv", ROOT / "requirements.lock", ROOT]


def test_wheel_carries_the_assets(tmp_path):
    """A wheel, opened away from the repository, lists and loads what is shipped."""
    pytest.importorskip("uv", reason="uv builds the wheel")
    source = tmp_path / "source"
    shutil.copytree(ROOT / "ddlite", source / "ddlite", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source / name)
    config = (source / "pyproject.toml").read_text()
    (source / "pyproject.toml").write_text(re.sub(r"(?m)^repository = .*$", f'repository = "{SOMEWHERE}"', config))
    built = run(sys.executable, "-m", "uv", "build", "--wheel", "--out-dir", tmp_path, source)
    assert built.returncode == 0, built.stderr
    [wheel] = tmp_path.glob("*.whl")
    zipfile.ZipFile(wheel).extractall(tmp_path / "unpacked")
    assert (tmp_path / "unpacked/ddlite/py.typed").is_file()
    about = next((tmp_path / "unpacked").glob("*.dist-info/METADATA")).read_text(encoding="utf-8")
    assert f"Project-URL: Repository, {SOMEWHERE}\n" in about and "Project-URL: Paper, https://arxiv.org/" in about
    assert f"]({SOMEWHERE}/raw/main/notebooks/pictures/" in about and f"]({SOMEWHERE}/blob/main/ddlite/unroll.py)" in about
    script = (f"import sys; sys.path.insert(0, {str(tmp_path / 'unpacked')!r}); import ddlite as dd; print(dd.__file__)\n"
              "[dd.DistilledSet.shipped(name) for name in dd.shipped()]; print(dd.shipped())\n"
              "import ddlite.gallery, ddlite.engines.chain, ddlite.machinery.files, ddlite.course, ddlite.cli.main\n"
              "import ddlite.photographs.sets")
    out = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert "unpacked" in out.stdout and str(dd.shipped()) in out.stdout, out.stderr


@pytest.mark.parametrize("repository", ["", SOMEWHERE])
def test_the_readme_stands_alone_on_pypi(repository):
    """No link or picture leads to a file that is not there; no other word is lost."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    made = runpy.run_path(ROOT / "setup.py")["readme"](text, repository)
    assert all(address.startswith("https://") for address in re.findall(r"\]\(([^)]*)\)", made))
    assert made.count("](") == (text.count("](") if repository else len(re.findall(r"\]\(https:", text)))
    assert re.findall(r"\w+", re.sub(r"\]\([^)]*\)", "", made)) == re.findall(r"\w+", re.sub(r"\]\([^)]*\)", "", text))


def test_the_readme_is_short():
    """One table of at most six columns; long ones live on the results page."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    [columns] = re.findall(r"^\|(?:-+\|)+$", text, re.MULTILINE)
    assert columns.count("-|") <= 6 and len(text.splitlines()) < 120


def test_repository_is_clean_and_small():
    files = tracked()
    assert sum(file.stat().st_size for file in files) < 30e6
    for file in files:
        assert file.suffix not in (".pkl", ".pt", ".pth", ".npz", ".gz", ".bz2")
        if file.suffix in (".py", ".md", ".yml", ".toml", ".json", ".ipynb") and file.parent.name != "tests":
            text = file.read_text(encoding="utf-8")
            assert not re.search(r"(?<![\w.])/(root|home|tmp)/\w", text), f"a path of a machine: {file}"


# The rooms from the ground up; within a layer, a file imports only what stands before it. (A name a line, to see what moved.)
LAYERS = [layer.split() for layer in (
    """
    machinery.arguments
    machinery.arrays
    machinery.files
    machinery.ranks
    machinery.checkpoint
    machinery.adam
    machinery.threads
    machinery.progress
    """,
    """
    photographs.sets
    photographs.alexnet
    patterns
    known
    data
    batches
    networks
    derivatives
    unrollable
    unroll
    """,
    """
    engines.adjoint
    engines.layers
    engines.chain
    engines.captured
    engines.choose
    """,
    """
    starts
    pools
    valid
    augment
    scratch
    storage
    beginnings
    plain
    results
    saved
    distilled
    goals
    evaluate
    compare
    learned
    distill
    progress
    baselines
    profiles
    public
    """,
    "",  # the gallery: its files import the core, and one another only through it, but for PARTS
    """
    layout
    show
    scatter
    svg
    stills
    explore
    live
    slides
    sortable
    maps
    """,
    """
    course.checks
    course.witness
    course.tables
    course.a1
    course.a1_learning
    course.a2
    course.a2_seeds
    course.a3
    course.a3_learning
    course.a4
    course.a4_defence
    course.a5
    course.a5_learning
    course.a5_sets
    course.a5_shown
    course.shown
    course.guard
    course.wall
    course.submission
    course.feedback
    course.run
    course.grade
    grade
    """,
    """
    cli.parser
    cli.signals
    cli.queue
    cli.bench
    cli.wait
    cli.apart
    cli.memories
    cli.methods
    cli.field
    cli.common
    cli.learn
    cli.look
    cli.measure
    cli.mark
    cli.apart
    cli.play
    cli.main
    """,
)]

# Files of the gallery that another one of it is made of.
PARTS = {"gallery.kip": {"gallery.kernel"}, "gallery.graphs": {"gallery.graph"}, "gallery.gcn": {"gallery.graph"},
         "gallery.nodes": {"gallery.condensed", "gallery.graph"},
         "gallery.gcond": {"gallery.condensed", "gallery.gcn", "gallery.nodes"}, "gallery.mtt": {"gallery.experts"},
         "gallery.tasks": {"gallery.past"}}


def test_imports_run_one_way():
    """A file imports only files of lower layers, or those before it in its own; the core never imports the gallery."""
    order = [name for layer in LAYERS for name in layer]
    found = {str(path.relative_to(ROOT / "ddlite").with_suffix("")).replace(os.sep, ".")
             for path in (ROOT / "ddlite").rglob("*.py") if path.stem not in ("__init__", "__main__")}
    gallery = {name for name in found if name.startswith("gallery.")}
    assert found - gallery == set(order), "a file has no place in LAYERS, or LAYERS names one that is not there"
    for name in found:
        allowed = set(order[:order.index(name)]) if name in order else {
            one for layer in LAYERS[:4] for one in layer}
        allowed |= gallery if name.startswith(("cli.", "course.")) else PARTS.get(name, set())
        assert imported(name) <= allowed, f"{name} imports {imported(name) - allowed}"


def imported(name):
    """ddlite's own modules that a file imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse((ROOT / "ddlite" / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "ddlite":
            room = node.module.removeprefix("ddlite").lstrip(".")
            for alias in node.names:
                whole = f"{room}.{alias.name}".lstrip(".")
                is_file = (ROOT / "ddlite" / f"{whole.replace('.', '/')}.py").exists()
                found.add(whole if is_file else room)
        elif isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("ddlite.") for alias in node.names if alias.name.startswith("ddlite.")}
    return found - {"", "course"}  # ddlite itself, and the few names that course/__init__ passes on


def test_importing_ddlite_is_light():
    """No pictures, no gallery, and nothing that takes seconds; nor do the digits want more than numpy."""
    script = ("import sys, ddlite as dd; dd.load('digits')\n"
              "print([name for name in sys.modules if name.split('.')[0] in ('matplotlib', 'ipywidgets', 'sklearn', 'scipy', "
              "'torchvision', 'pandas', 'IPython') or name.startswith('ddlite.gallery')])")
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"


@pytest.mark.filterwarnings("ignore:This set was made to harm")
def test_every_set_has_a_manifest_of_its_own_making():
    """What ships was made by the command that its manifest names, from data with a fingerprint, at a known commit."""
    for name in dd.shipped():
        about, dset = dd.manifest(name), dd.DistilledSet.shipped(name)
        assert about["command"].startswith("python -m ddlite distill") and about["data_fingerprint"] and about["commit"]
        assert about["test"] in [run["test"] for run in about["seeds"]]
        assert about["validation"] == max(run["validation"] for run in about["seeds"])
        assert [round(size, 4) for size in dset.step_sizes.tolist()] == about["step_sizes"]
        wanted = about["configuration"]
        assert dset.start["kind"] == ("fixed" if wanted.get("known") else wanted.get("start", "fixed"))


def test_the_readme_example_runs(tmp_path, monkeypatch, capsys):
    """The ten lines of the README, cut to five outer steps."""
    [example] = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert "outer_steps=450" in example
    monkeypatch.chdir(tmp_path)
    names = {}
    exec(example.replace("outer_steps=450", "outer_steps=5"), names)
    assert "400 test images of digits" in capsys.readouterr().out
    assert dd.accuracy(names["network"], names["data"].test) == dd.evaluate(
        names["state"].best, names["start"].networks(), names["goal"], names["data"].test).mean


def test_the_lock_holds_every_package_in_a_version_that_fits():
    """`make setup` installs what requirements.lock names: all that pyproject.toml asks for, within bounds, from anywhere."""
    from packaging.requirements import Requirement

    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in text and "--index" not in text
    locked = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            one = Requirement(line)
            locked.setdefault(one.name.lower(), []).append(next(iter(one.specifier)).version)
    extras = PROJECT["project"]["optional-dependencies"]
    for wanted in map(Requirement, [*PROJECT["project"]["dependencies"], *(line for name in extras for line in extras[name])]):
        if wanted.name != "ddlite":
            assert all(wanted.specifier.contains(version) for version in locked[wanted.name.lower()]), wanted


def test_places_of_the_first_edition_are_still_found():
    """Scripts in which `main` and `grade` are imported from where they were."""
    from ddlite.__main__ import main
    from ddlite.course.grade import grade as now
    from ddlite.grade import grade
    assert callable(main) and grade is now
