"""What watches over a submission in its own kernel: names are put back before each cell, and what was changed is noted.

This is a guard rail, not a prison. Where there is a wall (see `wall`), that is what protects others; where there is none, the
guard also refuses what an answer does not need: programs, files of others, writing outside the scratch folder.
"""

import ast
import builtins
import contextlib
import hashlib
import hmac
import importlib
import inspect
import json
import os
import sys

import torch

import ddlite.course
import ddlite.show  # noqa: F401 (what is loaded is watched over)

SHELL = ("run_cell", "run_cell_async", "_run_cell", "run_code", "run_ast_nodes", "showtraceback",
         "showsyntaxerror", "transform_cell")  # how IPython runs a cell and says what went wrong
TRACING = "sys.settrace"  # with it, or a profile, code can change what another function's names stand for
ITS_OWN = {"_", "input", "getpass", "display", "get_ipython", "exit", "quit", "help"}  # builtins that IPython exchanges itself


def guard(shell, secret, given, tests, alone=None):
    """Watch over this process from now on.

    Args:
        shell: IPython's shell.
        secret: signs the report that is printed after a cell whose code is `# report` and a word.
        given: the code of the cells that are the teacher's.
        tests: {code of a check: its grade id}.
        alone: (scratch folder, hidden folders) where no wall stands: files may be written in the first only, and read in none
            of the second.

    Before and after each cell all names in ddlite, its classes, PyTorch, Python's built-ins and IPython's ways to run a cell,
    and all names that the teacher's cells defined, are what they were. The report says which checks ran to their end
    untouched, and what was changed.
    """
    _load(given)
    put_back, given, tests = _snapshot(shell), frozenset(code.strip() for code in given), dict(tests)
    defined, before, passed, changed, traced, callbacks = {}, {}, {}, set(), set(), shell.events.callbacks
    secret, dumps, sign, say, strip = secret.encode(), json.dumps, hmac.new, print, str.strip

    def first(info):
        changed.update(put_back())
        shell.user_ns.update(defined)
        before.clear()
        before.update(shell.user_ns)
        traced.clear()

    def last(result):
        code, in_here = strip(result.info.raw_cell), set(traced)
        now = {*put_back(), *(in_here if code in tests else ())}
        changed.update(now)
        if code in tests:
            passed[tests[code]] = bool(result.success) and not now
        if code in given:
            defined.update({name: value for name, value in shell.user_ns.items()
                            if not name.startswith("_") and before.get(name, given) is not value})
        if code.startswith("# report "):
            report = dumps({"word": code[9:], "passed": passed, "changed": sorted(changed)})
            say(f"{sign(secret, report.encode(), hashlib.sha256).hexdigest()} {report}")

    def ours():
        for event, mine in (("pre_run_cell", first), ("post_run_cell", last)):
            if mine not in callbacks[event]:
                callbacks[event].insert(0, mine)

    ours()
    # Profiles are looked at between the cells alone: checks set some themselves.
    sys.addaudithook(lambda event, arguments: traced.add(event) if event == TRACING else None)
    if alone:
        _refuse_everything_else(*alone)


def _load(given):
    """Load what the teacher's cells import: what is loaded is watched over, and nothing else can take its place."""
    for code in given:
        with contextlib.suppress(SyntaxError):  # IPython's own commands
            for node in ast.walk(ast.parse(code)):
                module = getattr(node, "module", None) or ""
                for one in node.names if isinstance(node, (ast.Import, ast.ImportFrom)) else ():
                    for name in filter(None, (module, f"{module}.{one.name}".strip("."))):
                        with contextlib.suppress(Exception):  # a name in a module, or what is not installed
                            importlib.import_module(name)


