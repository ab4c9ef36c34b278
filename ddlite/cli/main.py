"""The command line: `ddlite distill | baselines | pretrain | evaluate | show | bench | grade`.

`distill`, `baselines` and `pretrain` make the results that ship, with their manifests; `evaluate` and `show` look at a set;
`bench` measures speed; `grade` marks what students hand in. Under `torchrun --nproc-per-node N -m -- ddlite ...`, `distill`,
`pretrain` and `evaluate` share their networks among N processes, or GPUs. (The two dashes keep torchrun's hands off --start.)
"""

import argparse
import contextlib
import shlex
import signal
import subprocess
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path

import torch
from tqdm import tqdm

import ddlite as dd
from ddlite.cli import bench, play
from ddlite.engines.choose import ENGINES
from ddlite.machinery import ranks
from ddlite.machinery.files import machine, read_json, write_bytes, write_json


def main(arguments=None):
    """Run a command; `arguments` are those of the command line unless given. Ends with SystemExit where something is wrong."""
    parser = argparse.ArgumentParser(prog="python -m ddlite", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True, dest="name")
    learn = commands.add_parser("distill", allow_abbrev=False, help="learn a set for each seed, keep the best")
    learn.add_argument("--seeds", type=int, nargs="+", default=[0],
                       help="each draws noise, real batches and, unless they come from a pool, networks (0)")
    learn.add_argument("--resume", action=argparse.BooleanOptionalAction, default=True,
                       help="go on where an interrupted run stopped (yes)")
    learn.add_argument("--engine", choices=ENGINES,
                       help="all give the same numbers: plain; adjoint, slower, far less memory; chain, fast for networks "
                            "like LeNet (what fits)")
    learn.set_defaults(command=distill)
    compare = commands.add_parser("baselines", allow_abbrev=False, help="what images do that nobody learned (Table 1's row)")
    compare.add_argument("--epochs", type=int, default=10, help="of training on all real images (10)")
    compare.set_defaults(command=compare_baselines)
    fill = commands.add_parser("pretrain", allow_abbrev=False, help="fill a pool of pre-trained networks, and score them")
    fill.set_defaults(command=pretrain)
    for each in (learn, compare, fill):
        each.add_argument("--experiment", "--start", default="adaptation" if each is fill else "fixed",
                          choices=[name for name, settings in dd.profiles.PROFILES.items()
                                   if each is not fill or settings["quick"].start == "pool"],
                          help="one network, fresh ones, or pre-trained ones to adapt or attack (%(default)s)")
        each.add_argument("--profile", default="quick", help="settings (quick)")
        each.add_argument("--output", type=Path, required=True, help="the results: OUTPUT.json (and OUTPUT.safetensors)")
        if each is not fill:
            each.add_argument("--held-out", type=at_least_one, default=200,
                              help="held-out networks, unless the start is fixed (200)")
        each.add_argument("--threads", type=at_least_one, help="of PyTorch; on small batches one is often fastest")
        each.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")
        for field in fields(dd.profiles.Settings):
            if field.type in (int, float, str) and field.name != "start":
                each.add_argument(f"--{field.name.replace('_', '-')}", type=field.type, help="instead of the profile's")
            elif field.type is bool:
                each.add_argument(f"--{field.name.replace('_', '-')}", action=argparse.BooleanOptionalAction)
    judge = commands.add_parser("evaluate", allow_abbrev=False, help="train networks on a set and score them")
    judge.add_argument("set", help="a .safetensors file, or the name of a set that ships")
    judge.add_argument("--data", help="on which to score, normalised alike (the set's own)")
    judge.add_argument("--source", help="on which its networks were pre-trained, where that is a file of yours")
    judge.add_argument("--held-out", type=at_least_one, default=200, help="held-out networks, unless the start is fixed (200)")
    judge.set_defaults(command=evaluate)
    look = commands.add_parser("show", allow_abbrev=False, help="write the picture of a set, and say what is known of it")
    look.add_argument("set", help="a .safetensors file, or the name of a set that ships")
    look.add_argument("--output", type=Path, required=True, help="the picture: OUTPUT.png")
    look.set_defaults(command=show)
    measure = commands.add_parser("bench", allow_abbrev=False, help="measure speed, as ratios to the plain way")
    measure.add_argument("--configs", nargs="*", default=list(bench.CONFIGS), choices=bench.CONFIGS, help="which (all)")
    measure.add_argument("--repeats", type=int, default=5, help="of each, interleaved; the medians count (5)")
    measure.add_argument("--json", type=Path, help="write the rows to this file, too")
    measure.add_argument("--time-to-accuracy", type=int, default=0, metavar="SEEDS",
                         help="also distil ten MNIST images with so many seeds until each goal (0; minutes for each)")
    measure.add_argument("--goals", nargs="+", type=float, default=list(bench.OUTER_STEPS), choices=bench.OUTER_STEPS,
                         help="validation accuracies, %% (all)")
    measure.set_defaults(command=measure_speed)
    mark = commands.add_parser("grade", allow_abbrev=False, help="grade a folder of submissions of one assignment")
    mark.add_argument("folder", type=Path, help="holds NAME.ipynb of each student; grades.csv and feedback/ are written there")
    mark.add_argument("--seed", type=int, default=0, help="of the hidden tests' examples: a number that only you know (0)")
    mark.add_argument("--minutes", type=float, default=5, help="for each submission; a third of it for a cell (5)")
    mark.add_argument("--gib", type=float, default=3, help="memory of each submission, GiB (3)")
    mark.add_argument("--jobs", type=int, help="submissions at a time (one for each core)")
    mark.add_argument("--source", type=Path, help="the assignments with their solutions (notebooks/assignments/source)")
    mark.set_defaults(command=grade)
    play.add_to(commands)
    for each in (judge, measure):
        each.add_argument("--threads", type=at_least_one, help="of PyTorch")
        each.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")
    options, unknown = parser.parse_known_args(arguments)
    if unknown:  # the command's own parser knows the options to list
        commands.choices[options.name].error(f"unrecognized arguments: {' '.join(unknown)}")
    try:
        if getattr(options, "threads", None):
            torch.set_num_threads(options.threads)
        if options.command in (distill, pretrain, evaluate):
            with ranks.joined(options.device) as options.device:
                with contextlib.redirect_stdout(None) if ranks.here()[0] else contextlib.nullcontext():
                    options.command(options)
        else:
            options.command(options)
    except KeyboardInterrupt:
        kept = options.command in (distill, pretrain)
        lost = "Nothing is lost: the same command goes on from here." if kept else "What was not finished is lost."
        sys.exit(f"Interrupted. {lost}")
    except (ValueError, OSError, MemoryError, dd.Diverged) as error:
        sys.exit(f"ddlite: {error}")
    except ModuleNotFoundError as error:
        sys.exit(f"ddlite: {error}. Pictures and grading need more packages: pip install 'ddlite[notebooks,course]'.")


