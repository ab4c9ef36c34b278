"""The command line: `python -m ddlite distill` and `baselines` make the results that ship, with their manifests."""

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
    learn = commands.add_parser("distill", allow_abbrev=False, help="learn a set for each seed, keep the best")
    learn.add_argument("--seeds", type=int, nargs="+", default=[0], help="each draws networks, noise and real batches (0)")
    learn.set_defaults(command=distill)
    compare = commands.add_parser("baselines", allow_abbrev=False, help="what images do that nobody learned (Table 1's row)")
    compare.add_argument("--epochs", type=int, default=10, help="of training on all real images (10)")
    compare.set_defaults(command=compare_baselines)
    for each in (learn, compare):
        each.add_argument("--start", default="fixed", choices=dd.profiles.PROFILES, help="one network or fresh ones (fixed)")
        each.add_argument("--profile", default="quick", choices=dd.profiles.PROFILES["fixed"], help="settings (quick)")
        each.add_argument("--output", type=Path, required=True, help="the results: OUTPUT.json (and OUTPUT.safetensors)")
        each.add_argument("--held-out", type=int, default=200, help="held-out networks for a random start (200)")
        each.add_argument("--threads", type=int, help="of PyTorch; on small batches one is often fastest")
        each.add_argument("--device", default="cpu", help="cpu or cuda (cpu)")
        for field in fields(dd.profiles.Settings):
            if field.type in (int, float, str) and field.name != "start":
                each.add_argument(f"--{field.name.replace('_', '-')}", type=field.type, help="instead of the profile's")
            elif field.type is bool:
                each.add_argument(f"--{field.name.replace('_', '-')}", action=argparse.BooleanOptionalAction)
    options = parser.parse_args(arguments)
    try:
        options.command(options)
    except KeyboardInterrupt:
        sys.exit("Interrupted: finished seeds are kept, and the same command goes on with the others.")
    except (ValueError, OSError, dd.Diverged) as error:
        sys.exit(f"ddlite: {error}")


def distill(options):
    """Distil with each seed, then keep the set that is best on the validation images, with a manifest of all seeds."""
    settings, data, identity = prepare(options)
    runs = []
    for seed in options.seeds:
        manifest = options.output.with_name(f"{options.output.name}-seed{seed}.json")
        done = read_json(manifest) if manifest.is_file() else {}
        if {key: done.get(key) for key in identity} != identity:
            done = {**identity, "commit": commit(), "machine": machine(options.device),
                    **one_seed(settings, data, seed, options.held_out, manifest.with_name(f"{manifest.stem}.safetensors"))}
            write_json(manifest, done)
        spread = f" ± {done['std']:.2f} over {done['networks']} held-out networks" if done["std"] else ""
        print(f"seed {seed}: validation {done['validation']:.2f} %, test {done['test']:.2f}{spread} %")
        runs.append(done)
    best = max(runs, key=lambda run: run["validation"])
    chosen = dd.DistilledSet.load(options.output.with_name(f"{options.output.name}-seed{best['seed']}.safetensors"))
    path = options.output.with_name(f"{options.output.name}.safetensors")
    chosen.save(path)
    columns = ("seed", "validation", "test", "std", "min", "max", "before", "class_means", "seconds")
    per_seed = [{key: run[key] for key in columns if run.get(key) is not None} for run in runs]
    write_json(options.output.with_name(f"{options.output.name}.json"), {
        "command": command(), **best, "chosen": "the seed with the best validation accuracy", "seeds": per_seed})
    tests = [run["test"] for run in runs]
    print(f"{len(runs)} seeds: test mean {sum(tests) / len(tests):.2f}, min {min(tests):.2f}, max {max(tests):.2f} %\n"
          f"chosen on validation: seed {best['seed']}, test {best['test']:.2f} %: {path}")


def one_seed(settings, data, seed, held_out, path):
    """One distillation; saves the best set (with the weights of a fixed start), returns its results."""
    start, goal = settings.starts(data, seed), dd.Fit(data)
    began = time.monotonic()
    with tqdm(total=settings.outer_steps, desc=f"seed {seed}", unit="step", mininterval=1, disable=None) as bar:
        for state in dd.distill(settings.noise(data, seed), start, goal, seed=seed, **settings.outer()):
            bar.update()
            if state.score is not None:
                bar.set_postfix(validation=f"{state.score:.1f}", best=f"{state.best_score:.1f}")
    seconds, best, fixed = time.monotonic() - began, state.best, settings.start == "fixed"
    best.save(path, initial=start.network.parameters() if fixed else None)
    report = dd.evaluate(best, start.networks("held-out", held_out), goal, data.test, None if fixed else [best.passes])
    results = {"seed": seed, "validation": round(state.best_score, 3), "test": report.mean, "std": report.std,
               "min": min(report.final), "max": max(report.final), "interval": report.interval, "before": report.before,
               "networks": len(report.scores), "scores": [round(score, 2) for score in report.final],
               "gradient_steps": report.gradient_steps,
               "step_sizes": [round(size, 4) for size in best.step_sizes.tolist()],
               "momentum": None if best.momentum is None else round(best.momentum.item(), 4), "seconds": round(seconds, 1)}
    if fixed:
        means = dd.baselines.class_means(data, settings.batches, settings.passes)
        means, _ = dd.baselines.with_best_step_size(means, start, goal)
        results["class_means"] = dd.evaluate(means, start.networks(), goal, data.test, [means.passes]).mean
    return results


def compare_baselines(options):
    """All baselines under the settings' gradient steps, each on the held-out networks, with a manifest."""
    settings, data, identity = prepare(options)
    start, rows = settings.starts(data, 0), {}
    with tqdm(total=7, desc="baselines", disable=None) as bar:
        for name, report in dd.baselines.table(dd.Fit(data), start, round(settings.images_per_class), settings.batches,
                                               networks=options.held_out, epochs=options.epochs):
            rows[name] = {**report.to_dict(), "text": str(report)}
            bar.update()
            print(f"{name:20}{report}")
    write_json(options.output.with_name(f"{options.output.name}.json"), {
        "command": command(), **identity, "commit": commit(), "machine": machine(options.device), "rows": rows})


def prepare(options):
    """Settings, data, and what identifies a result: its configuration and the fingerprint of its data."""
    if options.threads:
        torch.set_num_threads(options.threads)
    known = {field.name for field in fields(dd.profiles.Settings)}
    changes = {name: value for name, value in vars(options).items() if name in known - {"start"}}
    settings = dd.profiles.of(options.start, options.profile, **changes)
    data = dd.load(settings.data, device=options.device)
    configuration = {**asdict(settings), "network": settings.network.__name__}
    return settings, data, {"configuration": configuration, "data_fingerprint": data.fingerprint}


def command():
    """The command that makes a result again, as it was typed."""
    return " ".join(["python -m ddlite", *sys.argv[1:]])


def commit():
    """The commit of the code that computes a result, marked where the code was changed since; None outside a repository."""
    try:
        return subprocess.run(["git", "describe", "--always", "--dirty"], cwd=Path(__file__).parent, capture_output=True,
                              text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


if __name__ == "__main__":
    main()
