"""What lesson 10 says of learning five tasks of two classes one after another, over three seeds.

    python notebooks/remembering.py      about three minutes; writes ddlite/assets/gallery/past-tasks.json
"""

import statistics
import time
from dataclasses import replace
from pathlib import Path

import torch

import ddlite as dd
from ddlite.cli import memories
from ddlite.cli.common import commit
from ddlite.gallery import past, tasks
from ddlite.machinery.files import machine, write_json

OUT = Path(__file__).resolve().parent.parent / "ddlite" / "assets" / "gallery" / "past-tasks.json"
SEEDS, EACH, DOWN, STEPS, FLOATS = (0, 1, 2), 2, 3, 100, 576


def without_learning(so_far, seed):
    """{name: a set of the classes so far}, in the floats of one image for each class; and nothing but the newest task."""
    recipe, new = dd.Recipe(), so_far.train.labels >= len(so_far.classes) - EACH
    only = dd.DistilledSet.from_tensors(so_far.train.images[new], so_far.train.labels[new], so_far)
    small, count, classes = past.Bases(None, DOWN), 6 + len(so_far.classes), len(so_far.classes)  # bases as those learned
    addresses = past.addresses_within(FLOATS * classes, so_far, count, DOWN)
    return {"no memory, newest task alone": replace(only, recipe=dd.Recipe(30)),
            "one real image": dd.DistilledSet.real(so_far, recipe=recipe, seed=seed),
            "nine small real images": memories.in_storage(dd.DistilledSet.real(so_far, DOWN**2, seed=seed), small, recipe),
            "class means": replace(dd.baselines.class_means(so_far), step_sizes=None, recipe=recipe),
            "nine small k-means centres": memories.in_storage(dd.baselines.centres(so_far, DOWN**2, seed=seed), small, recipe),
            "bases, computed": memories.in_storage(dd.baselines.centres(so_far, addresses, seed=seed),
                                                   past.Bases(count, DOWN), recipe)}


def main():
    torch.set_num_threads(1)
    began, data = time.monotonic(), dd.load("digits")
    about = {"method": "tasks", "configuration": {"data": data.name, "classes in a task": EACH, "floats for each class": FLOATS,
                                                  "outer_steps": STEPS, "seeds": SEEDS},
             "data_fingerprint": data.fingerprint, "command": "python notebooks/remembering.py", "commit": commit(),
             "machine": machine()}
    found = {}  # {name: {classes so far: one accuracy for each seed}}
    for seed in SEEDS:
        for so_far, alone, memory in tasks.in_turn(data, EACH, FLOATS, STEPS, DOWN, seed):
            sets = {**without_learning(so_far, seed), "bases, each task alone": alone, "bases, learned anew each time": memory}
            networks = dd.RandomStart(dd.MLP, so_far, seed=seed).networks("held-out", 1)
            for name, dset in sets.items():
                score = dd.evaluate(dset, networks, dd.Fit(so_far), so_far.test, [1]).mean
                found.setdefault(name, {}).setdefault(len(so_far.classes), []).append(round(score, 2))
        for name, row in found.items():
            print(seed, name, *(f"{statistics.mean(scores):.1f}" for scores in row.values()), flush=True)
        write_json(OUT, {**about, "rows": found, "seconds": round(time.monotonic() - began)})


if __name__ == "__main__":
    main()