def at_least_one(text):
    """A number from the command line."""
    if int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: it must be 1 or more")
    return int(text)


def distill(options):
    """Distil with each seed, then keep the set that is best on the validation images, with a manifest of all seeds."""
    settings, data, identity = prepare(options)
    runs, first = [], ranks.here()[0] == 0  # of several processes, the first one writes
    for seed in options.seeds:
        manifest = options.output.with_name(f"{options.output.name}-seed{seed}.json")
        done = ranks.from_first(lambda path=manifest: read_json(path) if path.is_file() else {})
        if {key: done.get(key) for key in identity} != identity:
            checkpoint = manifest.with_name(f"{manifest.stem}-checkpoint.safetensors")
            if not options.resume and first:
                checkpoint.unlink(missing_ok=True)  # the other processes do not read it
            done = {**identity, "commit": commit(), "machine": machine(options.device),
                    **one_seed(settings, data, seed, options.held_out, options.engine, manifest.with_suffix(".safetensors"),
                             checkpoint)}
            if first:
                write_json(manifest, done)
                checkpoint.unlink(missing_ok=True)
        spread = f" ± {done['std']:.2f} over {done['networks']} held-out networks" if done["std"] else ""
        print(f"seed {seed}: validation {done['validation']:.2f} %, test {done['test']:.2f}{spread} %")
        runs.append(done)
    if not first:
        return
    best = max(runs, key=lambda run: run["validation"])
    path = options.output.with_name(f"{options.output.name}.safetensors")
    write_bytes(path, options.output.with_name(f"{options.output.name}-seed{best['seed']}.safetensors").read_bytes())
    columns = ("seed", "validation", "test", "std", "min", "max", "before", "class_means", "seconds")
    per_seed = [{**{key: run[key] for key in columns if run.get(key) is not None}, **means_of(run)} for run in runs]
    write_json(options.output.with_name(f"{options.output.name}.json"), {
        "command": command(), **best, "measures": rounded(best["measures"]),
        "chosen": "the seed with the best validation accuracy", "seeds": per_seed})
    tests = [run["test"] for run in runs]
    print(f"{len(runs)} seeds: test mean {sum(tests) / len(tests):.2f}, min {min(tests):.2f}, max {max(tests):.2f} %\n"
          f"chosen on validation: seed {best['seed']}, test {best['test']:.2f} %: {path}")


