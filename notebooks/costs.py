"""What an outer step of AlexCifarNet costs on this machine, to plan a long run.

    python notebooks/costs.py       about ten minutes; writes notebooks/costs.json

Pixels are noise, on which time does not depend. Settings take turns, so that a machine that slows down is unfair to none.
"""

import statistics
import time
from itertools import product
from pathlib import Path

import torch

import ddlite as dd
from ddlite.cli.bench import noise
from ddlite.cli.common import commit
from ddlite.machinery.files import machine, write_json

OUT = Path(__file__).with_name("costs.json")
BATCHES, THREADS, REPEATS = (1024, 512, 256, 128), (1, 2), 3


def begun(data, batch_size, learn_labels):
    """A distillation that has taken its first outer step, and goes on step by step."""
    settings = dd.profiles.random("full-cifar10", networks=1, batch_size=batch_size, learn_labels=learn_labels, step_size=0.001,
                                  validation_networks=1)
    states = dd.distill(settings.noise(data, 0), settings.starts(data, 0), settings.goal(data), **settings.outer())
    next(states)
    return states


def seconds(states):
    began = time.perf_counter()
    next(states)
    return time.perf_counter() - began


def main():
    at, data, rows = commit(), noise((3, 32, 32), max(BATCHES), "cpu"), []
    for threads in THREADS:
        torch.set_num_threads(threads)
        running = {setting: begun(data, *setting) for setting in product(BATCHES, (False, True))}
        taken = [{setting: seconds(states) for setting, states in running.items()} for _ in range(REPEATS)]
        rows += [{"threads": threads, "batch_size": batch_size, "learn_labels": learn_labels,
                  "seconds": round(statistics.median(turn[batch_size, learn_labels] for turn in taken), 2)}
                 for batch_size, learn_labels in running]
    write_json(OUT, {"rows": rows, "repeats": REPEATS, "command": "python notebooks/costs.py", "commit": at,
                     "machine": machine()})


if __name__ == "__main__":
    main()
