"""The command line: `python -m ddlite distill` makes the results that ship with the package, with their manifests."""

import argparse
import subprocess
import sys
import time
from dataclasses import asdict, fields
from pathlib import Path

import torch
from tqdm import tqdm

import ddlite as dd
from ddlite.files import machine, read_json, write_json


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python -m ddlite", description=__doc__, allow_abbrev=False)
    commands = parser.add_subparsers(required=True)
    learn = commands.add_parser("distill", allow_abbrev=False,
                                help="learn sets for a fixed start, one for each seed, keep the best")
    learn.add_argument("--profile", default="quick", choices=dd.profiles.FIXED, help="settings to begin with (quick)")
    learn.add_argument("--seeds", type=int, nargs="+", default=[0], help="each draws a network, noise and real batches (0)")
    learn.add_argument("--output", type=Path, required=True, help="the results: OUTPUT.safetensors and OUTPUT.json")
    learn.add_argument("--threads", type=int, help="of PyTorch; on small batches one is often fastest")
    learn.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")
    for field in fields(dd.profiles.Settings):
        if field.type in (int, float, str):
            learn.add_argument(f"--{field.name.replace('_', '-')}", type=field.type, help="instead of the profile's")
        elif field.type is bool:
            learn.add_argument(f"--{field.name.replace('_', '-')}", action=argparse.BooleanOptionalAction)
    learn.set_defaults(command=distill)
    options = parser.parse_args(arguments)
    try:
        options.command(options)
    except KeyboardInterrupt:
        sys.exit("Interrupted: finished seeds are kept, and the same command goes on with the others.")
    except (ValueError, OSError, dd.Diverged) as error:
        sys.exit(f"ddlite: {error}")


def distill(options):
    """Distil with each seed, then keep the set that is best on the validation images, with a manifest of all seeds."""
    if options.threads:
        torch.set_num_threads(options.threads)
    known = {field.name for field in fields(dd.profiles.Settings)}
    settings = dd.profiles.fixed(options.profile, **{k: v for k, v in vars(options).items() if k in known})
    configuration = {**asdict(settings), "network": settings.network.__name__}
    data = dd.load(settings.data, device=options.device)
    runs = []
    for seed in options.seeds:
        manifest = options.output.with_name(f"{options.output.name}-seed{seed}.json")
        identity = {"configuration": configuration, "data_fingerprint": data.fingerprint}
        done = read_json(manifest) if manifest.is_file() else {}
        if {key: done.get(key) for key in identity} != identity:
            done = {**identity, "commit": commit(), "machine": machine(options.device),
                    **one_seed(settings, data, seed, manifest.with_name(f"{manifest.stem}.safetensors"))}
            write_json(manifest, done)
        print(f"seed {seed}: validation {done['validation']:.2f} %, test {done['test']:.2f} %")
        runs.append(done)
    best = max(runs, key=lambda run: run["validation"])
    chosen = dd.DistilledSet.load(options.output.with_name(f"{options.output.name}-seed{best['seed']}.safetensors"))
    path = options.output.with_name(f"{options.output.name}.safetensors")
    chosen.save(path)
    columns = ("seed", "validation", "test", "before", "class_means", "seconds")
    per_seed = [{key: run[key] for key in columns} for run in runs]
    write_json(options.output.with_name(f"{options.output.name}.json"), {
        "command": " ".join(["python -m ddlite", *sys.argv[1:]]), **best,
        "chosen": "the seed with the best validation accuracy", "seeds": per_seed})
    tests = [run["test"] for run in runs]
    print(f"{len(runs)} seeds: test mean {sum(tests) / len(tests):.2f}, min {min(tests):.2f}, max {max(tests):.2f} %\n"
          f"chosen on validation: seed {best['seed']}, test {best['test']:.2f} %: {path}")


def one_seed(settings, data, seed, path):
    """One distillation from one fixed start; saves the best set with the start's weights, returns its results."""
    start = dd.FixedStart(dd.initialise(settings.network(data.shape, len(data.classes)), seed))
    goal = dd.Fit(data)
    began = time.monotonic()
    with tqdm(total=settings.outer_steps, desc=f"seed {seed}", unit="step", mininterval=1, disable=None) as bar:
        for state in dd.distill(settings.noise(data, seed), start, goal, seed=seed, **settings.outer()):
            bar.update()
            if state.score is not None:
                bar.set_postfix(validation=f"{state.score:.1f}", best=f"{state.best_score:.1f}")
    seconds = time.monotonic() - began
    [network] = start.networks()
    state.best.save(path, initial=network.parameters())
    report = dd.evaluate(state.best, [network], goal, data.test)
    means, _ = dd.baselines.with_best_step_size(dd.baselines.class_means(data, settings.batches, settings.passes), start, goal)
    means_report = dd.evaluate(means, [network], goal, data.test)
    return {"seed": seed, "validation": round(state.best_score, 3), "test": report.mean, "before": report.before,
            "class_means": means_report.mean, "gradient_steps": report.gradient_steps,
            "step_sizes": [round(size, 4) for size in state.best.step_sizes.tolist()],
            "seconds": round(seconds, 1)}


def commit():
    """The commit of the code that computes a result, marked where the code was changed since; None outside a repository."""
    try:
        return subprocess.run(["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True,
                              text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


if __name__ == "__main__":
    main()
