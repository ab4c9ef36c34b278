"""What several commands need: settings with what identifies a result, starts, sets, a lock on a result, progress."""

import contextlib
import difflib
import math
import shlex
import subprocess
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path

import filelock
import torch

import ddlite as dd
from ddlite.cli.parser import SETTINGS
from ddlite.machinery import ranks
from ddlite.machinery.files import read_json

EVERY = 30  # seconds between two lines of progress where no bar can be drawn
OLDER = {"images_per_class": "images_per_class_and_batch"}  # names of settings in older manifests
POOLED = ("source", "pool", "known", "pretraining_epochs", "pretraining_rate", "halve_every", "pretraining_batch")
LATER = ("engine", "threads")  # of these, manifests of the first edition say nothing


@contextlib.contextmanager
def locked(output):
    """No other process writes the same results meanwhile; a process that was killed holds no lock.

    Raises ValueError if another one does. Of several processes under `torchrun`, the first one holds the lock.
    """
    lock = filelock.FileLock(output.with_name(f".{output.name}.lock"), timeout=0)

    def take():
        try:
            output.parent.mkdir(parents=True, exist_ok=True)
            lock.acquire()
        except filelock.Timeout as cause:
            raise ValueError(f"Another process is writing {output}: wait until it has ended, or choose another "
                             "--output.") from cause
        except OSError as cause:
            raise OSError(cause.errno, f"{output.parent} cannot be written to ({cause.strerror}): choose another "
                                       "--output.") from cause

    ranks.from_first(take)
    try:
        yield
    finally:
        if lock.is_locked:
            lock.release()
            with contextlib.suppress(OSError):  # another one may hold it by now (Windows)
                Path(lock.lock_file).unlink(missing_ok=True)


class Lines:
    """A line of progress every half minute where the error output is no terminal."""

    def __init__(self, name, total, speaks=True):
        self.name, self.total, self.began, self.first, self.score = name, total, time.monotonic(), None, None
        self.speaks, self.last = speaks and not sys.stderr.isatty(), self.began

    def tell(self, state):
        """Tell how far a distillation is, if it is time to. The loss is looked at then alone: a GPU need not be waited for."""
        now = time.monotonic()
        self.first = state.outer_step - 1 if self.first is None else self.first
        self.score = self.score if state.score is None else state.score
        if self.speaks and now - self.last >= EVERY:
            seconds, self.last = now - self.began, now
            score = f"validation {self.score:.1f}, best {state.best_score:.1f}" if self.score is not None else \
                f"loss {state.loss:.3g}"
            rate = (state.outer_step - self.first) / seconds if seconds else math.inf
            print(f"{self.name}: step {state.outer_step} of {self.total}, {score}, {seconds:.0f} s, {rate:.3g} steps/s, "
                  f"{(self.total - state.outer_step) / rate:.0f} s left", file=sys.stderr, flush=True)


def prepare(options):
    """Settings, data, and what identifies a result: its configuration, its data, the engine and the number of threads."""
    if "held_out" in options and options.held_out is None:
        options.held_out = 10 if options.method else 200
    if getattr(options, "method", None):
        return prepare_method(options)
    known = {field.name for field in fields(dd.profiles.Settings)}
    changes = {name: value for name, value in vars(options).items() if name in known - {"start"}}
    profiles = dd.profiles.PROFILES[options.experiment]
    if options.profile not in profiles:
        close = difflib.get_close_matches(options.profile, profiles, 1)
        raise ValueError(f"There is no profile {options.profile!r} of {options.experiment}. "
                         f"{f'Did you mean {close[0]}? ' if close else ''}Known: {', '.join(profiles)}.")
    settings = dd.profiles.of(options.experiment, options.profile, **changes)
    idle = [f"--{name.replace('_', '-')}" for name in POOLED if changes.get(name) is not None]
    if idle and settings.start != "pool":
        raise ValueError(f"{', '.join(idle)}: the networks of {options.experiment} {options.profile} are not pre-trained, so "
                         "that this would change nothing. Leave it out, or choose --experiment adaptation or attack.")
    if settings.batches * settings.passes > 100_000:
        raise ValueError(f"{settings.batches} batches x {settings.passes} passes are more than 100,000 gradient steps in each "
                         "training: lower --batches or --passes.")
    data = settings.load(options.device)
    configuration = {**asdict(settings), "network": settings.network.__name__}
    several = {} if settings.start == "fixed" or settings.known else {"held_out": getattr(options, "held_out", None)}
    return settings, data, {"configuration": configuration, "data_fingerprint": data.fingerprint, **several,
                            "engine": getattr(options, "engine", None), "threads": torch.get_num_threads()}


def prepare_method(options):
    """The same for a method of the gallery, whose settings are a dict."""
    from ddlite.cli import methods  # the gallery is needed by nobody else

    if getattr(options, "engine", None):
        raise ValueError(f"--engine is for trainings that are differentiated, and {options.method} chooses its own way: leave "
                         "it out.")
    changes = {name: getattr(options, name) for name in SETTINGS}
    settings = methods.settings_of(options.method, options.profile, **changes)
    data = methods.METHODS[options.method].load(settings, options.device)
    return settings, data, {"method": options.method, "configuration": methods.as_json(settings, data),
                            "data_fingerprint": data.fingerprint, "held_out": options.held_out, "engine": None,
                            "threads": torch.get_num_threads()}


def starts(settings, data, seed, held_out):
    """Where training starts; pools of pre-trained networks are kept under the data root, and what is missing is made first.

    Every seed meets the same pool, so that five seeds do not cost five of them.
    """
    same = settings.start == "pool" and not settings.known
    start = settings.starts(data, 0 if same else seed, folder=dd.data.data_root() / "pools")
    return start.fill(validation=settings.validation_networks, held_out=held_out) if isinstance(start, dd.PoolStart) else start


def other_than(identity, about):
    """In words, in what a kept result differs from the one that is wanted; empty if in nothing."""
    theirs, ours = ({OLDER.get(key, key): value for key, value in {**one, **(one.get("configuration") or {})}.items()}
                    for one in (about, identity))
    return "; ".join(f"{key} {theirs.get(key)!r} there, {value!r} here" for key, value in ours.items()
                     if key != "configuration" and theirs.get(key) != value and (key in theirs or key not in LATER))


def refuse_to_overwrite(manifest, identity, force):
    """Raise ValueError where a finished result of other settings would be lost, unless that is what was asked for."""
    if not force and manifest.is_file() and (other := other_than(identity, kept(manifest))):
        raise ValueError(f"{manifest} is a finished result of other settings ({other}): choose another --output, or overwrite "
                         "it with --force.")


def kept(manifest):
    """What a manifest says, a dict. Raises ValueError if it is none."""
    about = read_json(manifest)
    if not isinstance(about, dict) or not isinstance(about.get("configuration", {}), dict):
        raise ValueError(f"{manifest} is no manifest: remove it, or choose another --output.")
    return about


def open_set(name):
    """A set from a file, or one that ships."""
    return dd.DistilledSet.shipped(name) if name in (*dd.shipped(), *dd.shipped("gallery")) else dd.DistilledSet.load(name)


def command():
    """The command that makes a result again, as it was typed."""
    processes = ranks.here()[1]
    several = ["--processes", str(processes)] if processes > 1 else []
    return f"python -m {shlex.join(['ddlite', *sys.argv[1:], *several])}"


def commit():
    """The commit of the code that computes a result, marked where the code was changed since; None outside a repository."""
    try:
        return subprocess.run(["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True,
                              text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
