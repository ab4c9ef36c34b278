"""What was tried in lesson 9 to make generated batches rank architectures: more outer steps, and weight normalisation.

    python notebooks/ranking_cures.py      about ten minutes; writes ddlite/assets/gallery/gtn-ranking-cures.json

The truth is that of `ranking.py`.
"""

import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from ranking import ONE, SEEDS

import ddlite as dd
from ddlite.cli import memories, methods
from ddlite.cli.common import commit
from ddlite.gallery import ranking
from ddlite.machinery.files import machine, write_json

OUT = Path(__file__).resolve().parent.parent / "ddlite" / "assets" / "gallery" / "gtn-ranking-cures.json"
MORE = 900  # outer steps, three times as many


def main():
    torch.set_num_threads(1)
    began, settings, known = time.process_time(), methods.settings_of("gtn", "quick"), dd.manifest("gallery/gtn-ranking")
    data = dd.load(settings["data"])
    if known["data_fingerprint"] != data.fingerprint:
        raise SystemExit("These are other digits than the truth was measured on: run ranking.py first.")
    about = {"method": "ranking", "configuration": {"data": data.name, "kinds": list(ranking.KINDS), "seeds": SEEDS},
             "data_fingerprint": data.fingerprint, "command": "python notebooks/ranking_cures.py", "commit": commit(),
             "machine": machine(), "truth": known["truth"], "truth_from": known["commit"], "rows": {}}

    def note(name, scores):
        each = [ranking.agreement(one, known["truth"]) for one in scores]
        about["rows"][name] = {"scores": scores, "agreement": each}
        print(name, *(f"{number:.2f} ({low:.2f} to {high:.2f})" for number, low, high in each), flush=True)
        write_json(OUT, {**about, "cpu_seconds": round(time.process_time() - began)})

    def learned(make, steps, kinds, init):
        for seed in SEEDS:
            start = dd.RandomStart(make, data, seed=seed, init=init)
            *_, state = dd.distill(memories.generated(settings, data, seed), start, dd.Fit(data), seed=seed,
                                   **{**methods.outer(settings), "outer_steps": steps, "validate_every": 100})
            yield ranking.by_set(state.best, data, 3, kinds, init)

    normed = partial(ranking.weight_normed, make=ONE)
    draws = [dd.DistilledSet.real(data, 2, settings["batches"], 1, seed=seed) for seed in SEEDS]
    best = memories.tuned(draws[0], dd.RandomStart(normed, data, init="pytorch"), dd.Fit(data))
    draws = [replace(each, step_sizes=best.step_sizes, momentum=best.momentum) for each in draws]
    note("real batches, weight-normalised", [ranking.by_set(each, data, 3, ranking.NORMED, "pytorch") for each in draws])
    note("ten kinds, weight-normalised", list(learned(partial(ranking.any_kind, kinds=ranking.NORMED), 300, ranking.NORMED,
                                                      "pytorch")))
    note(f"ten kinds, {MORE} outer steps", list(learned(ranking.any_kind, MORE, ranking.KINDS, "xavier-normal")))


if __name__ == "__main__":
    main()
