"""What helps ten MNIST images for a fixed start: a short trial of each option, judged on validation images.

    python notebooks/options.py       about forty minutes; writes notebooks/options.json

The seeds are not those of the sets that ship. The file is written after each row.
"""

import time
from pathlib import Path

import torch

import ddlite as dd
from ddlite.cli.common import commit
from ddlite.machinery.files import machine, write_json

OUT = Path(__file__).with_name("options.json")
SEEDS, OUTER_STEPS = (8, 9), 1000
SETTINGS = {"passes": 10, "learn_labels": True, "momentum": 0.5, "step_size": 0.1, "learning_rate": 0.05, "batch_size": 256}
CHANGES = {
    "nothing": {}, "labels fixed": {"learn_labels": False}, "no momentum": {"momentum": 0.0}, "5 gradient steps": {"passes": 5},
    "learning rate 0.1": {"learning_rate": 0.1}, "learning rate 0.025": {"learning_rate": 0.025},
    "step sizes begin at 0.2": {"step_size": 0.2}, "momentum begins at 0.8": {"momentum": 0.8},
    "128 real images a step": {"batch_size": 128}, "20 gradient steps": {"passes": 20},
}


def tried(data, seed, changes):
    """The best validation accuracy with some settings changed, and how long it took."""
    settings = dd.profiles.fixed("laptop", outer_steps=OUTER_STEPS, validate_every=100, **{**SETTINGS, **changes})
    began = time.process_time()
    *_, last = dd.distill(settings.noise(data, seed), settings.starts(data, seed), settings.goal(data), seed=seed,
                          **settings.outer())
    return {"validation": round(last.best_score, 2), "cpu_seconds": round(time.process_time() - began, 1)}


def main():
    torch.set_num_threads(1)
    at, data, rows = commit(), dd.load("mnist"), []
    for changed, changes in CHANGES.items():
        for seed in SEEDS:
            rows.append({"changed": changed, "seed": seed, **tried(data, seed, changes)})
            write_json(OUT, {"rows": rows, "settings": SETTINGS, "outer_steps": OUTER_STEPS, "commit": at,
                             "command": "python notebooks/options.py", "data_fingerprint": data.fingerprint,
                             "machine": machine()})


if __name__ == "__main__":
    main()