def _snapshot(shell):
    """A function that puts back what was changed since now, and returns the names of that."""
    packages = {name: module for name, module in sys.modules.items() if name.split(".")[0] in ("ddlite", "torch", "builtins")}
    modules = [module for name, module in sorted(sys.modules.items()) if name.split(".")[0] == "ddlite"]
    classes = [value for module in modules for value in list(vars(module).values())
               if inspect.isclass(value) and value.__module__.startswith("ddlite")]
    strict = {id(owner) for owner in (*modules, *classes)}
    owners = [*modules, *classes, builtins, torch, torch.autograd, torch.nn.functional, torch.testing, torch.Tensor, torch.func]
    kept = [(owner, {name: value for name, value in vars(owner).items()
                     if owner is not builtins or name not in ITS_OWN}) for owner in owners]
    functions = list({id(value): value for owner in (*modules, *classes) for value in vars(owner).values()
                      if inspect.isfunction(value)}.values())
    codes = [(function, function.__code__, function.__defaults__, function.__kwdefaults__) for function in functions]
    manager = shell.input_transformer_manager
    lists = [(owner, name, list(getattr(owner, name))) for owner, name in (
        (shell, "input_transformers_post"), (shell, "ast_transformers"), (manager, "cleanup_transforms"),
        (manager, "line_transforms"), (manager, "token_transformers")) if hasattr(owner, name)]
    methods = {name: getattr(type(shell), name) for name in SHELL if hasattr(type(shell), name)}
    tensor, everything, builtin = set(vars(torch.Tensor)), sys.modules, set(vars(builtins))
    tracers = (sys.gettrace, sys.settrace, TRACING), (sys.getprofile, sys.setprofile, "sys.setprofile")

    def put_back():
        found = []
        for now, setter, name in tracers:
            if now() is not None:
                setter(None)
                found.append(name)
        for name, module in packages.items():
            if everything.get(name) is not module:
                everything[name] = module
                found.append(f"sys.modules[{name!r}]")
        for owner, names in kept:
            there = vars(owner)
            for name, value in names.items():
                other = there.get(name)
                if other is not value:
                    setattr(owner, name, value)
                    if id(owner) in strict or getattr(other, "__module__", "__main__") == "__main__":
                        found.append(f"{owner.__name__}.{name}")
        for owner, names in kept:
            for name in (set(vars(owner)) & builtin) - set(names) if id(owner) in strict else ():
                delattr(owner, name)  # it hid a built-in
                found.append(f"{owner.__name__}.{name}")
        for name in set(vars(torch.Tensor)) - tensor:
            delattr(torch.Tensor, name)
            found.append(f"Tensor.{name}")
        for function, code, defaults, keywords in codes:
            if (function.__code__, function.__defaults__, function.__kwdefaults__) != (code, defaults, keywords):
                function.__code__, function.__defaults__, function.__kwdefaults__ = code, defaults, keywords
                found.append(f"the code of {function.__qualname__}")
        for owner, name, items in lists:
            if list(getattr(owner, name)) != items:
                getattr(owner, name)[:] = items
                found.append(f"IPython's {name}")
        for name, method in methods.items():
            if name in vars(shell) or getattr(type(shell), name) is not method:
                vars(shell).pop(name, None)
                setattr(type(shell), name, method)
                found.append(f"IPython's {name}")
        return found

    return put_back


def _refuse_everything_else(scratch, hidden):
    """Refuse, in this process and from now on: PermissionError where it is tried."""
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_TRUNC
    programs = frozenset({"subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.kill",
                          "os.killpg", "pty.spawn", "socket.connect", "socket.getaddrinfo"})
    changes = frozenset({"os.remove", "os.rename", "os.rmdir", "os.mkdir", "os.truncate", "os.chmod", "os.link", "os.symlink",
                         "shutil.move", "shutil.rmtree", "sqlite3.connect"})
    two_places, reads = frozenset({"os.rename", "os.link", "os.symlink", "shutil.move"}), frozenset(
        {"open", "os.listdir", "os.scandir"})
    realpath, basename, fsdecode, null, separator = os.path.realpath, os.path.basename, os.fsdecode, os.devnull, os.sep
    scratch, hidden = realpath(scratch), tuple(realpath(folder) for folder in hidden)

    def inside(path, folder):
        return path == folder or path.startswith(folder + separator)

    def refuse(event, arguments):
        if event in programs:
            raise PermissionError("While it is graded, a notebook may not start, or talk to, other programs.")
        if (event not in changes and event not in reads) or not isinstance(arguments[0], (str, bytes, os.PathLike)):
            return
        changing = event in changes or (event == "open" and arguments[2] & writing)
        for place in arguments[: 2 if event in two_places else 1]:
            path = realpath(fsdecode(place))
            if changing and not inside(path, scratch) and path != null:
                raise PermissionError(f"While it is graded, a notebook may not write or remove files: {basename(path)}")
            if any(inside(path, folder) for folder in hidden) or path.endswith((".ipynb", ".db")):
                raise PermissionError(f"While it is graded, a notebook may not read this file: {basename(path)}")

    sys.addaudithook(refuse)
