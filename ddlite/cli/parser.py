"""The words of the command line. Nothing is imported here that takes long, so that `--help` answers at once.

What the core knows better (experiments, settings, engines, the benchmark's configurations) is named here as well, and a test
holds that both lists say the same.
"""

import argparse
import math
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import ddlite

EXPERIMENTS = ("fixed", "random", "adaptation", "attack")
METHODS = ("dc", "dcc", "idc", "mtt", "textures", "kip", "gcond", "gtn", "past")
POOLS = ("adaptation", "attack")
ENGINES = ("plain", "adjoint", "chain")
GOALS = (90.0, 93.8)  # validation accuracies of the benchmark
THREADS = max(64, 4 * (os.cpu_count() or 1))  # far more of them end the process

# name: (group, kind, least, most, words); the bounds keep a slip of the hand from a run that never ends.
SETTINGS = {
    "data": ("data and networks", str, None, None, "a data set by its name, or an .npz file"),
    "channels": ("data and networks", int, 0, 3, "1: grey, 3: colour, 0: as the pictures are"),
    "source": ("data and networks", str, None, None, "what the networks of a pool are pre-trained on"),
    "pool": ("data and networks", int, 0, 100_000, "pre-trained networks"),
    "known": ("data and networks", bool, None, None, "a pool's first network alone, known beforehand"),
    "pretraining_epochs": ("data and networks", int, 0, 10_000, "epochs of pre-training"),
    "pretraining_rate": ("data and networks", float, 0, 10, "its learning rate"),
    "halve_every": ("data and networks", int, 1, 10_000, "epochs after which that rate is halved"),
    "pretraining_batch": ("data and networks", int, 1, 1_000_000, "its batches"),
    "batches": ("the set", int, 1, 10_000, "of distilled images"),
    "images_per_class_and_batch": ("the set", float, 0, 10_000, "in each of these batches"),
    "passes": ("the set", int, 1, 10_000, "over them, in one training"),
    "step_size": ("the set", float, 0, 1000, "to begin with"),
    "learn_labels": ("the set", bool, None, None, "labels are learned, too"),
    "momentum": ("the set", float, 0, 1, "to begin with; 0: none"),
    "outer_steps": ("learning", int, 1, 100_000_000, "updates of the set"),
    "networks": ("learning", int, 1, 10_000, "in each outer step"),
    "learning_rate": ("learning", float, 0, 1e9, "of the outer optimiser"),
    "batch_size": ("learning", int, 1, 1_000_000, "real images in each outer step"),
    "validate_every": ("learning", int, 1, 100_000_000, "outer steps between two looks at validation images"),
    "validation_networks": ("learning", int, 1, 10_000, "networks of such a look"),
    "victim": ("an attack", int, -1, 100_000, "the class to be mistaken; -1: no attack"),
    "target": ("an attack", int, -1, 100_000, "what it should be taken for"),
}


def parser():
    """The parser of all commands."""
    whole = argparse.ArgumentParser(prog="ddlite", allow_abbrev=False, formatter_class=argparse.RawDescriptionHelpFormatter,
                                    description="Dataset distillation: learn ten images that teach a network.",
                                    epilog="ddlite COMMAND --help says more. To begin with:\n  ddlite sets\n"
                                           "  ddlite distill --output runs/first")
    try:
        number = version("ddlite")
    except PackageNotFoundError:  # run from its folder
        number = ddlite.__version__
    whole.add_argument("--version", action="version", version=f"ddlite {number}")
    commands = whole.add_subparsers(required=True, dest="name", metavar="COMMAND")
    _learn(commands)
    _look(commands)
    bench = _command(commands, "bench", "measure speed, as ratios to the plain way",
                     "ddlite bench --configs a b1", "ddlite bench --repeats 9 --json speed.json")
    bench.add_argument("--configs", nargs="*", metavar="CONFIG", help="which, e.g. a b1 b4 c (all)")
    bench.add_argument("--repeats", type=whole_number(1, 10_000), default=5, metavar="N", help="of each; the medians count (5)")
    bench.add_argument("--json", type=path, metavar="FILE", help="write the rows to this file, too")
    bench.add_argument("--time-to-accuracy", type=whole_number(0, 1000), default=0, metavar="SEEDS",
                       help="also distil ten MNIST images with so many seeds until each goal (0; minutes for each)")
    bench.add_argument("--goals", nargs="+", type=float, metavar="GOAL",
                       help=f"validation accuracies, %%: {', '.join(map(str, GOALS))} (all)")
    _machine(bench)
    queue = _command(commands, "queue", "run the commands of a file one after another", "ddlite queue night.txt",
                     "nohup ddlite queue night.txt &")
    queue.add_argument("file", type=path, help="a command to a line, e.g. distill --output runs/first; # begins a comment")
    queue.add_argument("--nice", type=whole_number(0, 19), default=10, metavar="N",
                       help="how far they give way to other work: 0 to 19 (10)")
    _command(commands, "play", "open the playground, one file, in a browser", "ddlite play")
    grade = _command(commands, "grade", "grade a folder of submissions of one assignment",
                     "ddlite grade handed-in --seed 1234", "ddlite grade handed-in --seed 1234 --jobs 1 --minutes 10")
    grade.add_argument("folder", type=path, help="holds NAME.ipynb of each student; grades.csv and feedback/ are written there")
    grade.add_argument("--seed", type=whole_number(0, 2**32 - 1), default=0, metavar="N",
                       help="of the hidden tests' examples: a number that only you know (0)")
    grade.add_argument("--minutes", type=number_from(0.5, 1440), default=5, metavar="X",
                       help="for each submission; a third of it for a cell: 0.5 to 1440 (5)")
    grade.add_argument("--gib", type=number_from(1, 4096), default=3, metavar="X", help="memory of each, GiB: from 1 (3)")
    grade.add_argument("--jobs", type=whole_number(1, 1024), metavar="N", help="submissions at a time (one for each core)")
    grade.add_argument("--source", type=path, metavar="FOLDER",
                       help="the assignments with their solutions (notebooks/assignments/source)")
    return whole


