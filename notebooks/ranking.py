"""What lesson 9 says of ranking architectures: generators of three seeds, taught by one kind of network or by ten.

    python notebooks/ranking.py      about ten minutes; writes ddlite/assets/gallery/gtn-ranking.json
"""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

import ddlite as dd
from ddlite.cli import memories, methods
from ddlite.cli.common import commit
from ddlite.gallery import ranking
from ddlite.machinery.files import machine, write_json

OUT = Path(__file__).resolve().parent.parent / "ddlite" / "assets" / "gallery" / "gtn-ranking.json"
SEEDS = (0, 1, 2)
ONE = partial(ranking.dense, widths=(128, 128))
LEARNERS = {"taught by one kind": (ONE, 300), "taught by ten kinds": (ranking.any_kind, 300)}


def main():
    torch.set_num_threads(1)
    began, settings = time.monotonic(), methods.settings_of("gtn", "quick")
    data = dd.load(settings["data"])
    truth, size = ranking.by_training(data, 3), ranking.weights(data)
    about = {"method": "ranking", "configuration": {"data": data.name, "kinds": list(ranking.KINDS), "seeds": SEEDS},
             "data_fingerprint": data.fingerprint, "command": "python notebooks/ranking.py", "commit": commit(),
             "machine": machine(), "truth": truth, "weights": size, "rows": {}}

    def note(name, scores):
        each = [ranking.agreement(one, truth) for one in scores]
        about["rows"][name] = {"scores": scores, "agreement": each}
        print(name, *(f"{number:.2f} ({low:.2f} to {high:.2f})" for number, low, high in each), flush=True)
        write_json(OUT, {**about, "seconds": round(time.monotonic() - began)})

    note("number of weights", [size])
    real = [dd.DistilledSet.real(data, 2, settings["batches"], 1, seed=seed) for seed in SEEDS]
    best = memories.tuned(real[0], dd.RandomStart(ONE, data), dd.Fit(data))
    note("as many real batches", [ranking.by_set(replace(each, step_sizes=best.step_sizes, momentum=best.momentum),
                                                 data, 3) for each in real])
    for name, (make, steps) in LEARNERS.items():
        scores = []
        for seed in SEEDS:
            *_, state = dd.distill(memories.generated(settings, data, seed), dd.RandomStart(make, data, seed=seed),
                                   dd.Fit(data), seed=seed, **{**methods.outer(settings), "outer_steps": steps})
            scores.append(ranking.by_set(state.best, data, 3))
        note(name, scores)


if __name__ == "__main__":
    main()
