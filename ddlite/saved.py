"""The file of a distilled set: one safetensors file with all that is needed to apply it."""

import warnings
from dataclasses import asdict

from ddlite.machinery.files import fingerprint, load_tensors, save_tensors
from ddlite.scratch import Recipe
from ddlite.storage import PIXELS, described

FORMATS = 1, 2  # the first kept all images as pixels, and had neither tied step sizes nor recipes
NAMES = ("labels", "step_sizes", "momentum")  # the tensors beside those of images and of a fixed start's weights


def write(dset, path, initial=None):
    """Write a `DistilledSet`; see `DistilledSet.save`."""
    if initial is not None:
        initial = tuple(initial)
        if dset.start is None or dset.start["kind"] != "fixed" or fingerprint(*initial) != dset.start["fingerprint"]:
            raise ValueError("These are not the first weights that this set was learned for: save it without `initial`, "
                             "or with start.network.parameters() of the FixedStart that it was learned with.")
    initial, tensors = dset.initial if initial is None else initial, dset.tensors()
    if initial is None and dset.start is not None and dset.start["kind"] == "fixed":
        warnings.warn("This set belongs to one network, whose first weights are not saved with it: pass "
                      "initial=start.network.parameters(), unless you keep them elsewhere.", stacklevel=3)
    for name, weight in zip(dset.start["shapes"] if initial else (), initial or (), strict=True):
        tensors[f"initial.{name}"] = weight
    tensors.update({f"buffer.{name}": buffer for name, buffer in (dset.buffers or {}).items()})
    order = f"step t uses batch t mod {dset.batches} and step_sizes[t]"
    save_tensors(path, tensors, {"format": FORMATS[-1], "order": order, "data": dset.data, "classes": dset.classes,
                                 "mean": dset.mean, "std": dset.std, "goal": dset.goal, "start": dset.start,
                                 "recipe": dset.recipe and asdict(dset.recipe), "tied": dset.tied,
                                 "storage": dset.storage.describe()})


def read(path):
    """The fields of the `DistilledSet` that a file holds, a dict; see `DistilledSet.load`."""
    tensors, about = load_tensors(path)
    try:
        return _fields(path, tensors, about)
    except (KeyError, TypeError, AttributeError, IndexError) as cause:
        raise ValueError(f"{path} holds no distilled set: what it says of itself is incomplete ({cause!r}). Copy or compute it "
                         "again.") from cause


def _fields(path, tensors, about):
    if "condensed graph" in about:
        raise ValueError(f"{path} holds a graph and no images: ddlite.gallery.condensed.CondensedGraph.load(path) reads it.")
    if about.get("format") not in FORMATS or "labels" not in tensors:
        raise ValueError(f"{path} holds no distilled set that this ddlite can read (format {about.get('format')}, "
                         f"known: {FORMATS[0]} to {FORMATS[-1]}): a newer ddlite may.")
    start, goal = about["start"], about["goal"]
    if start and "law" in start:  # the first edition's word for it
        start = {"init" if key == "law" else key: value for key, value in start.items()}
    if (goal or "").startswith("attack"):
        warnings.warn(f"This set was made to harm ({goal}): train only networks on it that you can do without.",
                      stacklevel=4)
    storage, recipe = described(about.get("storage", PIXELS.describe())), about.get("recipe")
    weights = {f"initial.{name}": tensors.get(f"initial.{name}") for name in (start["shapes"] if start else ())}
    buffers = {name.removeprefix("buffer."): tensor for name, tensor in tensors.items() if name.startswith("buffer.")}
    stored = {name: tensor for name, tensor in tensors.items()
              if name not in NAMES and name not in weights and not name.startswith("buffer.")}
    # The first format's checksum did not cover names. A set has the weights of a fixed start all together, or none.
    known = set(stored) == {"images"} and "step_sizes" in tensors if storage is PIXELS and not recipe else bool(stored)
    held = [name for name, tensor in weights.items() if tensor is not None]
    if not known or len(held) not in (0, len(weights)):
        raise ValueError(f"{path} was changed after it was written (tensors {', '.join(tensors)}): copy or compute it again.")
    images = stored if storage is PIXELS else {"images": None, "stored": stored}
    return {**images, **{name: tensors.get(name) for name in NAMES}, "data": about["data"], "goal": goal, "start": start,
            **{name: tuple(about[name]) for name in ("classes", "mean", "std")}, "buffers": buffers or None,
            "initial": tuple(tensors[name] for name in held) or None, "recipe": recipe and Recipe(**recipe),
            "tied": about.get("tied", False), "storage": storage}
