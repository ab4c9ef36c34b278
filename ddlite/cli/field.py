"""The field on one page: all sets that ship for the digits or MNIST, judged by the same networks and the same recipe."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from typing import Any

from torch.profiler import ProfilerActivity, profile

import ddlite as dd
from ddlite import results
from ddlite.cli import memories, methods
from ddlite.gallery import past
from ddlite.machinery.files import fingerprint_of_file


@dataclass(frozen=True)
class Page:
    """What is compared on one data set.

    Attributes:
        networks: {name: what builds one}, which train on each set from scratch.
        learned: {budget in images: {method: (a set that ships, its lesson)}}.
        down: {budget: how many times smaller the small pictures are}.
        bases, addresses: as of the learned set of bases: how many in all, and of each class.
        steps: gradient steps that ten images take by protocol A, without learning; more batches take one each.
    """

    networks: dict[str, Callable]
    learned: dict[int, dict[str, tuple[str, int]]]
    down: dict[int, int]
    bases: int
    addresses: int
    steps: int


NARROW = partial(dd.ConvNet3, width=16)

# The digits' sets were learned for an MLP, the one for a fixed start for a SmallLeNet. GTN's generator takes fewer floats, for
# twice the images. At a third of the side, a hundred digits would hold nearly all that there are.
DIGITS = Page({"MLP": dd.MLP, "SmallLeNet": dd.SmallLeNet, "ConvNet3": NARROW}, {
    10: {"fixed start": ("digits-fixed-10", 1), "DC": ("gallery/dc-digits-10", 5), "DCC": ("gallery/dcc-digits-10", 5),
         "IDC": ("gallery/idc-digits-10", 5), "MTT": ("gallery/mtt-digits-10", 6), "KIP": ("gallery/kip-digits-10", 7),
         "bases": ("gallery/past-digits", 10)},
    100: {"random start": ("digits-random-100", 2), "DC": ("gallery/dc-digits-100", 5), "MTT": ("gallery/mtt-digits-100", 6),
          "KIP": ("gallery/kip-digits-100", 7), "GTN": ("gallery/gtn-digits", 9)}},
    {10: 3, 100: 2}, 15, 30, 15)

# MNIST's sets were learned for networks of several kinds.
MNIST = Page({"MLP": dd.MLP, "LeNet": dd.LeNet, "ConvNet3": NARROW}, {
    10: {"fixed start": ("mnist-fixed-10", 1), "DC": ("gallery/dc-mnist-10", 5), "DCC": ("gallery/dcc-mnist-10", 5),
         "IDC": ("gallery/idc-mnist-lenet-10", 5), "MTT": ("gallery/mtt-mnist-10", 6), "KIP": ("gallery/kip-mnist-10", 7),
         "bases": ("gallery/past-mnist", 10)},
    100: {"random start": ("mnist-random-100", 2), "DC": ("gallery/dc-mnist-lenet-100", 5),
          "IDC": ("gallery/idc-mnist-lenet-100", 5), "MTT": ("gallery/mtt-mnist-100", 6), "KIP": ("gallery/kip-mnist-100", 7),
          "GTN": ("gallery/gtn-mnist-small", 9)}},
    {10: 2, 100: 2}, 16, 24, 20)

PAGES = {"digits": DIGITS, "mnist": MNIST}


@dataclass(frozen=True)
class Row:
    """A method within a budget: its sets (of a baseline one for each draw), and what making one took.

    Only a learned set has a lesson and a fingerprint of its file. A baseline was learned for no network, nor was KIP's set.
    """

    sets: list
    seconds: float
    lesson: int | None = None
    network: str | None = None
    fingerprint: str | None = None
    note: str = ""


def page(data: Any, budget: int | None = None) -> Page:
    """What is compared on some data; raises ValueError for data, or a budget, without sets."""
    if data.name not in PAGES:
        raise ValueError(f"The field is compared on {' and '.join(PAGES)}, not on {data.name}: load one of them.")
    known = PAGES[data.name].learned
    if budget is not None and budget not in known:
        raise ValueError(f"Nothing comes with ddlite for {budget} images: choose a budget of {' or '.join(map(str, known))}.")
    return PAGES[data.name]


def rows(data: Any, budget: int, draws: int = 5) -> dict[str, Row]:
    """{method: `Row`} of all sets in the floats of so many images, those that need no learning at the end.

    Raises ValueError for data or a budget without sets.
    """
    found = {}
    for method, (name, lesson) in page(data, budget).learned[budget].items():
        about = dd.manifest(name)
        wall, network = about.get("cpu_seconds") is None, about["configuration"].get("network")
        with resources.as_file(results.ASSETS / f"{name}.safetensors") as path:
            found[method] = Row([dd.DistilledSet.load(path)], about["seconds"] if wall else about["cpu_seconds"], lesson,
                                network and network.split(",")[0], fingerprint_of_file(path),
                                "seconds by the clock" if wall else "")
    for method, make in not_learned(data, budget).items():
        began = time.process_time()
        sets = [make(seed) for seed in range(1 if method == "class means" else draws)]
        found[method] = Row(sets, (time.process_time() - began) / len(sets))
    return found


def learning(data: Any, budget: int, method: str, seed: int = 0) -> Any:
    """The generator of `State`s of a learned row's distillation, from its beginning, by the profile of the set that ships."""
    name, _ = page(data, budget).learned[budget][method]
    about = dd.manifest(name)
    chosen = re.search(r"--profile (\S+)", about["command"])
    chosen = chosen[1] if chosen else "quick"
    if "method" not in about:
        settings = dd.profiles.of(method.removesuffix(" start"), chosen)
        return dd.distill(settings.noise(data, seed), settings.starts(data, seed), settings.goal(data), seed=seed,
                          **settings.outer())
    states, _ = methods.METHODS[about["method"]].run(methods.settings_of(about["method"], chosen), data, seed)
    return states(None)


