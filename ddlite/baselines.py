"""What ten pictures can do that nobody learned: real images and class means, under the same gradient steps."""

import torch

from ddlite.distill import validate
from ddlite.distilled import DistilledSet

# Four to a decade, from 0.001 to 5.6: the paper's grid, wider and finer.
STEP_SIZES = tuple(round(10 ** (k / 4), 4) for k in range(-12, 4))


def class_means(data, batches=1, passes=3, step_size=0.02):
    """The mean training image of each class, the same images in every batch: a `DistilledSet`."""
    means = torch.stack([data.train.images[data.train.labels == label].mean(0) for label in range(len(data.classes))])
    return _as_set(data, means.expand(batches, *means.shape), passes, step_size)


def real_images(data, images_per_class=1, batches=1, passes=3, step_size=0.02, seed=0):
    """Training images drawn at random, all different: a `DistilledSet`. Raises ValueError if a class has too few."""
    generator, wanted, drawn = torch.Generator().manual_seed(seed), images_per_class * batches, []
    for label, name in enumerate(data.classes):
        own = (data.train.labels == label).nonzero()[:, 0]
        if len(own) < wanted:
            raise ValueError(f"Class {name} has {len(own)} training images, {wanted} are asked for.")
        which = own[torch.randperm(len(own), generator=generator)[:wanted].to(own.device)]
        drawn.append(data.train.images[which].unflatten(0, (batches, images_per_class)))
    return _as_set(data, torch.cat(drawn, dim=1), passes, step_size)


def with_best_step_size(dset, start, goal, step_sizes=STEP_SIZES):
    """The set with the constant step size that scores best on the validation images.

    Returns the `DistilledSet` and a dict {step size: validation score in percent}.
    """
    scores = {size: validate(dset.with_step_sizes(size), start, goal) for size in step_sizes}
    return dset.with_step_sizes(max(scores, key=scores.get)), scores


def _as_set(data, images, passes, step_size):
    batches, classes = len(images), len(data.classes)
    labels = torch.arange(classes, device=images.device).repeat_interleave(images.shape[1] // classes).repeat(batches, 1)
    return DistilledSet(images, labels, torch.full((batches * passes,), step_size, device=images.device),
                        data.name, data.classes, data.mean, data.std)
