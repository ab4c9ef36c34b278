"""Learn and judge what lesson 5 shows, a method, a profile and a few seeds at a time:

    python -m ddlite.cli.condense dc quick --seeds 0 1 2 --output runs/dc-digits-10

Each seed's best set by validation is judged under protocol B on held-out networks; the best of these by validation is kept,
with a manifest that tells of all. `baselines` in the place of a method computes what stands beside them.
"""

import argparse
import shlex
import sys
import time
from pathlib import Path

import torch

import ddlite as dd
from ddlite.cli.common import commit
from ddlite.gallery import dc, idc
from ddlite.gallery.walk import Walk
from ddlite.machinery.files import fingerprint_of_file, machine, write_json

PROFILES = {**dc.PROFILES, **idc.PROFILES}
DEFAULTS = {"images_per_class": 1, "real": False, "patches": 1, "distance": "cosine", "by_class": True, "warm_up": 0,
            "walk": None, "batch_size": 320, "learning_rate": 0.1, "validate_every": 50, "validation_networks": 3,
            "epochs": 300}


def settings_of(method, profile, **changes):
    """All settings of a method in a profile, a dict. Raises ValueError for one that does not exist."""
    if profile not in PROFILES.get(method, {}):
        known = ", ".join(f"{method} {profile}" for method, profiles in PROFILES.items() for profile in profiles)
        raise ValueError(f"There is no profile {profile!r} of method {method!r}. Known: {known}.")
    return {**DEFAULTS, **PROFILES[method][profile], **{name: value for name, value in changes.items() if value is not None}}


def parts(settings, data, seed):
    """What `distill` takes: the set to begin with, the start and the goal."""
    recipe, storage = dd.Recipe(settings["epochs"]), idc.Patches(settings["patches"])
    kind = {"recipe": recipe, "seed": seed, **({"storage": storage} if settings["patches"] > 1 else {})}
    make = dd.DistilledSet.real if settings["real"] else dd.DistilledSet.noise
    start = dd.RandomStart(settings["network"], data, seed=seed)
    if settings["walk"]:
        start = Walk(start, "set" if settings["walk"] == "set" else data)
    goal = dc.Match(data, settings["distance"], settings["by_class"], settings["warm_up"])
    return make(data, settings["images_per_class"], **kind), start, goal


def outer(settings):
    """The settings of the outer loop, as keywords for `distill`."""
    names = ("outer_steps", "batch_size", "learning_rate", "validate_every", "validation_networks")
    return {name: settings[name] for name in names}


def one_seed(settings, data, seed, held_out, checkpoint):
    """One distillation: the best set, and what is to be said of it."""
    dset, start, goal = parts(settings, data, seed)
    began, first = time.process_time(), None
    for state in dd.distill(dset, start, goal, seed=seed, checkpoint=checkpoint, **outer(settings)):
        first = first or state.outer_step
    seconds = time.process_time() - began
    report = dd.evaluate(state.best, start.networks("held-out", held_out), goal, data.test, [1])
    print(f"seed {seed}: validation {state.best_score:.1f} %, test {report}, {seconds:.0f} CPU-seconds", flush=True)
    return state.best, {"seed": seed, "validation": round(state.best_score, 3), "test": report.mean, "std": report.std,
                        "interval": report.interval, "scores": report.final, "networks": len(report.final),
                        "floats": report.floats, "gradient_steps": report.gradient_steps,
                        "cpu_seconds": round(seconds, 1) if first == 1 else None}


def main(words=None):
    parser = argparse.ArgumentParser(prog="python -m ddlite.cli.condense", description=__doc__.split("\n")[0])
    parser.add_argument("method", choices=[*PROFILES, "baselines"])
    parser.add_argument("profile", help="as in the PROFILES of ddlite/gallery/dc.py and idc.py; for baselines METHOD:PROFILE")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--held-out", type=int, default=10, help="networks that judge each set")
    parser.add_argument("--outer-steps", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path, required=True, help="without an ending")
    words = sys.argv[1:] if words is None else words
    options = parser.parse_args(words)
    torch.set_num_threads(options.threads)
    names = (options.method, options.profile) if options.method != "baselines" else options.profile.split(":")
    settings = settings_of(*names, outer_steps=options.outer_steps)
    data = dd.load(settings["data"])
    options.output.parent.mkdir(parents=True, exist_ok=True)
    network = settings["network"](data.shape, len(data.classes))
    weights = sum(weight.numel() for weight in network.parameters())
    about = {"command": f"python -m ddlite.cli.condense {shlex.join(words)}",
             "configuration": {**settings, "network": f"{type(network).__name__}, {weights} weights"}, "protocol": "B",
             "data_fingerprint": data.fingerprint, "commit": commit(), "machine": machine("cpu")}
    manifest = options.output.with_suffix(".json")
    if options.method == "baselines":
        start = dd.RandomStart(settings["network"], data)
        storages = [idc.Patches(k) for k in (2, 3) if not data.shape[-1] % k]
        rows = {}
        for name, report in dd.baselines.from_scratch(dd.Fit(data), start, settings["images_per_class"], storages=storages,
                                                      networks=options.held_out,
                                                      epochs=40 if settings["data"] == "digits" else 3):
            rows[name] = report.to_dict()
            print(f"{name:20}{report}", flush=True)
        write_json(manifest, {**about, "rows": rows})
        return
    runs = []
    for seed in options.seeds:
        checkpoint = options.output.with_name(f"{options.output.name}-seed{seed}-checkpoint.safetensors")
        runs.append(one_seed(settings, data, seed, options.held_out, checkpoint))
        checkpoint.unlink(missing_ok=True)
    best, run = max(runs, key=lambda one: one[1]["validation"])
    best.save(options.output.with_suffix(".safetensors"))
    write_json(manifest, {**about, **run, "set": fingerprint_of_file(options.output.with_suffix(".safetensors")),
                          "chosen": "the seed with the best validation accuracy", "seeds": [each for _, each in runs]})


if __name__ == "__main__":
    main()
