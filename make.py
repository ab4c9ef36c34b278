"""Set-up and the project's commands, in plain Python (3.11 or later), with or without make.

    python make.py demo         set up, run notebook 01 in the quick profile, write it as HTML under build/
    python make.py test         set up, run all tests
    python make.py lab          set up, open JupyterLab on lesson 1 in student/, with the lessons and assignments to work in
    python make.py notebooks    run all notebooks in the quick profile and store their outputs
    python make.py assignments  make the students' copies of the assignments from their sources
    python make.py site         build the website into build/site/, offline
    python make.py links        print the Binder, Colab and nbgitpuller links
    python make.py setup        set up only: a virtual environment in .venv, with the versions of requirements.lock
    python make.py lock         choose the newest versions anew
"""

import hashlib
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
LOCK = HERE / "requirements.lock"
EXTRAS = ("notebooks", "course", "test", "site")
PYTHON = VENV / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def setup():
    """Make .venv with ddlite and all that notebooks and tests need; nothing is done when it is already so."""
    if sys.version_info < (3, 11):  # noqa: UP036 (this very file must say so, not fail)
        sys.exit(f"ddlite needs Python 3.11 or later; this is {sys.version.split()[0]}.")
    stamp, chosen = VENV / "ddlite-setup", (HERE / "pyproject.toml").read_bytes() + LOCK.read_bytes()
    wanted = hashlib.sha256(chosen).hexdigest()
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print("Setting up .venv (the first time minutes and some GB, most of it PyTorch) ...", flush=True)
    if not works():  # one that is in use cannot be made anew
        venv.create(VENV, with_pip=True)
    pip = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    try:
        run(*pip, "uv")
        install = ("-m", "uv", "pip", "install", "--compile-bytecode", "--python", PYTHON)
    except SystemExit:
        print("uv cannot be had here: pip installs the same, in more time ...", flush=True)
        install = pip
    run(*install, "--requirement", LOCK)
    run(*install, "--no-deps", "--editable", HERE)
    stamp.write_text(wanted)


def works():
    """Whether there is a .venv whose Python runs and has pip: one that was cut short, or whose Python is gone, does not."""
    try:
        return subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def lock():
    """Choose the newest versions that fit pyproject.toml, for all systems and Pythons, and write them down."""
    setup()
    run("-m", "uv", "pip", "compile", "--quiet", "--upgrade", "pyproject.toml", *(f"--extra={name}" for name in EXTRAS),
        "--universal", "--python-version", "3.11", "--no-emit-index-url", "--no-annotate", "--output-file", LOCK,
        "--custom-compile-command", "python make.py lock")


def demo():
    setup()
    run("notebooks/execute.py", "demo")


def test():
    setup()
    run("-m", "pytest", *sys.argv[2:])


def lab():
    setup()
    run("notebooks/classroom.py", HERE / "student")  # what is there already stays as it is
    run("-m", "jupyterlab", "--ServerApp.ip=127.0.0.1", f"--ServerApp.root_dir={HERE / 'student'}",
        "--LabApp.default_url=/lab/tree/01_fixed_initialization.ipynb")


def notebooks():
    setup()
    run("notebooks/execute.py", "store")


def assignments():
    setup()
    run("notebooks/assignments/release.py")


def site():
    setup()
    run("site/build.py")


def links():
    """The links are made from one value in pyproject.toml: tool.ddlite.repository."""
    import tomllib

    address = tomllib.loads((HERE / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["ddlite"]["repository"].rstrip("/")
    if not address.startswith("https://github.com/"):
        sys.exit('Set repository = "https://github.com/OWNER/NAME" under [tool.ddlite] in pyproject.toml first.')
    name = address.removeprefix("https://github.com/")
    first, release = "notebooks/01_fixed_initialization.ipynb", "notebooks/assignments/release"
    print(f"Binder       https://mybinder.org/v2/gh/{name}/main?urlpath=lab/tree/student/{Path(first).name}")
    print(f"             https://mybinder.org/v2/gh/{name}/main?urlpath=lab/tree/{release} (the assignments)")
    print(f"Colab        https://colab.research.google.com/github/{name}/blob/main/{first}")
    print(f"             (there, run in a cell of its own first: %pip install 'ddlite[notebooks] @ git+{address}')")
    for path, words in ((first, ""), (release, " (the assignments)")):
        print(f"nbgitpuller  https://YOUR-HUB/hub/user-redirect/git-pull?repo={address}&branch=main"
              f"&urlpath=lab/tree/{name.split('/')[1]}/{path}{words}")


def run(*arguments):
    """Run .venv's Python here; a failure ends this program with the same status.

    With one thread, unless OMP_NUM_THREADS says otherwise: beside other work, two can be forty times slower.
    """
    environment = {"OMP_NUM_THREADS": "1", **os.environ}
    try:
        status = subprocess.run([PYTHON, *map(str, arguments)], cwd=HERE, env=environment, check=False).returncode
    except KeyboardInterrupt:
        status = 130
    if status:
        sys.exit(status)


if __name__ == "__main__":
    commands = {command.__name__: command for command in (setup, demo, test, lab, notebooks, assignments, site, links, lock)}
    if len(sys.argv) < 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    commands[sys.argv[1]]()
