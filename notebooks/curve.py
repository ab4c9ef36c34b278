"""How a hundred CIFAR-10 images improve on one CPU core, in a run of half an hour to an hour.

    python notebooks/curve.py cifar10.npz       writes notebooks/curve.json after each look at the validation images

Its seed is that of no set of CIFAR-10 for a fixed start that ships.
"""

import sys
import time
from pathlib import Path

import torch

import ddlite as dd
from ddlite.cli.common import commit
from ddlite.machinery.files import machine, write_json

OUT = Path(__file__).with_name("curve.json")
SEED = 1
SETTINGS = {"learn_labels": True, "batch_size": 128, "outer_steps": 200, "validate_every": 20}


def main(path):
    torch.set_num_threads(1)
    settings, data = dd.profiles.fixed("full-cifar10", **SETTINGS), dd.load(path)
    start, goal, rows = settings.starts(data, SEED), settings.goal(data), []
    about = {"settings": SETTINGS, "seed": SEED, "data": data.name, "data_fingerprint": data.fingerprint,
             "command": f"python notebooks/curve.py {path}", "commit": commit(), "machine": machine()}
    began = time.process_time()
    for state in dd.distill(settings.noise(data, SEED), start, goal, seed=SEED, **settings.outer()):
        if state.score is not None:
            rows.append({"outer_step": state.outer_step, "validation": round(state.score, 2),
                         "cpu_seconds": round(time.process_time() - began, 1)})
            write_json(OUT, {"rows": rows, **about})
            print(rows[-1], flush=True)
    write_json(OUT, {"rows": rows, **about, "test": dd.evaluate(state.best, start.networks(), goal, data.test).mean})


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    main(sys.argv[1])