def memory(states: Any, step: int = 3) -> float:
    """The most MiB of tensors that an outer step of a generator of `State`s holds at a time, beyond what it began with.

    PyTorch's profiler tells each allocation, so that two runs differ little, however busy the machine is. The generator is left
    open after that step, which must be no step with a look at the validation images.
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
    own, each = page(data, budget), budget // len(data.classes)
    down = own.down[budget]
    more, small, within = each * down**2, past.Bases(None, down), past.Bases(own.bases, down)
    kept, centres, recipe = memories.in_storage, dd.baselines.centres, dd.Recipe()
    made = {"random real": lambda seed: dd.baselines.real_images(data, each, seed=seed),
            "small real": lambda seed: kept(dd.baselines.real_images(data, more, seed=seed), small, recipe),
            "small k-means": lambda seed: kept(centres(data, more, seed=seed), small, recipe)}
    if each > 1:
        return {"k-means": lambda seed: centres(data, each, seed=seed), **made}
    return {"class means": lambda seed: dd.baselines.class_means(data), **made,  # k-means with one centre is no other
            "k-means in bases": lambda seed: kept(centres(data, own.addresses, seed=seed), within, recipe)}


def judge(sets: list, network: str, data: Any, held_out: int = 5, recipe: dd.Recipe | None = None, seed: int = 0) -> dd.Report:
    """Protocol B: the `Report` of held-out networks that are trained from scratch on all images of a set, or of several."""
    start = dd.RandomStart(page(data).networks[network], data, seed=seed)
    return dd.baselines.over_draws([memories.from_scratch(dset, recipe) for dset in sets], start, dd.Fit(data), held_out)


def own_steps(dset: dd.DistilledSet, network: str, data: Any, held_out: int = 10, seed: int = 0) -> dd.Report | None:
    """Protocol A: the `Report` of held-out networks that take a set's own gradient steps; None for a set without such.

    MTT learns a step size, too: its images are shown again and again, as it was learned. A set for a fixed start has its own
    network, and no other.
    """
    make, kind = page(data).networks[network], (dset.start or {}).get("kind")
    if kind == "fixed":
        if dset.start["network"] != network:
            return None
        return dd.evaluate(dset, [dset.train(make(data.shape, len(data.classes)), passes=0)], dd.Fit(data), data.test,
                           [dset.passes])
    if not has_steps(dset):
        return None
    dset, start = replace(dset, recipe=None), dd.RandomStart(make, data, seed=seed)
    return dd.evaluate(dset, start.networks("held-out", held_out), dd.Fit(data), data.test, [dset.passes])


def has_steps(dset: dd.DistilledSet) -> bool:
    """Whether a set has gradient steps of its own: it has no recipe, or it was learned to follow a trajectory."""
    return not dset.recipe or dset.goal == "follow"


def steps_and_images(name: str, budget: int) -> dict[str, tuple[int, int]]:
    """{method: (gradient steps, images in each of them)} by protocol A, of what ships for a data set and of `with_own_steps`.

    It is read from the sets that ship, and needs no data.
    """
    own, found = PAGES[name], {}
    for method, (ships, _) in own.learned[budget].items():
        dset = dd.DistilledSet.shipped(ships)
        if has_steps(dset):
            found[method] = len(dset.step_sizes), dset.labels.shape[1]
    without = (own.steps if budget == 10 else budget // 10), 10  # an image of each class in a step
    return {**found, **dict.fromkeys(("random real", "class means", "k-means"), without)}


def with_own_steps(data: Any, budget: int) -> dict[str, dd.DistilledSet]:
    """{name: a set without learning}, with the step size and the momentum that are best on validation images, for an MLP."""
    start, goal = dd.RandomStart(dd.MLP, data), dd.Fit(data)
    batches = budget // len(data.classes)
    how = {"batches": batches, "passes": 1 if batches > 1 else page(data).steps}
    sets = {"random real": dd.baselines.real_images(data, **how), "class means": dd.baselines.class_means(data, **how)}
    if batches > 1:
        sets["k-means"] = dd.baselines.centres(data, **how)
    return {name: memories.tuned(dset, start, goal) for name, dset in sets.items()}
