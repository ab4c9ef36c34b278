"""How long a student waits: seconds until ten MNIST images, learned for a fixed start, reach an accuracy."""

import time

from ddlite import profiles
from ddlite.data import load
from ddlite.distill import distill
from ddlite.goals import Fit

# Validation accuracies in percent, the outer steps in which they are to be reached, and the first of the seeds, with none of
# which a plan was chosen.
GOALS, OUTER_STEPS, FIRST_SEED = (90.0, 93.8), 2000, 10


def time_to_accuracy(seed, goals, device="cpu"):
    """The seconds until each goal, with labels and momentum learned and twenty gradient steps.

    The learning rate falls to 0 over `OUTER_STEPS`. The looks at the validation images on the way are counted.

    Returns {goal: seconds, or None if it is never reached}, and the best validation accuracy until the last goal is reached.
    """
    settings = profiles.fixed("laptop", passes=20, step_size=0.1, learn_labels=True, momentum=0.5, outer_steps=OUTER_STEPS,
                              validate_every=OUTER_STEPS // 20)
    data, taken = load(settings.data, device=device), dict.fromkeys(goals)
    start, began = settings.starts(data, seed), time.perf_counter()
    for state in distill(settings.noise(data, seed), start, Fit(data), seed=seed, **settings.outer()):
        for goal in goals:
            if taken[goal] is None and state.best_score >= goal:
                taken[goal] = time.perf_counter() - began
        if None not in taken.values():
            break
    return taken, state.best_score
