"""Guard rails for a submission's kernel: it keeps to its own folder, and to Python. Not a prison: see notebooks/TEACHING.md."""

import builtins
import inspect
import os
import sys

import torch

import ddlite.course
import ddlite.show

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
PROGRAMS = {"subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.kill", "os.killpg",
            "pty.spawn", "socket.connect", "socket.getaddrinfo"}
CHANGES = {"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.link", "os.symlink", "shutil.move",
           "shutil.rmtree"}
TWO_PLACES = {"os.rename", "os.link", "os.symlink", "shutil.move"}  # from, to
READS = {"open", "os.listdir", "os.scandir"}


def guard(shell, scratch, hidden, given=()):
    """Refuse, in this process and from now on, what an answer does not need; undo changes to what answers are checked with.

    Args:
        shell: IPython's shell.
        scratch: the one folder in which files may be written.
        hidden: folders in which no file may be read: other submissions, solutions, grades.
        given: the code of the cells that are the teacher's.

    Whatever is refused raises PermissionError where it is tried. Before each cell all names in ddlite, its classes, PyTorch
    and Python's built-ins, and all names that the teacher's cells defined, are what they were: a check redefined in one cell
    is itself again in the next.
    """
    owners = [builtins, torch, torch.autograd, torch.nn.functional, torch.testing, ddlite]
    owners += [module for name, module in sorted(sys.modules.items()) if name.startswith("ddlite.")]
    owners += [value for value in vars(ddlite).values() if inspect.isclass(value)]
    kept = [(owner, dict(vars(owner))) for owner in owners]
    given, defined, before = {code.strip() for code in given}, {}, {}

    def put_back(info):
        for owner, names in kept:
            for name, value in names.items():
                if vars(owner).get(name) is not value:
                    setattr(owner, name, value)
        shell.user_ns.update(defined)
        before.clear()
        before.update(shell.user_ns)

    def keep(result):
        if result.info.raw_cell.strip() in given:
            defined.update({name: value for name, value in shell.user_ns.items()
                            if not name.startswith("_") and before.get(name, given) is not value})

    scratch, hidden = os.path.realpath(scratch), [os.path.realpath(folder) for folder in hidden]

    def inside(path, folder):
        return path == folder or path.startswith(folder + os.sep)

    def refuse(event, arguments):
        if event in PROGRAMS:
            raise PermissionError("While it is graded, a notebook may not start, or talk to, other programs.")
        if event not in CHANGES | READS or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        changes = event in CHANGES or (event == "open" and arguments[2] & WRITING)
        for place in arguments[: 2 if event in TWO_PLACES else 1]:
            path = os.path.realpath(os.fsdecode(place))
            if changes and not inside(path, scratch) and path != os.devnull:
                raise PermissionError(f"While it is graded, a notebook may not write or remove files: {os.path.basename(path)}")
            if any(inside(path, folder) for folder in hidden) or path.endswith((".ipynb", ".db")):
                raise PermissionError(f"While it is graded, a notebook may not read this file: {os.path.basename(path)}")

    shell.events.register("pre_run_cell", put_back)
    shell.events.register("post_run_cell", keep)
    sys.addaudithook(refuse)
