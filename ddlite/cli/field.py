"""The field on one page: everything that comes with the package for the digits, judged by the same networks and recipe."""

import time
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch.profiler import ProfilerActivity, profile

import ddlite as dd
from ddlite.cli import memories, methods
from ddlite.gallery import past

# What trains on each set from scratch. The sets were learned for an MLP, the one for a fixed start for a SmallLeNet.
NETWORKS = {"MLP": dd.MLP, "SmallLeNet": dd.SmallLeNet, "ConvNet3": partial(dd.ConvNet3, width=16)}

# {budget in images: {method: (the set that ships, its lesson)}}; GTN's generator takes fewer floats, for twice the images.
LEARNED = {10: {"fixed start": ("digits-fixed-10", 1), "DC": ("gallery/dc-digits-10", 5), "DCC": ("gallery/dcc-digits-10", 5),
                "IDC": ("gallery/idc-digits-10", 5), "MTT": ("gallery/mtt-digits-10", 6), "KIP": ("gallery/kip-digits-10", 7),
                "bases": ("gallery/past-digits", 10)},
           100: {"random start": ("digits-random-100", 2), "DC": ("gallery/dc-digits-100", 5),
                 "MTT": ("gallery/mtt-digits-100", 6), "KIP": ("gallery/kip-digits-100", 7),
                 "GTN": ("gallery/gtn-digits", 9)}}
DOWN = {10: 3, 100: 2}  # by the budget: how many times smaller the small pictures are (at a third, 100 images hold nearly all)
BASES, ADDRESSES = 15, 30  # as those that are learned: of all, and of each class
STEPS = 15  # that ten images take by protocol A, without learning; more batches take one each


@dataclass(frozen=True)
class Row:
    """A method within a budget: its sets (of a baseline one for each draw), what making one took, and its lesson, if any."""

    sets: list
    seconds: float
    lesson: int | None = None
    note: str = ""


def rows(data: Any, budget: int, draws: int = 5) -> dict[str, Row]:
    """{method: `Row`} of all sets in the floats of so many images of the digits, those that need no learning at the end.

    Raises ValueError for a budget without sets.
    """
    if budget not in LEARNED:
        raise ValueError(f"Nothing comes with ddlite for {budget} images: choose a budget of {' or '.join(map(str, LEARNED))}.")
    found = {}
    for method, (name, lesson) in LEARNED[budget].items():
        about = dd.manifest(name)
        wall = about.get("cpu_seconds") is None
        found[method] = Row([dd.DistilledSet.shipped(name)], about["seconds"] if wall else about["cpu_seconds"], lesson,
                            "seconds by the clock" if wall else "")
    for method, make in not_learned(data, budget).items():
        began = time.process_time()
        sets = [make(seed) for seed in range(1 if method == "class means" else draws)]
        found[method] = Row(sets, (time.process_time() - began) / len(sets))
    return found


def learning(data: Any, budget: int, method: str, seed: int = 0) -> Any:
    """The generator of `State`s of a learned row's distillation, from its beginning, by the settings of the set that ships."""
    name, _ = LEARNED[budget][method]
    if not name.startswith("gallery/"):
        settings = dd.profiles.of(method.removesuffix(" start"), "quick")
        return dd.distill(settings.noise(data, seed), settings.starts(data, seed), settings.goal(data), seed=seed,
                          **settings.outer())
    known = {"bases": "past"}.get(method, method.lower())
    profile_100 = budget == 100 and method != "GTN"
    states, _ = methods.METHODS[known].run(methods.settings_of(known, "quick-100" if profile_100 else "quick"), data, seed)
    return states(None)


def memory(states: Any, step: int = 3) -> float:
    """The most MiB of tensors that an outer step of a generator of `State`s holds at a time, beyond what it began with.

    PyTorch's profiler tells each allocation, so that this is the same number every time. The generator is left open after
    that step, which must be no step with a look at the validation images.
    """
    for _ in range(step - 1):
        next(states)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        next(states)
    now = most = 0
    for event in profiler.profiler.kineto_results.events():
        if event.name() == "[memory]":
            now += event.nbytes()
            most = max(most, now)
    return most / 2**20


def not_learned(data: Any, budget: int) -> dict[str, Any]:
    """{name: a function of a seed that makes a set}, in the floats of so many images."""
    each, more = budget // len(data.classes), budget // len(data.classes) * DOWN[budget] ** 2
    small, within = past.Bases(None, DOWN[budget]), past.Bases(BASES, DOWN[budget])
    kept, centres, recipe = memories.in_storage, dd.baselines.centres, dd.Recipe()
    made = {"random real": lambda seed: dd.baselines.real_images(data, each, seed=seed),
            "small real": lambda seed: kept(dd.baselines.real_images(data, more, seed=seed), small, recipe),
            "small k-means": lambda seed: kept(centres(data, more, seed=seed), small, recipe)}
    if each > 1:
        return {"k-means": lambda seed: centres(data, each, seed=seed), **made}
    return {"class means": lambda seed: dd.baselines.class_means(data), **made,  # k-means with one centre is no other
            "k-means in bases": lambda seed: kept(centres(data, ADDRESSES, seed=seed), within, recipe)}


def judge(sets: list, network: str, data: Any, held_out: int = 5, recipe: dd.Recipe | None = None, seed: int = 0) -> dd.Report:
    """Protocol B: the `Report` of held-out networks that are trained from scratch on all images of a set, or of several."""
    start = dd.RandomStart(NETWORKS[network], data, seed=seed)
    return dd.baselines.over_draws([memories.from_scratch(dset, recipe) for dset in sets], start, dd.Fit(data), held_out)


def own_steps(dset: dd.DistilledSet, network: str, data: Any, held_out: int = 10) -> dd.Report | None:
    """Protocol A: the `Report` of held-out networks that take a set's own gradient steps; None for a set without such.

    MTT learns a step size, too: its images are shown again and again, as it was learned. A set for a fixed start has its own
    network, and no other.
    """
    start, kind = dd.RandomStart(NETWORKS[network], data), (dset.start or {}).get("kind")
    if kind == "fixed":
        make = NETWORKS[network]
        if dset.start["network"] != network:
            return None
        return dd.evaluate(dset, [dset.train(make(data.shape, len(data.classes)), passes=0)], dd.Fit(data), data.test,
                           [dset.passes])
    if dset.recipe and dset.goal != "follow":
        return None
    dset = replace(dset, recipe=None)
    return dd.evaluate(dset, start.networks("held-out", held_out), dd.Fit(data), data.test, [dset.passes])


def with_own_steps(data: Any, budget: int) -> dict[str, dd.DistilledSet]:
    """{name: a set without learning}, with the step size and the momentum that are best on validation images, for an MLP."""
    start, goal = dd.RandomStart(dd.MLP, data), dd.Fit(data)
    batches = budget // len(data.classes)
    how = {"batches": batches, "passes": 1 if batches > 1 else STEPS}
    sets = {"random real": dd.baselines.real_images(data, **how), "class means": dd.baselines.class_means(data, **how)}
    if batches > 1:
        sets["k-means"] = dd.baselines.centres(data, **how)
    return {name: memories.tuned(dset, start, goal) for name, dset in sets.items()}