def rounded(measures):
    """Measures (see `Report`) to two decimals, which is what so many images tell."""
    return measures and {words: [[round(number, 2) for number in one] for one in each] for words, each in measures.items()}


def means_of(run):
    """A run's measures, {words: [mean before, mean after]}, where its goal has any beside the accuracy."""
    found = {words: torch.tensor(each).mean(0).tolist() for words, each in (run["measures"] or {}).items()}
    return {"measures": found} if found else {}


def one_seed(settings, data, seed, held_out, engine, path, checkpoint):
    """One distillation; saves the best set (with the weights of a fixed start), returns its results."""
    start, goal = starts(settings, data, seed, held_out), settings.goal(data)
    states = dd.distill(settings.noise(data, seed), start, goal, seed=seed, engine=engine, checkpoint=checkpoint,
                        **settings.outer())
    began, first, first_process, fixed = time.monotonic(), None, ranks.here()[0] == 0, isinstance(start, dd.FixedStart)
    initial = list(start.network.parameters()) if fixed else None
    with asked_to_stop() as asked, tqdm(total=settings.outer_steps, desc=f"seed {seed}", unit="step", mininterval=1,
                                        disable=None if first_process else True) as bar:
        try:
            for state in states:
                first = first or state.outer_step
                bar.update(state.outer_step - bar.n)
                if state.score is not None:
                    bar.set_postfix(validation=f"{state.score:.1f}", best=f"{state.best_score:.1f}")
                if ranks.total(torch.tensor(len(asked))):  # asked of one is asked of all: they leave after the same step
                    states.close()  # writes the checkpoint
                    raise KeyboardInterrupt
        except dd.Diverged as error:
            if error.state is None or not first_process:
                raise
            error.state.best.save(path, initial)
            raise dd.Diverged(f"{error} It was written to {path}.", error.state) from error
    seconds, best = time.monotonic() - began, state.best
    if first_process:
        best.save(path, initial)
    report = dd.evaluate(best, start.networks("held-out", held_out), goal, data.test,
                         [best.passes] if settings.start == "random" else None)
    results = {"seed": seed, "validation": round(state.best_score, 3), "test": report.mean, "std": report.std,
               "min": min(report.final), "max": max(report.final), "interval": report.interval, "before": report.before,
               "networks": len(report.scores), "scores": [round(score, 2) for score in report.final],
               "measures": report.measures, "gradient_steps": report.gradient_steps,
               "step_sizes": [round(size, 4) for size in best.step_sizes.tolist()],
               "momentum": None if best.momentum is None else round(best.momentum.item(), 4),
               "seconds": round(seconds, 1) if first == 1 else None}  # unknown where it was interrupted
    if fixed:
        means = dd.baselines.class_means(data, settings.batches, settings.passes)
        means, _ = dd.baselines.with_best_step_size(means, start, goal)
        results["class_means"] = dd.evaluate(means, start.networks(), goal, data.test, [means.passes]).mean
    return results


def compare_baselines(options):
    """All baselines, each with its own best step size and 1, 3 or 5 passes, on the held-out networks, with a manifest."""
    settings, data, identity = prepare(options)
    start, rows = starts(settings, data, 0, options.held_out), {}
    about = {"command": command(), **identity, "commit": commit(), "machine": machine(options.device)}
    with tqdm(total=7, desc="baselines", disable=None) as bar:
        for name, report in dd.baselines.table(settings.goal(data), start, round(settings.images_per_class), settings.batches,
                                               networks=options.held_out, epochs=options.epochs):
            rows[name] = {**report.to_dict(), "text": str(report)}
            write_json(options.output.with_name(f"{options.output.name}.json"), {**about, "rows": rows})  # each may take long
            bar.update()
            print(f"{name:20}{report}")


