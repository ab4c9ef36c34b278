"""What lesson 1 says of three seeds: where learning begins, and what each part of the loop is for.

    python notebooks/trials.py       about four minutes; writes ddlite/assets/lesson-1-trials.json
"""

import time
from pathlib import Path

import torch

import ddlite as dd
from ddlite.cli.common import commit
from ddlite.machinery.files import machine, write_json

OUT = Path(__file__).resolve().parent.parent / "ddlite" / "assets" / "lesson-1-trials.json"
SEEDS = (0, 1, 2)
LEFT_OUT = {"nothing left out": {}, "no clipping": {"clip": 1e9}, "no weight decay": {"decay": 0},
            "no moving average": {"average": 0}}


def learned(begin, data, settings, seed, **changes):
    """The test accuracy of ten images learned from a beginning, and the lowest validation score of the second half."""
    start, goal, scores = settings.starts(data, seed), settings.goal(data), []
    for state in dd.distill(begin, start, goal, seed=seed, **{**settings.outer(), **changes}):
        if state.score is not None and state.outer_step > state.outer_steps / 2:
            scores.append(state.score)
    return {"test": dd.evaluate(state.best, start.networks(), goal, data.test, [begin.passes]).mean, "lowest": min(scores)}


def over_seeds(begin, data, settings, **changes):
    """{what was measured: one number for each seed}; `begin(seed)` is where learning begins."""
    runs = [learned(begin(seed), data, settings, seed, **changes) for seed in SEEDS]
    return {what: [round(run[what], 2) for run in runs] for what in runs[0]}


def main():
    torch.set_num_threads(1)
    began, settings = time.monotonic(), dd.profiles.fixed("quick")
    data = dd.load(settings.data)
    how = {"passes": settings.passes, "step_size": settings.step_size}
    beginnings = {"noise": lambda seed: settings.noise(data, seed),
                  "real digits": lambda seed: dd.baselines.real_images(data, seed=seed, **how),
                  "class means": lambda seed: dd.baselines.class_means(data, **how)}
    left_out = {name: over_seeds(beginnings["noise"], data, settings, **changes) for name, changes in LEFT_OUT.items()}
    begun_at = {"noise": left_out["nothing left out"],
                **{name: over_seeds(beginnings[name], data, settings) for name in ("real digits", "class means")}}
    write_json(OUT, {"configuration": {"profile": "quick", "experiment": "fixed", "seeds": SEEDS},
                     "left_out": left_out, "begun_at": begun_at, "command": "python notebooks/trials.py", "commit": commit(),
                     "data_fingerprint": data.fingerprint, "seconds": round(time.monotonic() - began), "machine": machine()})


if __name__ == "__main__":
    main()
