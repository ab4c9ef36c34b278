"""A generator and shared memories, as `methods` wants them: how they are run, judged and compared."""

from dataclasses import replace

import torch

import ddlite as dd
from ddlite.cli.apart import summary
from ddlite.gallery import gtn, idc, past

OUTER = ("outer_steps", "batch_size", "learning_rate", "validate_every", "validation_networks")

GTN = {"images_per_class_and_batch": 2, "batches": 10, "step_size": 0.05, "momentum": 0.5, "size": 32, "hidden": 64,
       "noise": "learned", "momenta": False, "batch_size": 256, "learning_rate": 0.05, "validate_every": 50,
       "validation_networks": 8}

PAST = {"images_per_class_and_batch": 10, "bases": 15, "down": 3, "pool": 3, "steps": 15, "step_size": 0.05, "momentum": 0.9,
        "begin": "noise", "batch_size": 256, "learning_rate": 0.05, "validate_every": 50, "validation_networks": 8,
        "epochs": 300}


def generated(settings, data, seed=0):
    """The set that GTN begins with: a generator of random weights; with "momenta" each step learns a momentum of its own."""
    each, classes = round(settings["images_per_class_and_batch"]), len(data.classes)
    draws = None if settings["noise"] == "learned" else (settings["batches"], each * classes)
    kept = gtn.Generator(settings["size"], settings["hidden"], classes, settings["noise"], draws)
    dset = dd.DistilledSet.noise(data, each, settings["batches"], 1, settings["step_size"], momentum=settings["momentum"],
                                 storage=kept, seed=seed)
    if not settings["momenta"]:
        return dset
    return replace(dset, momentum=torch.full((settings["batches"],), float(settings["momentum"])))


def run_gtn(settings, data, seed):
    """`run` of GTN, in the common loop. Beside the set: its batches in other orders, and other draws of its generator."""
    start, goal = dd.RandomStart(settings["network"], data, seed=seed), dd.Fit(data)

    def states(checkpoint):
        return dd.distill(generated(settings, data, seed), start, goal, seed=seed, checkpoint=checkpoint,
                          **{name: settings[name] for name in OUTER})

    def judge(best, held_out):
        others = {"shuffled": gtn.shuffled, **({"redrawn": gtn.redrawn} if settings["hidden"] else {})}
        rows = {name: summary(dd.baselines.over_draws([other(best, k) for k in range(5)], start, goal, held_out))
                for name, other in others.items()}
        return dd.evaluate(best, start.networks("held-out", held_out), goal, data.test, [1]), {**rows, **steps_of(best)}

    return states, judge


def steps_of(dset):
    """Step sizes and momentum, as a manifest says them."""
    sizes, momenta = ([] if each is None else [round(one, 4) for one in each.flatten().tolist()]
                      for each in (dset.step_sizes, dset.momentum))
    return {"step_sizes": sizes, "momentum": momenta if len(momenta) > 1 else (momenta or [None])[0]}


def compare_gtn(settings, data, held_out, epochs=None, draws=5):
    """`baselines` of GTN: as many batches without learning, each kind at its own best step size and momentum."""
    start, goal = dd.RandomStart(settings["network"], data), dd.Fit(data)
    size = {"images_per_class_and_batch": round(settings["images_per_class_and_batch"]), "batches": settings["batches"],
            "passes": 1}
    kinds = {"real batches": [dd.baselines.real_images(data, seed=seed, **size) for seed in range(draws)],
             "class means": [dd.baselines.class_means(data, settings["batches"], 1)],
             "k-means": [dd.baselines.centres(data, seed=seed, **size) for seed in range(draws)]}
    for name, sets in kinds.items():
        best = tuned(sets[0], start, goal)
        sets = [replace(dset, step_sizes=best.step_sizes, momentum=best.momentum) for dset in sets]
        yield name, dd.baselines.over_draws(sets, start, goal, held_out)


def tuned(dset, start, goal, momenta=(0.0, 0.5, 0.9)):
    """The set with the constant step size and the momentum that score best on validation images."""
    tried = []
    for momentum in momenta:
        one = replace(dset, momentum=torch.tensor(momentum) if momentum else None)
        chosen, scores = dd.baselines.with_best_step_size(one, start, goal)
        tried.append((max(scores.values()), chosen))
    return max(tried, key=lambda pair: pair[0])[1]