def pretrain(options):
    """Fill the training pool of a profile, and score its networks on test images of what they were trained on."""
    settings, data, _ = prepare(options)
    if settings.start != "pool" or settings.known:
        raise ValueError("These settings have no pool of networks: take a profile of adaptation or attack that has one.")
    start = settings.starts(data, 0, folder=dd.data.data_root() / "pools").fill()
    if ranks.here()[0] == 0:
        scores = [dd.accuracy(network, start.source.test) for network in start.networks("training", start.size)]
        write_json(options.output.with_name(f"{options.output.name}.json"), {
            "command": command(), "pool": start.describe(), "test": sum(scores) / len(scores), "scores": scores,
            "commit": commit(), "machine": machine(options.device)})
        print(f"{start.size} networks, test accuracy on {start.source.name}: mean {sum(scores) / len(scores):.2f}, "
              f"min {min(scores):.2f}, max {max(scores):.2f} %\n{start.folder}")


def evaluate(options):
    """Score a set as it wants to be used: its own networks, its own steps."""
    dset = open_set(options.set)
    data = dd.load(options.data or dset.data, device=options.device, size=dset.images.shape[-1], channels=dset.images.shape[2])
    if dset.start is None or not hasattr(dd, dset.start["network"]):
        raise ValueError("This set was not learned for one of ddlite's networks: use ddlite.evaluate from Python.")
    make = getattr(dd, dset.start["network"])
    example = make(data.shape, len(data.classes))
    if {name: list(weight.shape) for name, weight in example.named_parameters()} != dset.start["shapes"]:
        raise ValueError(f"This set was not learned for ddlite's {dset.start['network']} as it comes, but for one with other "
                         "layers: use ddlite.evaluate from Python.")
    if dset.start["kind"] == "fixed":
        networks = [dset.train(example, passes=0)]
    elif dset.start["kind"] == "random":
        networks = dd.RandomStart(make, data, dset.start["init"], dset.start["seed"]).networks("held-out", options.held_out)
    else:
        try:
            source = dd.load(options.source or dset.start["source"], device=options.device, size=data.shape[-1],
                             channels=data.shape[0])
        except ValueError as error:
            raise ValueError(f"{error} Its networks were pre-trained on it: name it with --source.") from error
        if source.fingerprint != dset.start["source_fingerprint"]:
            raise ValueError(f"The set's networks were pre-trained on other data than {source.name} is here: name them with "
                             "--source.")
        networks = dd.PoolStart(make, source, dset.start["size"], dset.start["init"], dset.start["seed"],
                                dd.data.data_root() / "pools", **dset.start["schedule"]).networks("held-out", options.held_out)
    print(dd.evaluate(dset, networks, dd.goals.named(dset.goal, data), data.test, [0, dset.passes]))


def show(options):
    """Write a set's picture, and print what is known of it."""
    from ddlite import show as pictures  # matplotlib takes a second, which the other commands do without

    dset = open_set(options.set)
    picture = pictures.images(dset, f"Distilled {dset.data}")
    path = options.output.with_suffix(".png")
    write_bytes(path, picture.png)
    print(f"{picture.words}\nStep sizes: {', '.join(f'{size:.3g}' for size in dset.step_sizes.tolist())}\n{path}")


