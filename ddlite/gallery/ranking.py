"""Ranking architectures: ten small networks, a cheap order of them, and how well it agrees with a dear one.

A search through architectures trains each for a few steps and trusts the order. Such et al. (see `gtn`) take the steps on a
generator's batches. Two controls need no generator: as many steps on real batches, and the number of weights.
"""

from functools import partial

import torch
from torch import nn

from ddlite import goals, networks, scratch, starts
from ddlite.evaluate import evaluate


def dense(shape, classes, widths=()):
    """A network of linear layers with ReLUs between them."""
    channels, height, width = networks.sizes(shape, classes)
    sizes = (channels * height * width, *widths, classes)
    layers = [layer for k in range(len(sizes) - 1) for layer in (nn.Linear(sizes[k], sizes[k + 1]), nn.ReLU())]
    return nn.Sequential(nn.Flatten(), *layers[:-1])


def convolutional(shape, classes, widths=(8,)):
    """A network of 3x3 convolutions, each with a ReLU and a maximum over 2x2 pixels, and a linear layer."""
    channels, height, width = networks.sizes(shape, classes)
    sizes, halved = (channels, *widths), 2 ** len(widths)
    layers = [layer for k in range(len(widths)) for layer in (
        nn.Conv2d(sizes[k], sizes[k + 1], 3, padding=1), nn.MaxPool2d(2), nn.ReLU())]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(sizes[-1] * (height // halved) * (width // halved), classes))


KINDS = {"linear": dense,
         **{f"dense {'-'.join(map(str, widths))}": partial(dense, widths=widths)
            for widths in ((8,), (32,), (256,), (128, 128), (16, 16, 16))},
         **{f"convolutional {'-'.join(map(str, widths))}": partial(convolutional, widths=widths)
            for widths in ((4,), (16,), (8, 16), (8, 16, 32))}}


def any_kind(shape, classes):
    """A network of a kind that is drawn by PyTorch's own generator: what a start for learners of many kinds makes."""
    return list(KINDS.values())[int(torch.randint(len(KINDS), ()))](shape, classes)


def weights(data):
    """The number of weights of each kind: {name: number}."""
    return {name: sum(weight.numel() for weight in make(data.shape, len(data.classes)).parameters())
            for name, make in KINDS.items()}


def by_set(dset, data, number=3):
    """How each kind does on validation images after training on a set: {name: percent, mean over networks}."""
    goal = goals.Fit(data)
    return {name: evaluate(dset, starts.RandomStart(make, data).networks("validation", number), goal, data.validation,
                                    [dset.passes]).mean for name, make in KINDS.items()}


def by_training(data, number=3, epochs=20, learning_rate=0.05):
    """How each kind does on test images after a real training: {name: percent, mean over networks}. This is the truth."""
    goal, found = goals.Fit(data), {}
    for name, make in KINDS.items():
        trained = [scratch.train_from_scratch(data.train.images, data.train.labels, network, epochs, learning_rate,
                                              batch_size=64)
                   for network in starts.RandomStart(make, data).networks("held-out", number)]
        found[name] = sum(goal.score(network, data.test) for network in trained) / number
    return found


def agreement(one, other):
    """Spearman's rank correlation of two dicts with the same names, and its 95 % interval (scipy): (number, low, high).

    Raises ValueError for other names, and for fewer than four.
    """
    if set(one) != set(other) or len(one) < 4:
        raise ValueError(f"{len(one)} and {len(other)} numbers: both need the same names, four or more.")
    from scipy.stats import pearsonr, rankdata  # takes a second to import

    found = pearsonr(rankdata(list(one.values())), rankdata([other[name] for name in one]))
    return float(found.statistic), *map(float, found.confidence_interval(0.95))