def shared(settings, data, seed=0):
    """The set that `past` begins with: bases and addresses, or small pictures without them, from noise; or, where "begin" is
    "k-means", those that keep as many k-means centres best."""
    if settings["begin"] not in ("noise", "k-means"):
        raise ValueError(f"begin={settings['begin']!r}: 'noise' or 'k-means' is needed.")
    each, bases, steps = round(settings["images_per_class_and_batch"]), settings["bases"], settings["steps"]
    kept = past.Bases(bases, settings["down"], *([settings["pool"], steps] if bases else []))
    dset = dd.DistilledSet.noise(data, each, passes=1 if bases else steps, step_size=settings["step_size"], tied=True,
                                 momentum=settings["momentum"], storage=kept, seed=seed)
    if settings["begin"] == "noise":
        return dset
    centres = dd.baselines.centres(data, each * settings["pool"] if bases else each, seed=seed)
    found = past.Bases(bases, settings["down"]).encode(centres.images)
    if bases:  # both of the order of 1, as noise is; and each image's share of the centres as its pool
        size = found["bases"][0, 0].numel() ** 0.5
        found = {"bases": found["bases"] * size, "addresses": found["addresses"].reshape(dset.stored["addresses"].shape) / size}
    return replace(dset, images=None, stored=found)


def run_past(settings, data, seed):
    """`run` of shared memories: protocol A. Beside it, protocol B: networks that are trained from scratch on all images."""
    start, goal = dd.RandomStart(settings["network"], data, seed=seed), dd.Fit(data)

    def states(checkpoint):
        return dd.distill(shared(settings, data, seed), start, goal, seed=seed, checkpoint=checkpoint,
                          **{name: settings[name] for name in OUTER})

    def judge(best, held_out):
        networks = start.networks("held-out", held_out)
        scratch = dd.evaluate(from_scratch(best, dd.Recipe(settings["epochs"])), networks, goal, data.test, [1])
        return dd.evaluate(best, networks, goal, data.test, [best.passes]), {
            "from_scratch": summary(scratch), "step_size": round(best.step_sizes[0].item(), 4),
            "momentum": round(best.momentum.item(), 4)}

    return states, judge


def from_scratch(dset, recipe=None):
    """All images that a set stands for, whatever it keeps them in, for protocol B in place of its own gradient steps."""
    dset = replace(dset, step_sizes=None, momentum=None, tied=False, recipe=recipe or dd.Recipe(), start=None)
    return past.everyone(dset) if "addresses" in (dset.stored or {}) else dset


def compare_past(settings, data, held_out, epochs, draws=5):
    """`baselines` of shared memories, all in their floats: protocol B, and real images by as many steps of their own."""
    start, goal, down = dd.RandomStart(settings["network"], data), dd.Fit(data), settings["down"]
    recipe, each = dd.Recipe(settings["epochs"]), down**2
    storages = [idc.Patches(down)] if down > 1 else []
    yield from dd.baselines.from_scratch(goal, start, 1, recipe, storages, held_out, draws, epochs=epochs)
    kinds = {f"k-means at 1/{down} of the size": (each, past.Bases(None, down))}
    if settings["bases"]:
        number = round(settings["images_per_class_and_batch"]) * settings["pool"]
        kinds[f"k-means in {settings['bases']} bases, not learned"] = (number, past.Bases(settings["bases"], down))
    for name, (number, kept) in kinds.items():
        sets = [in_storage(dd.baselines.centres(data, number, seed=seed), kept, recipe) for seed in range(draws)]
        yield name, dd.baselines.over_draws(sets, start, goal, held_out)
    steps = [dd.DistilledSet.real(data, passes=settings["steps"], seed=seed) for seed in range(draws)]
    best = tuned(steps[0], start, goal)
    yield "random real, protocol A", dd.baselines.over_draws(
        [replace(dset, step_sizes=best.step_sizes, momentum=best.momentum) for dset in steps], start, goal, held_out)


def in_storage(dset, storage, recipe):
    """The same images as near as a storage keeps them, for protocol B."""
    return replace(dset, images=None, stored=storage.encode(dset.images), storage=storage, step_sizes=None, recipe=recipe)
