"""What a distilled set begins as: noise, or real images. Both are methods of `DistilledSet`."""

import math
from typing import Any

import torch

from ddlite.data import Data, need_data
from ddlite.machinery import arguments
from ddlite.machinery.arguments import number, whole
from ddlite.scratch import Recipe
from ddlite.storage import PIXELS


def noise(cls, data: Data, images_per_class_and_batch: float = 1, batches: int = 1, passes: int = 3, step_size: float = 0.02,
          learn_labels: bool = False, momentum: float = 0.0, seed: int = 0, tied: bool = False, recipe: Recipe | None = None,
          storage: Any = PIXELS) -> Any:
    """A set to begin learning with: images from N(0, 1), labels in class order, all step sizes alike.

    Args:
        data: the `Data` it is to stand for.
        images_per_class_and_batch: the whole set has batches times as many. With learned labels it may be a fraction, e.g. 0.5:
            five images for ten classes.
        batches, passes: gradient steps are batches x passes.
        step_size: the initial value.
        learn_labels: labels become distributions that are learned too. They begin at 90 % for their class; where there
            are fewer images than classes, image k of n shares its 90 % among the classes k, k + n, ...
        momentum: of the gradient steps, the value to begin with (it is learned too); 0 for none, as in the paper.
        seed: of the noise, 0..2**32 - 1, drawn on the CPU, so that every device begins alike.
        tied, recipe, storage: see `DistilledSet`. A storage that decodes each stored image to several gives them all its
            label.

    Raises ValueError for numbers that cannot be, and for more than a million gradient steps or 8 GiB of images.
    """
    n, batches, passes, seed = checked(data, images_per_class_and_batch, batches, passes, seed)
    classes = len(data.classes)
    if n < classes and not learn_labels:
        raise ValueError(f"{n} images cannot stand for {classes} classes with one fixed label each: use learn_labels=True.")
    stored = storage.noise((batches, n, *data.shape), torch.Generator().manual_seed(seed))
    labels = torch.arange(min(n, classes)).repeat_interleave(max(n // classes, 1)).repeat(batches, 1)
    if learn_labels:
        own = (torch.arange(classes) % n == labels[..., None]).to(torch.float32)
        labels = 0.9 * own / own.sum(-1, keepdim=True) + 0.1 * (1 - own) / (1 - own).sum(-1, keepdim=True).clamp(min=1)
        labels = labels / labels.sum(-1, keepdim=True)
    return _made(cls, data, stored, labels, passes, step_size, momentum, tied, recipe, storage)


def real(cls, data: Data, images_per_class_and_batch: int = 1, batches: int = 1, passes: int = 3, step_size: float = 0.02,
         momentum: float = 0.0, seed: int = 0, tied: bool = False, recipe: Recipe | None = None, storage: Any = PIXELS) -> Any:
    """A set to begin learning with, or to compare with: training images drawn at random, all different.

    Arguments as for `noise`. A storage that decodes each stored image to several keeps as many real ones in it.

    Raises ValueError as `noise` does, and if a class has too few images.
    """
    n, batches, passes, seed = checked(data, images_per_class_and_batch, batches, passes, seed)
    stored = whole("images_per_class_and_batch", images_per_class_and_batch, 1)
    generator, drawn, each = torch.Generator().manual_seed(seed), [], stored * storage.pictures
    for label, name in enumerate(data.classes):
        own = data.train.images[data.train.labels == label]
        if len(own) < batches * each:
            raise ValueError(f"Class {name} has {len(own)} training images, {batches * each} are asked for.")
        which = torch.randperm(len(own), generator=generator)[:batches * each].to(own.device)
        drawn.append(own[which].unflatten(0, (batches, storage.pictures, stored)))
    labels = torch.arange(len(data.classes)).repeat_interleave(stored).repeat(batches, 1)
    numbers = storage.encode(torch.cat(drawn, dim=2).flatten(1, 2))
    return _made(cls, data, numbers, labels, passes, step_size, momentum, tied, recipe, storage)


def _made(cls, data, stored, labels, passes, step_size, momentum, tied, recipe, storage):
    """A set for data of stored numbers, and labels of the stored images."""
    device, plain = data.train.images.device, storage is PIXELS
    stored = {name: tensor.to(device) for name, tensor in stored.items()}
    labels = labels.repeat(getattr(storage, "repeats", 1), storage.pictures, *[1] * (labels.dim() - 2)).to(device)
    step_size, momentum = number("step_size", step_size, above=0), number("momentum", momentum, least=0, below=1)
    sizes = torch.full((len(labels) * passes,), step_size, dtype=torch.float32, device=device)
    momentum = torch.tensor(momentum, dtype=torch.float32, device=device) if momentum else None
    return cls(stored["images"] if plain else None, labels, sizes, data.name, data.classes, data.mean, data.std, momentum,
               tied=tied, recipe=recipe, storage=storage, stored=None if plain else stored)


def checked(data, images_per_class_and_batch, batches, passes, seed):
    """What `DistilledSet.noise` and `real` are asked for, checked: images in a batch, batches, passes, seed.

    Raises ValueError for numbers that cannot be, and for more than a million gradient steps or 8 GiB of images.
    """
    need_data(data)
    each, classes = number("images_per_class_and_batch", images_per_class_and_batch, above=0), len(data.classes)
    batches, passes, n = whole("batches", batches, 1), whole("passes", passes, 1), round(classes * each)
    if n < 1 or (each > 1 and each != int(each)):
        raise ValueError(f"images_per_class_and_batch={each:g} of {classes} classes: a whole number is needed, or with "
                         f"learned labels a fraction of at least 1/{classes}.")
    if batches * passes > 10**6 or batches * n * math.prod(data.shape) > 2**31:
        raise ValueError(f"{batches:,} batches of {n:,} images, {passes:,} passes: a set has at most a million gradient steps "
                         "and 8 GiB of images. Ask for less.")
    return n, batches, passes, arguments.seed(seed)
