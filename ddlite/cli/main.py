"""The command line: `ddlite distill | baselines | pretrain | evaluate | show | sets | profiles | queue | bench | grade`.

`distill`, `baselines` and `pretrain` make the results that ship, with their manifests; `evaluate` and `show` look at a set;
`bench` measures speed; `grade` marks what students hand in. With `--processes N`, `distill`, `pretrain` and
`evaluate` share their networks among N processes, or GPUs, of this machine, which nobody else can reach; over several machines
`torchrun ... -m -- ddlite` does so. (The two dashes keep torchrun's hands off --start.)
"""

import contextlib
import os
import signal
import sys

from ddlite.cli.parser import parser
from ddlite.cli.signals import Ended, ending, handled

KEEP = ("distill", "pretrain", "queue")  # what is interrupted goes on from where it was


def main(arguments=None):
    """Run a command; `arguments` are those of the command line unless given. Ends with SystemExit where something is wrong."""
    if not sys.stderr.isatty():  # a log wants a line of progress every half minute, and not ten a second
        os.environ.setdefault("TQDM_MININTERVAL", "30")
    with handled(lambda number, frame: os._exit(128 + number)):  # an exception amid PyTorch's import might come out as another
        options = _options(arguments)
        from ddlite.public import Diverged

    try:
        with handled(ending):
            _run(options, arguments)
            sys.stdout.flush()
    except KeyboardInterrupt as interrupt:
        kept = options.name in KEEP
        lost = "Nothing is lost: the same command goes on from here." if kept else "What was not finished is lost."
        print(f"Interrupted. {lost}", file=sys.stderr)
        sys.exit(128 + (interrupt.number if isinstance(interrupt, Ended) else signal.SIGINT))
    except BrokenPipeError:  # `| head` has seen enough; nothing may be flushed to it at the end
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except (ValueError, OSError, MemoryError, Diverged) as error:
        sys.exit(f"ddlite: {error}")
    except ModuleNotFoundError as error:
        sys.exit(f"ddlite: {error}. Pictures and grading need more packages: pip install 'ddlite[notebooks,course]'.")


def _options(arguments):
    parse = parser()
    options, unknown = parse.parse_known_args(arguments)
    if unknown:  # the command's own parser knows the options to list
        commands = next(action for action in parse._actions if action.dest == "name").choices
        commands[options.name].error(f"unrecognized arguments: {' '.join(unknown)}")
    return options


def _run(options, arguments):
    """The command by its name; only what it needs is imported."""
    if options.name == "play":
        from ddlite.cli import play
        play.play()
        return

    if options.name == "queue":
        from ddlite.cli import queue
        queue.queue(options)
        return

    from ddlite.machinery import ranks, threads

    if getattr(options, "processes", 1) > 1 and "RANK" not in os.environ:
        words = sys.argv[1:] if arguments is None else list(map(str, arguments))
        ranks.launch(options.processes, _without_processes(words))
    threads.settle(getattr(options, "threads", None))
    command = _command(options.name)
    if options.name not in ("distill", "pretrain", "evaluate"):
        command(options)
        return
    with ranks.joined(options.device) as options.device:
        with contextlib.redirect_stdout(None) if ranks.here()[0] else contextlib.nullcontext():
            command(options)


def _without_processes(words):
    """The words of a command for each of its processes."""
    kept = list(words)
    for k in reversed(range(len(kept))):
        if kept[k] == "--processes":
            del kept[k:k + 2]
        elif kept[k].startswith("--processes="):
            del kept[k]
    return kept


def _command(name):
    if name in ("distill", "baselines", "pretrain"):
        from ddlite.cli import learn
        return {"distill": learn.distill, "baselines": learn.compare_baselines, "pretrain": learn.pretrain}[name]
    if name == "bench":
        from ddlite.cli import measure
        return measure.measure_speed
    if name == "grade":
        from ddlite.cli import mark
        return mark.grade
    from ddlite.cli import look
    return {"evaluate": look.evaluate, "show": look.show, "sets": look.sets, "profiles": look.profiles}[name]