def _learn(commands):
    distill = _command(commands, "distill", "learn a set for each seed, keep the best", "ddlite distill --output runs/first",
                       "ddlite distill --experiment random --profile laptop --seeds 0 1 2 --output runs/random")
    distill.add_argument("--seeds", type=whole_number(0, 2**32 - 1), nargs="+", default=[0], metavar="N",
                         help="each draws noise, real batches and, unless they come from a pool, networks (0)")
    distill.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True,
                         help="go on where an interrupted run stopped (yes)")
    distill.add_argument("--force", action="store_true", help="overwrite a finished result of other settings")
    distill.add_argument("--engine", choices=ENGINES,
                         help="all give the same numbers up to rounding: plain; adjoint, slower, far less memory; chain, fast "
                              "for networks like LeNet (what fits)")
    baselines = _command(commands, "baselines", "score sets of images without learning (Table 1's row)",
                         "ddlite baselines --output runs/base", "ddlite baselines --experiment random --output runs/base")
    baselines.add_argument("--epochs", type=whole_number(1, 10_000), default=10, metavar="N",
                           help="of training on all real images (10)")
    baselines.add_argument("--force", action="store_true", help="overwrite a finished result of other settings")
    pretrain = _command(commands, "pretrain", "fill a pool of pre-trained networks, and score them",
                        "ddlite pretrain --output runs/pool", "ddlite pretrain --experiment attack --output runs/pool")
    pretrain.add_argument("--force", action="store_true", help="overwrite a finished result of other settings")
    for each in (distill, baselines, pretrain):
        fills = each is pretrain
        which = each.add_mutually_exclusive_group()
        which.add_argument("--experiment", "--start", choices=POOLS if fills else EXPERIMENTS,
                           default="adaptation" if fills else "fixed",
                           help="one network, fresh ones, or pre-trained ones to adapt or attack (%(default)s)")
        if not fills:
            which.add_argument("--method", choices=METHODS, help="a later method, from the gallery, in place of an experiment")
        each.add_argument("--profile", default="quick", metavar="NAME", help="settings; `ddlite profiles` lists them (quick)")
        each.add_argument("--output", type=output, required=True, help="the results: OUTPUT.json (and OUTPUT.safetensors)")
        if not fills:
            _held_out(each, None)
        _machine(each)
        if each is not baselines:
            _processes(each)
        groups = {}
        for name, (group, kind, least, most, words) in SETTINGS.items():
            if group not in groups:
                groups[group] = each.add_argument_group(group, "in place of the profile's")
            option = f"--{name.replace('_', '-')}"
            if kind is bool:
                groups[group].add_argument(option, action=argparse.BooleanOptionalAction, help=words)
            elif kind is str:
                groups[group].add_argument(option, metavar="NAME", help=words)
            else:
                check = whole_number(least, most) if kind is int else number_from(least, most)
                groups[group].add_argument(option, type=check, metavar="N" if kind is int else "X",
                                           help=f"{words}: {least:,} to {most:,}")
        each.add_argument("--images-per-class", dest="images_per_class_and_batch", type=number_from(0, 10_000),
                          help=argparse.SUPPRESS)  # its name in the first edition, in which commands of manifests are written


