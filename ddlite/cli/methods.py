"""The methods of the gallery that `distill --method` and `baselines --method` know: a plain table, a row each.

A row names the method's profiles, and the functions that a method with a loop of its own brings from its file of the gallery:

    run(settings, data, seed)      -> states, judge:
        states(checkpoint)         a generator of `State`s, one for each of settings["outer_steps"] outer steps; it goes on from
                                   the file where that is there
        judge(best, held_out)      -> a `Report` of so many held-out networks on test images, and a dict of what else is to be
                                   said in the manifest
    baselines(settings, data, held_out, epochs) -> (name, `Report`) after (name, `Report`): what stands beside it
    load(settings, device)         -> the data; they have a `fingerprint`

Settings are a dict, `defaults` and then the profile's. All but the "network", which builds one, is what JSON can hold; those in
`parser.SETTINGS` can be given on the command line.
"""

import difflib
from collections.abc import Callable
from typing import NamedTuple

import ddlite as dd
from ddlite.cli import apart
from ddlite.gallery import dc, gcond, idc, kip
from ddlite.gallery.walk import Walk


def load(settings, device="cpu"):
    return dd.load(settings["data"], device=device)


def parts(settings, data, seed):
    """What `distill` takes to match gradients: the set to begin with, the start and the goal."""
    storage = idc.Patches(settings["patches"])
    kind = {"recipe": recipe(settings), "seed": seed, **({"storage": storage} if settings["patches"] > 1 else {})}
    make = dd.DistilledSet.real if settings["real"] else dd.DistilledSet.noise
    start = dd.RandomStart(settings["network"], data, seed=seed)
    if settings["walk"]:
        start = Walk(start, "set" if settings["walk"] == "set" else data)
    goal = dc.Match(data, settings["distance"], settings["by_class"], settings["warm_up"])
    return make(data, settings["images_per_class_and_batch"], **kind), start, goal


def recipe(settings):
    """How networks are trained on the set: protocol B."""
    return dd.Recipe(settings["epochs"], augment=settings["augment"])


def outer(settings):
    """The settings of the outer loop, as keywords for `distill`."""
    names = ("outer_steps", "batch_size", "learning_rate", "validate_every", "validation_networks")
    return {name: settings[name] for name in names}


def matching(settings, data, seed):
    """`run` of methods that match gradients in the common loop."""
    dset, start, goal = parts(settings, data, seed)

    def states(checkpoint):
        return dd.distill(dset, start, goal, seed=seed, checkpoint=checkpoint, **outer(settings))

    def judge(best, held_out):
        return dd.evaluate(best, start.networks("held-out", held_out), goal, data.test, [1]), {}

    return states, judge


def from_scratch(settings, data, held_out, epochs):
    """`baselines` of sets of pixels under protocol B."""
    start, storages = dd.RandomStart(settings["network"], data), [idc.Patches(k) for k in (2, 3) if not data.shape[-1] % k]
    return dd.baselines.from_scratch(dd.Fit(data), start, settings["images_per_class_and_batch"], recipe(settings),
                                     storages, held_out, epochs=epochs)


MATCHING = {"images_per_class_and_batch": 1, "real": False, "patches": 1, "distance": "cosine", "by_class": True, "warm_up": 0,
            "walk": None, "batch_size": 320, "learning_rate": 0.1, "validate_every": 50, "validation_networks": 3,
            "epochs": 300, "augment": False}


class Method(NamedTuple):
    profiles: dict
    defaults: dict
    run: Callable
    baselines: Callable
    load: Callable = load


METHODS = {
    "dc": Method(dc.PROFILES["dc"], MATCHING, matching, from_scratch),
    "dcc": Method(dc.PROFILES["dcc"], MATCHING, matching, from_scratch),
    "idc": Method(idc.PROFILES["idc"], MATCHING, matching, from_scratch),
    "kip": Method(kip.PROFILES["kip"], apart.KIP, apart.run_kip, apart.compare_kip),
    "gcond": Method(gcond.PROFILES["gcond"], apart.GCOND, apart.run_gcond, apart.compare_gcond, apart.load_graph),
}


def settings_of(method, profile, **changes):
    """All settings of a method in a profile, a dict; changes that are None leave a setting as it is.

    Raises ValueError for a method, a profile or a setting that does not exist.
    """
    for kind, name, known in (("method", method, METHODS), ("profile", profile, METHODS.get(method) and
                                                            METHODS[method].profiles)):
        if name not in known:
            close = difflib.get_close_matches(str(name), known, 1)
            raise ValueError(f"There is no {kind} {name!r}{f' of {method}' if kind == 'profile' else ''}. "
                             f"{f'Did you mean {close[0]}? ' if close else ''}Known: {', '.join(known)}.")
    settings = {**METHODS[method].defaults, **METHODS[method].profiles[profile]}
    changes = {name: value for name, value in changes.items() if value is not None}
    if unknown := sorted(set(changes) - set(settings)):
        raise ValueError(f"{method} has no setting {', '.join(unknown)}. Known: {', '.join(settings)}.")
    return {**settings, **changes}


def as_json(settings, data):
    """Settings as a manifest keeps them: the network by its name and size."""
    if "network" not in settings:
        return settings
    network = settings["network"](data.shape, len(data.classes))
    weights = sum(weight.numel() for weight in network.parameters())
    return {**settings, "network": f"{type(network).__name__}, {weights:,} weights"}