def measure_speed(options):
    """Print the benchmark's rows as they come, and write them as JSON where asked."""
    rows = []
    print(f"{'config':28}{'plain':>12}{'ddlite':>12}{'speedup':>9}{'plain':>12}{'ddlite':>12}")
    for row in bench.rows(options.configs, options.repeats, options.device):
        memory = "".join(f"{row[way]:8.0f} MiB" for way in ("plain_mb", "ddlite_mb") if way in row)
        print(f"{row['config']:28}{row['plain_s']:10.3f} s{row['ddlite_s']:10.3f} s{row['speedup']:8.2f}x{memory}")
        if "plain_over_real" in row:
            print(f"    the plain way takes {row['plain_over_real']:.2f} x its own part on the real batch")
        if "eager_s" in row:
            print(f"    ddlite's way without a CUDA graph: {row['eager_s']:.3f} s")
        if "two_processes_s" in row:
            faster = row["plain_s"] / row["two_processes_s"]
            together = f", {row['two_processes_mb']:.0f} MiB" if "two_processes_mb" in row else ""
            print(f"    two processes of one thread each: {row['two_processes_s']:.3f} s, {faster:.2f}x{together}")
        rows.append(row)
    if growth := bench.growth(rows):
        print(f"memory grows by {growth:.2f} x the size of the weights with each gradient step (T=100 to T=300)")
    for goal in options.goals:
        for seed in range(options.time_to_accuracy):
            seconds, best = bench.time_to_accuracy(seed, goal, options.device)
            rows.append({"config": "time to accuracy", "goal": goal, "outer_steps": bench.OUTER_STEPS[goal], "seed": seed,
                         "seconds": seconds, "best": best, "threads": torch.get_num_threads()})
            after = f"after {seconds:.0f} s" if seconds else f"not reached (best {best:.1f} %)"
            print(f"ten MNIST images, seed {seed}: {goal} % of validation images {after}", flush=True)
    if options.json:
        write_json(options.json, {"command": command(), "commit": commit(), "machine": machine(options.device), "rows": rows})


def grade(options):
    """Print a line for each submission as it is graded."""
    from ddlite.course import grade as grading  # nbgrader is no part of the core

    number = len(list(options.folder.glob("*.ipynb")))
    with tqdm(total=number, desc="grading", unit="notebook", disable=None) as bar:
        for row in grading.grade(options.folder, options.source or grading.SOURCE, options.seed, options.minutes, options.gib,
                                 options.jobs):
            by_hand = sum(points is None for points in row["points"].values())
            words = [f"{row['student']:24}{row['total']:5g} of {row['of']:g}", f"{by_hand} to mark by hand" if by_hand else "",
                     row["note"]]
            bar.write(", ".join(filter(None, words)))
            bar.update()
    print(f"{options.folder / 'grades.csv'}, {options.folder / 'feedback'}")


def open_set(name):
    """A set from a file, or one that ships."""
    return dd.DistilledSet.shipped(name) if name in dd.shipped() else dd.DistilledSet.load(name)


@contextlib.contextmanager
def asked_to_stop():
    """A list that is no longer empty once Ctrl-C was pressed or the process was told to end; the step is finished first."""
    asked, signals = [], (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(each, lambda *_: asked.append(True)) for each in signals]
    try:
        yield asked
    finally:
        for each, handler in zip(signals, before):
            signal.signal(each, handler)


def prepare(options):
    """Settings, data, and what identifies a result: its configuration and the fingerprint of its data."""
    known = {field.name for field in fields(dd.profiles.Settings)}
    changes = {name: value for name, value in vars(options).items() if name in known - {"start"}}
    settings = dd.profiles.of(options.experiment, options.profile, **changes)
    data = settings.load(options.device)
    configuration = {**asdict(settings), "network": settings.network.__name__}
    several = {} if settings.start == "fixed" or settings.known else {"held_out": getattr(options, "held_out", None)}
    return settings, data, {"configuration": configuration, "data_fingerprint": data.fingerprint, **several}


def starts(settings, data, seed, held_out):
    """Where training starts; pools of pre-trained networks are kept under the data root, and what is missing is made first.

    Every seed meets the same pool, so that five seeds do not cost five of them.
    """
    same = settings.start == "pool" and not settings.known
    start = settings.starts(data, 0 if same else seed, folder=dd.data.data_root() / "pools")
    return start.fill(validation=settings.validation_networks, held_out=held_out) if isinstance(start, dd.PoolStart) else start


def command():
    """The command that makes a result again, as it was typed."""
    processes = ranks.here()[1]
    begin = "python -m" if processes == 1 else f"torchrun --nproc-per-node {processes} -m --"
    return f"{begin} {shlex.join(['ddlite', *sys.argv[1:]])}"


def commit():
    """The commit of the code that computes a result, marked where the code was changed since; None outside a repository."""
    try:
        return subprocess.run(["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True,
                              text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None