def _look(commands):
    judge = _command(commands, "evaluate", "train networks on a set and score them", "ddlite evaluate digits-fixed-10",
                     "ddlite evaluate runs/first.safetensors --json")
    judge.add_argument("set", type=name, help="a .safetensors file, or the name of a set that ships")
    judge.add_argument("--data", metavar="NAME", help="on which to score, normalised alike (the set's own)")
    judge.add_argument("--source", metavar="NAME", help="on which its networks were pre-trained, where that is a file of yours")
    judge.add_argument("--network", nargs="+", metavar="NAME",
                       help="other networks than the set's own: MLP, LeNet, SmallLeNet, ConvNet3, or ConvNet3:16 of width 16")
    judge.add_argument("--json", action="store_true", help="print all numbers as JSON")
    _held_out(judge)
    _machine(judge)
    _processes(judge)
    show = _command(commands, "show", "write the picture of a set, and say what is known of it",
                    "ddlite show digits-fixed-10 --output digits", "ddlite show runs/first.safetensors --output runs/first")
    show.add_argument("set", type=name, help="a .safetensors file, or the name of a set that ships")
    show.add_argument("--output", type=output, required=True, help="the picture: OUTPUT.png")
    _command(commands, "sets", "list the sets that ship", "ddlite sets", "ddlite evaluate digits-fixed-10")
    profiles = _command(commands, "profiles", "list the settings of each experiment, method and profile", "ddlite profiles",
                        "ddlite profiles random")
    profiles.add_argument("experiment", nargs="?", choices=(*EXPERIMENTS, *METHODS), metavar="NAME",
                          help=f"one experiment or method alone: {', '.join((*EXPERIMENTS, *METHODS))} (all)")


def _command(commands, name, words, *examples):
    return commands.add_parser(name, allow_abbrev=False, help=words, description=f"{words[0].upper()}{words[1:]}.",
                               formatter_class=argparse.RawDescriptionHelpFormatter,
                               epilog="examples:\n" + "\n".join(f"  {example}" for example in examples))


def _held_out(command, default=200):
    command.add_argument("--held-out", type=whole_number(1, 100_000), default=default, metavar="N",
                         help="held-out networks, unless the start is fixed: 1 to 100,000 "
                              f"({default or '200; 10 of a --method'})")


def _machine(command):
    command.add_argument("--threads", type=whole_number(1, THREADS), metavar="N",
                         help=f"of PyTorch: 1 to {THREADS} (OMP_NUM_THREADS, else 1); more help on a quiet machine only")
    command.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")


def _processes(command):
    command.add_argument("--processes", type=whole_number(1, THREADS), default=1, metavar="N",
                         help="that share the networks, on this machine: as many CPU cores, or GPUs (1)")


def whole_number(least, most):
    """What reads a whole number in a range from the command line."""
    def read(text):
        try:
            number = int(text)
        except ValueError:
            number = None
        if number is None or not least <= number <= most:
            raise argparse.ArgumentTypeError(f"{text[:40]}: a whole number from {least:,} to {most:,} is needed")
        return number

    return read


def number_from(least, most):
    """What reads a finite number in a range; likewise."""
    def read(text):
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not least <= number <= most:  # so is NaN refused
            raise argparse.ArgumentTypeError(f"{text[:40]}: a number from {least:,} to {most:,} is needed")
        return number

    return read


def path(text):
    """A path from the command line; `~` is the home folder."""
    if not text.strip() or "\0" in text:
        raise argparse.ArgumentTypeError("the name of a file or folder is needed")
    try:
        return Path(text).expanduser()
    except RuntimeError as cause:
        raise argparse.ArgumentTypeError(f"{text}: there is no such home folder") from cause


def name(text):
    """The name of a set, or the path of its file, as it was typed."""
    path(text)
    return text


def output(text):
    """What results are called: a path whose last part begins the files' names."""
    found = path(text)
    if len(os.fsencode(found.name)) > 200:  # names of files are made of it
        raise argparse.ArgumentTypeError(f"{text[:40]}...: a name of at most 200 bytes is needed")
    if text.endswith(("/", os.sep)) or found.name in ("", "..") or found.is_dir():
        raise argparse.ArgumentTypeError(f"{text} is a folder: name the files in it, e.g. {found / 'run'}")
    return found
