"""What a distilled set, and what `distill` is asked for, must be, and the words where it is not."""

import math
from functools import partial

import torch

from ddlite.data import need_split
from ddlite.machinery import arguments
from ddlite.machinery.arguments import number, shown, whole


def need_set(dset):
    """Raise ValueError, with the way out, for what is no `DistilledSet` where one is needed."""
    if not all(hasattr(dset, name) for name in ("images", "labels", "step_sizes", "classes")):
        raise ValueError(f"A {type(dset).__name__} was given where a distilled set is needed, e.g. state.best, or "
                         "ddlite.DistilledSet.load(path).")


def check_nouns(dset, start, goal):
    """Raise ValueError unless what `distill` was given are a set, a start and a goal."""
    need_set(dset)
    for name, given, member, words in (("start", start, "networks", "e.g. FixedStart(network) or RandomStart(LeNet, data)"),
                                       ("goal", goal, "score", "e.g. Fit(data)")):
        if not hasattr(given, member):
            raise ValueError(f"A {type(given).__name__} was given as {name}: one is needed, {words}.")


def checked_settings(settings):
    """The settings of a distillation, a dict, as plain numbers. Raises ValueError for one that cannot be, with its range."""
    ranges = {"seed": arguments.seed, "learning_rate": partial(number, "learning_rate", above=0),
              "step_size_rate": partial(number, "step_size_rate", above=0), "decay": partial(number, "decay", least=0),
              "average": partial(number, "average", least=0, below=1),
              "clip": lambda value: value if value == math.inf else number("clip", value, above=0),
              "batch_size": lambda value: whole("batch_size", value, 1, 10**7)}
    return {name: ranges[name](value) if name in ranges else whole(name, value, 1) for name, value in settings.items()}


def check_kinds(dset):
    """Raise ValueError for what PyTorch would trip over only when a network is trained: other types, classes of one name."""
    floats = ["images", *(name for name in ("step_sizes", "momentum") if getattr(dset, name) is not None)]
    for name in (*floats, "labels"):
        tensor = getattr(dset, name)
        if not isinstance(tensor, torch.Tensor):
            raise ValueError(f"{name} is a {type(tensor).__name__}: a tensor is needed, e.g. torch.as_tensor(...).")
        wanted = (torch.float32,) if name in floats else (torch.int64, torch.float32)
        if tensor.dtype not in wanted:
            way = "float()" if name in floats or tensor.is_floating_point() else "long()"
            raise ValueError(f"{name} is of type {tensor.dtype}: {' or '.join(map(str, wanted))} is needed, {name}.{way}.")
    if isinstance(dset.classes, str) or len(set(dset.classes)) < max(2, len(dset.classes)):
        raise ValueError(f"classes={shown(dset.classes)}: the names of two or more classes are needed, no two alike.")


def check_classes(split, classes):
    """Raise ValueError for a `Split` of other classes than these, or of the same in another order."""
    need_split(split)
    theirs = getattr(split, "classes", None) or classes
    if len(theirs) != len(classes):
        raise ValueError(f"The {split.name} images are of {len(theirs)} classes, the distilled set of {len(classes)}.")
    for k, (there, here) in enumerate(zip(theirs, classes)):
        if there != here:
            raise ValueError(f"Class {k} of the {split.name} images is {shown(there)}, of the distilled set {shown(here)}: in "
                             "another order, right answers would be counted as wrong. If it is the same class by another name: "
                             "from_arrays(..., classes=dset.classes).")


def check_split(dset, split):
    """Raise ValueError for a `Split` that a network trained on a set would misread: other shapes, normalisation or classes."""
    check_classes(split, dset.classes)
    if split.images.shape[1:] != dset.images.shape[2:]:
        raise ValueError(f"The {split.name} images are {tuple(split.images.shape[1:])}, those of the distilled set "
                         f"{tuple(dset.images.shape[2:])}: load the data with the same size= and channels=.")
    theirs, own = (*split.mean, *split.std), (*dset.mean, *dset.std)
    if len(theirs) != len(own) or any(abs(a - b) > min(1e-4, 1e-3 * std) for a, b, std in zip(theirs, own, 2 * dset.std)):
        raise ValueError(f"The {split.name} images were normalised with mean {split.mean} and std {split.std}, the "
                         f"distilled set with mean {dset.mean} and std {dset.std}. Load the data with the set's "
                         "normalisation: from_arrays(..., mean=dset.mean, std=dset.std).")


def check_parts(dset):
    """Raise ValueError unless a `DistilledSet`'s images, labels, step sizes and momentum fit together and make sense."""
    check_kinds(dset)
    batches, n = dset.images.shape[:2] if dset.images.dim() == 5 else (0, 0)
    soft = dset.labels.is_floating_point()
    if batches == 0 or dset.labels.shape != ((batches, n, len(dset.classes)) if soft else (batches, n)):
        raise ValueError(f"Images {tuple(dset.images.shape)} and labels {tuple(dset.labels.shape)} do not fit: expected "
                         "(batches, n, C, H, W), and (batches, n) class numbers or (batches, n, classes) distributions.")
    if dset.step_sizes is None and dset.recipe is None:
        raise ValueError("The set has neither step sizes nor a recipe: with one of them it can be applied.")
    sizes = dset.images.new_ones(batches) if dset.step_sizes is None else dset.step_sizes
    if sizes.dim() != 1 or len(sizes) == 0 or len(sizes) % batches:
        raise ValueError(f"{sizes.numel()} step sizes for {batches} batches: "
                         "one for each gradient step is needed, batches x passes in all.")
    if not all(torch.isfinite(t).all() for t in (dset.images, dset.labels.float(), sizes)):
        raise ValueError("The images, labels or step sizes hold NaN or infinity.")
    momentum = torch.zeros(()) if dset.momentum is None else dset.momentum
    if momentum.shape not in ((), sizes.shape) or not ((momentum >= 0) & (momentum < 1)).all():
        raise ValueError(f"The momentum is {momentum.tolist()}: one number, or one for each of the {len(sizes)} gradient "
                         "steps, is needed, at least 0 and less than 1.")
    if sizes.min() < 0:
        raise ValueError("A step size is negative: gradient descent would climb.")
    if dset.tied and not (sizes == sizes[0]).all():
        raise ValueError("The step sizes are tied and yet differ: give every step the same one, or set tied=False.")
    if soft and not (dset.recipe and dset.recipe.loss == "squares" and dset.step_sizes is None):
        check_distributions(dset.labels)
    if not soft and (dset.labels.min() < 0 or dset.labels.max() >= len(dset.classes)):
        raise ValueError(f"The labels must be class numbers in 0..{len(dset.classes) - 1}.")


def check_distributions(labels):
    """Raise ValueError for labels (..., classes) that are no distributions. Only what is trained on squares takes others."""
    if not (labels.min() >= 0 and (labels.sum(-1) - 1).abs().max() <= 1e-4):  # NaN is none, either
        raise ValueError("The labels are no distributions: each row must be 0 or more and sum to 1. Targets of a kernel or of "
                         "squares are for loss='squares' alone; a cross-entropy takes the classes, labels.argmax(-1).")
