"""Ranking architectures: ten small networks, a cheap order of them, and how well it agrees with a dear one.

A search through architectures trains each for a few steps and trusts the order. Such et al. (see `gtn`) take the steps on a
generator's batches. Two controls need no generator: as many steps on real batches, and the number of weights.
"""

from functools import partial

import torch
from torch import nn
from torch.nn.utils.parametrize import register_parametrization

from ddlite import goals, networks, scratch, starts
from ddlite.evaluate import evaluate
from ddlite.machinery.arguments import number
from ddlite.valid import need_set


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


class WeightNorm(nn.Module):
    """A weight as lengths of its rows times their directions (Salimans and Kingma 2016), in steps that PyTorch differentiates
    twice; with those of its own `weight_norm` the second derivatives came out wrong."""

    def forward(self, lengths, rows):
        return lengths * rows / rows.flatten(1).norm(dim=1).view(lengths.shape)

    def right_inverse(self, weight):
        return weight.flatten(1).norm(dim=1).view(-1, *[1] * (weight.dim() - 1)), weight


def weight_normed(shape, classes, make=dense):
    """A network of a kind whose layers keep the length of each row of weights apart from its direction, as the paper's do.

    A start needs init="pytorch" for it: the other initialisations have no rule for such layers.
    """
    network = make(shape, classes)
    for layer in network:
        if isinstance(layer, nn.Linear | nn.Conv2d):
            register_parametrization(layer, "weight", WeightNorm())
    return network


NORMED = {name: partial(weight_normed, make=make) for name, make in KINDS.items()}


def any_kind(shape, classes, kinds=KINDS):
    """A network of a kind that is drawn by PyTorch's own generator: what a start for learners of many kinds makes."""
    return list(kinds.values())[int(torch.randint(len(kinds), ()))](shape, classes)


def weights(data):
    """The number of weights of each kind: {name: number}."""
    return {name: sum(weight.numel() for weight in make(data.shape, len(data.classes)).parameters())
            for name, make in KINDS.items()}


def by_set(dset, data, number=3, kinds=KINDS, init="xavier-normal"):
    """How each kind does on validation images after training on a set: {name: percent, mean over networks}."""
    need_set(dset)
    found = {}
    for name, make in kinds.items():
        networks_of_it = starts.RandomStart(make, data, init=init).networks("validation", number)
        found[name] = evaluate(dset, networks_of_it, goals.Fit(data), data.validation, [dset.passes]).mean
    return found


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

    Raises ValueError for other names, for fewer than four, and for numbers that are not finite or all alike.
    """
    for given in (one, other):
        if not isinstance(given, dict):
            raise ValueError(f"A {type(given).__name__} was given: a dict is needed, a number for each name.")
        for name, value in given.items():
            number(f"the number of {name}", value)
    if set(one) != set(other) or len(one) < 4:
        raise ValueError(f"{len(one)} and {len(other)} numbers: both need the same names, four or more.")
    if min(len(set(one.values())), len(set(other.values()))) < 2:
        raise ValueError("All numbers on one side are the same: they rank nothing.")
    from scipy.stats import pearsonr, rankdata  # takes a second to import

    found = pearsonr(rankdata(list(one.values())), rankdata([other[name] for name in one]))
    return float(found.statistic), *map(float, found.confidence_interval(0.95))
