"""A wall of the operating system around a submission's kernel: bubblewrap, where it is installed and allowed.

Behind it there is Python with its packages, to be read, and an empty scratch folder. There is no network, no process but its
own, no file of the teacher's or of other students, and a clean environment.
"""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import ddlite

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d",
          "/etc/alternatives", "/etc/fonts", "/etc/localtime", "/etc/ssl/certs", "/nix/store")
PYTHON = os.path.abspath(sys.executable)  # behind the wall there are no folders beside Python's to go back through, as in ../
TEMPORARY, LARGEST = "/tmp", 2**28  # inside the wall; bytes that may be written there
SCRATCH = f"{TEMPORARY}/scratch"


@functools.cache
def stands():
    """Whether such a wall can be built here: bubblewrap is installed, and the system lets it work."""
    try:
        command = [*around(environment=clean_environment(SCRATCH, 0)), PYTHON, "-c", "import zmq, ddlite"]
        tried = subprocess.run(command, capture_output=True, timeout=300, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return tried.returncode == 0


def around(sockets=None, environment=None):
    """The beginning of a command that runs behind the wall.

    Args:
        sockets: a folder outside through which the kernel is talked to; the only one that can be written to.
        environment: what stands in the environment there, and nothing else.
    """
    readable = map(os.path.abspath, (Path(ddlite.__file__).parent, sys.prefix, sys.base_prefix, sys.exec_prefix))
    parts = [shutil.which("bwrap") or "bwrap", "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session",
             "--clearenv", "--proc", "/proc", "--dev", "/dev", "--size", str(LARGEST), "--tmpfs", "/dev/shm",
             "--remount-ro", "/dev", "--size", str(LARGEST), "--tmpfs", TEMPORARY, "--dir", SCRATCH]
    for folder in (*SYSTEM, *dict.fromkeys(readable)):
        parts += ["--ro-bind-try", folder, folder]
    if sockets:
        parts += ["--bind", str(sockets), str(sockets)]
    for name, value in (environment or {}).items():
        parts += ["--setenv", name, value]
    return [*parts, "--remount-ro", "/", "--uid", "65534", "--gid", "65534", "--chdir", SCRATCH, "--"]


def words():
    """What protects the others from a submission here: a line to begin the output with."""
    if stands():
        return "Each submission runs behind a wall of its own (bubblewrap): no network, no files or processes of others."
    why = "is not allowed to build a wall here" if shutil.which("bwrap") else "is not installed"
    return (f"No wall: bubblewrap {why}. The guard rail alone keeps submissions from each other's files: grade only people "
            "whom you know, or in a container or virtual machine.")


def clean_environment(folder, seed):
    """The environment of a submission's kernel."""
    own = {name: os.environ[name] for name in ("LANG", "LC_ALL", "TZ") if name in os.environ}
    places = {"IPYTHONDIR": "ipython", "MPLCONFIGDIR": "matplotlib", "TMPDIR": ".", "TEMP": ".", "HOME": ".",
              "JUPYTER_RUNTIME_DIR": "runtime", "XDG_CACHE_HOME": "cache"}
    here = Path(ddlite.__file__).resolve().parents[1]
    if not here.is_relative_to(sys.prefix):  # a checkout: Python looks nowhere else for what is not installed
        own["PYTHONPATH"] = str(here)
    return {**own, "PATH": f"{Path(PYTHON).parent}{os.pathsep}{os.defpath}", "OMP_NUM_THREADS": "1",
            "MKL_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "DDLITE_TEACHERS_SEED": str(seed),
            **{name: os.path.normpath(os.path.join(folder, place)) for name, place in places.items()}}
