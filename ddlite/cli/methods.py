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
from dataclasses import replace
from typing import NamedTuple

import ddlite as dd
from ddlite.cli import apart, memories
from ddlite.gallery import dc, gcond, gtn, idc, kip, mtt, past, textures
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
    images_per_class = settings["images_per_class_and_batch"] * settings.get("batches", 1)
    return dd.baselines.from_scratch(dd.Fit(data), start, images_per_class, recipe(settings), storages, held_out, epochs=epochs)


def following(settings, data, seed):
    """`run` of matching trajectories, in the common loop. Experts are kept under the data root."""
    start = experts(settings, data, seed).fill()
    dset = dd.DistilledSet.real(data, round(settings["images_per_class_and_batch"]), settings["batches"], settings["passes"],
                                settings["step_size"], seed=seed, tied=True, recipe=recipe(settings))
    goal = mtt.Follow(data)

    def states(checkpoint):
        return dd.distill(dset, start, goal, seed=seed, checkpoint=checkpoint, **outer(settings))

    def judge(best, held_out):
        return dd.evaluate(best, start.networks("held-out", held_out), dd.Fit(data), data.test, [1]), {
            "step_size": round(best.step_sizes[0].item(), 4)}

    return states, judge


def tiling(settings, data, seed):
    """`run` of canvases that follow experts. Networks that judge see fresh pieces."""
    start = experts(settings, data, seed).fill()
    dset = dd.DistilledSet.noise(data, passes=1, step_size=settings["step_size"], tied=True, seed=seed,
                                 recipe=dd.Recipe(settings["epochs"], settings["rate"]),
                                 storage=textures.Canvas(settings["times"], settings["crops"]))

    def states(checkpoint):
        return dd.distill(dset, start, mtt.Follow(data), seed=seed, checkpoint=checkpoint, decay=settings["decay"],
                          **outer(settings))

    def judge(best, held_out):
        pieces, canvas = textures.pieces(best, settings["epochs"]), textures.canvas_of(best)
        report = dd.evaluate(pieces, start.networks("held-out", held_out), dd.Fit(data), data.test, [1])
        return replace(report, floats=best.floats), {"seam": round(textures.seam(canvas), 3)}

    return states, judge


def one_picture(settings, data, held_out, epochs):
    """`baselines` of canvases: one real picture of each class, as it is and as a canvas of its own; class means."""
    start, seeds, recipe = experts(settings, data, 0), range(min(5, held_out)), dd.Recipe(settings["epochs"], settings["rate"])
    rolled = {"storage": textures.Canvas(1, 1), "recipe": recipe}
    kinds = {"one real picture": lambda seed: dd.DistilledSet.real(data, recipe=recipe, seed=seed),
             "the same, rolled": lambda seed: textures.pieces(dd.DistilledSet.real(data, seed=seed, **rolled), recipe.epochs),
             "class means": lambda seed: replace(dd.baselines.class_means(data), step_sizes=None, recipe=recipe)}
    for name, made in kinds.items():
        yield name, dd.baselines.over_draws([made(seed) for seed in seeds], start, dd.Fit(data), held_out)


def experts(settings, data, seed, folder=None):
    """The experts of `following` and `tiling`."""
    return mtt.Experts(settings["network"], data, settings["experts"], settings["expert_epochs"], settings["ahead"],
                       settings["last"], seed=seed, learning_rate=settings["expert_rate"], batch_size=settings["expert_batch"],
                       images=settings["expert_images"], folder=folder or dd.data.data_root() / "experts")


MATCHING = {"images_per_class_and_batch": 1, "real": False, "patches": 1, "distance": "cosine", "by_class": True, "warm_up": 0,
            "walk": None, "batch_size": 320, "learning_rate": 0.1, "validate_every": 50, "validation_networks": 3,
            "epochs": 300, "augment": False}


FOLLOWING = {"images_per_class_and_batch": 1, "batches": 1, "passes": 10, "step_size": 0.05, "experts": 10, "expert_epochs": 10,
             "ahead": 2, "last": 4, "expert_rate": 0.05, "expert_batch": 32, "expert_images": None, "batch_size": 1,
             "learning_rate": 0.05, "validate_every": 50, "validation_networks": 3, "epochs": 300, "augment": False}


# TileNet, which has no norm, wants a smaller rate than the field's 0.01: with it, one network in five learned little.
TILING = {**FOLLOWING, "times": 2, "crops": 12, "decay": 0.3, "step_size": 0.1, "learning_rate": 0.08, "experts": 4,
          "expert_epochs": 5, "last": 2, "expert_rate": 0.1, "validate_every": 95, "epochs": 600, "rate": 0.005}
del TILING["passes"], TILING["batches"], TILING["images_per_class_and_batch"]


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
    "mtt": Method(mtt.PROFILES["mtt"], FOLLOWING, following, from_scratch),
    "textures": Method(textures.PROFILES["textures"], TILING, tiling, one_picture),
    "kip": Method(kip.PROFILES["kip"], apart.KIP, apart.run_kip, apart.compare_kip),
    "gcond": Method(gcond.PROFILES["gcond"], apart.GCOND, apart.run_gcond, apart.compare_gcond, apart.load_graph),
    "gtn": Method(gtn.PROFILES["gtn"], memories.GTN, memories.run_gtn, memories.compare_gtn),
    "past": Method(past.PROFILES["past"], memories.PAST, memories.run_past, memories.compare_past),
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
