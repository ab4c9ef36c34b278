"""Matching gradients: images whose training gradient is alike to that of real images, class by class.

    min over S of  E_θ  Σ_c D(∇ℓ(S_c; θ), ∇ℓ(T_c; θ)),      S_c, T_c: distilled and real images of class c
    DCC:           E_θ  D(mean_c ∇ℓ(S_c; θ), mean_c ∇ℓ(T_c; θ))

Zhao, Mopuri, Bilen: "Dataset Condensation with Gradient Matching", ICLR 2021 (DC); Lee, Chun, Jung, Yun, Yoon: "Dataset
Condensation with Contrastive Signals", ICML 2022 (DCC, `by_class=False`). Nothing is unrolled: one gradient is compared, and
differentiated once more. Ours: the common loop with Adam in place of SGD; distances that do not change with a gradient's
length; distances other than the paper's ("rows"), which fails on an MLP, where half the rows of an image's gradient are zero.
"""

from functools import partial

import torch
from torch.nn import functional as F

from ddlite import batches, goals, unroll
from ddlite.machinery.arguments import whole
from ddlite.networks import MLP, ConvNet3, LeNet
from ddlite.unrollable import gradients_on

NARROW = partial(ConvNet3, width=16)  # the field's test network has width 128
DISTANCES = ("rows", "cosine", "squared", "absolute")
LEAST = 1e-6  # a row shorter than this part of its array, or an array than this part of the gradient, has no direction


def distance(ours, theirs, kind="cosine"):
    """How far two gradients are apart, a scalar tensor.

    Args:
        ours, theirs: lists of tensors of the same shapes, one for each array of weights.
        kind: "rows": the paper's, 1 - cosine summed over output rows of all arrays with two or more dimensions, in 0..2 x rows.
            "cosine": 1 - cosine of the whole gradients, in 0..2. "squared", "absolute": of the differences, summed.

    Raises ValueError for an unknown kind, for arrays of other shapes, and where no array is left to compare.
    """
    if kind not in DISTANCES:
        raise ValueError(f"There is no distance {kind!r}. Known: {', '.join(DISTANCES)}.")
    shapes = [[tuple(array.shape) for array in side] for side in (ours, theirs)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"The gradients are of different arrays, {shapes[0]} and {shapes[1]}: take both at one network.")
    pairs = [(a.flatten(1), b.flatten(1)) for a, b in zip(ours, theirs, strict=True) if a.dim() > 1] if kind == "rows" else [
        (a.flatten()[None], b.flatten()[None]) for a, b in zip(ours, theirs, strict=True)]
    if not pairs:
        raise ValueError(f"There is no gradient to match: the distance {kind!r} of {len(ours)} arrays compares none of them. "
                         "Choose another distance, or a network with weights of the kind that is compared.")
    if kind == "rows":
        return sum((1 - F.cosine_similarity(_unit(a), _unit(b), 1, LEAST)).sum() for a, b in pairs)
    a, b = (torch.cat(side, 1) for side in zip(*pairs))
    if kind == "cosine":
        return (1 - F.cosine_similarity(_unit(a), _unit(b), 1, LEAST)).sum()
    return (a - b).square().sum() if kind == "squared" else (a - b).abs().sum()


def _unit(array):
    """The array at length 1, so that what counts as zero in it is relative; an array of zeros as it is."""
    length = array.detach().norm()
    return array / length.where(length > 0, 1)


class Match(goals.Fit):
    """A goal without a training: the gradient on the set is to be alike to that on real images, at each network.

    Args:
        data: a `Data`.
        distance: see `distance`; "rows" or "cosine" for networks with norms such as ConvNet-3, "cosine" for MLP and LeNet.
        by_class: compare a class at a time (DC), or the mean of all classes' gradients (DCC). The former keeps one class's
            graph in memory, the latter that of the whole set.
        warm_up: outer steps at the beginning that are by class in any case (DCC's warm-up).
        convolutions: compare weights of convolutions alone (IDC).

    Real batches hold `batch_size` // classes images of each class. While it learns, all batches of a set count as one.
    Raises ValueError for a distance or a warm-up that is none, and, when a set is learned, for learned labels with `by_class`,
    for a class without an image, for fewer real images than classes, and for a network with nothing to compare.
    """

    trains, loss_is = False, "distance of gradients"

    def __init__(self, data, distance="cosine", by_class=True, warm_up=0, convolutions=False):
        super().__init__(data)
        if distance not in DISTANCES:
            raise ValueError(f"There is no distance {distance!r}. Known: {', '.join(DISTANCES)}.")
        self.distance, self.by_class, self.convolutions = distance, by_class, convolutions
        self.warm_up = whole("warm_up", warm_up, 0)
        self.name = f"match {distance} {'by class' if by_class else 'of all classes'}" + (
            f" after {warm_up} by class" if warm_up and not by_class else "") + (" in convolutions" if convolutions else "")

    def __repr__(self):
        return f"Match({self.data.name!r}, {self.distance!r}, by_class={self.by_class})"

    def at(self, outer_step):
        """The goal of an outer step, counted from 1: itself, or class by class while warming up."""
        if self.by_class or outer_step > self.warm_up:
            return self
        return Match(self.data, self.distance, True, convolutions=self.convolutions)

    def draw(self, batch_size, generator):
        """As many real images of each class, in the order of the classes."""
        classes = len(self.data.classes)
        if batch_size < classes:
            raise ValueError(f"batch_size={batch_size}: matching needs a real image of each of {classes} classes, {classes} "
                             "or more.")
        return batches.draw_by_class(self.data, batch_size // classes, generator)

    @gradients_on()
    def meta_gradient(self, network, real, images, labels, step_sizes=None, momentum=None):
        """The distance at one network, and its gradient with respect to the images (and labels that are learned).

        Args:
            network: an `nn.Module`; its weights are constant here.
            real: images and labels, as from `draw`.
            images, labels: of the set, (batches, n, C, H, W) and (batches, n) or (batches, n, classes).

        The step sizes play no part. Returns the distance and a dict, as `unroll.meta_gradient` does.
        """
        outputs, weights = unroll.outputs_of(network), unroll.weights_of(network)
        soft, learned = labels.is_floating_point(), {"images": images.detach().clone().requires_grad_()}
        if soft and self.by_class:
            raise ValueError("Labels that are learned belong to no class: match with by_class=False, or make the set without "
                             "learn_labels.")
        if soft:
            labels = learned["labels"] = labels.detach().clone().requires_grad_()
        compared = [k for k, weight in enumerate(weights) if not self.convolutions or weight.dim() == 4]
        if not compared:
            raise ValueError(f"This {type(network).__name__} has no weights of convolutions: match with convolutions=False.")

        def gradient(images, labels, create_graph=False):
            found = torch.autograd.grad(self._loss(outputs(weights, images), labels), weights, create_graph=create_graph,
                                        materialize_grads=True)
            return [found[k] for k in compared]

        value, gradients = 0, {name: torch.zeros_like(tensor) for name, tensor in learned.items()}
        for theirs, ours in self._parts(real, labels.flatten(0, 1)):
            constant = [each.detach() for each in gradient(*theirs)]
            own = learned["images"].flatten(0, 1)[ours], labels.flatten(0, 1)[ours]
            part = distance(gradient(*own, create_graph=True), constant, self.distance)
            found = torch.autograd.grad(part, list(learned.values()))  # now, so that no other class's graph is in memory
            gradients = {name: gradients[name] + each for name, each in zip(gradients, found)}
            value = value + part.detach()
        return value, gradients

    def _parts(self, real, labels):
        """((real images, real labels), indices in the set) of what is compared with each other: each class, or all."""
        if labels.is_floating_point():
            return [(real, slice(None))]
        for label, name in enumerate(self.data.classes):
            for whose, those in (("real batch", real[1]), ("set", labels)):
                if not (those == label).any():
                    raise ValueError(f"The {whose} has no image of class {name}, so that there is no gradient to match: "
                                     "matching needs each class on both sides.")
        if not self.by_class:
            return [(real, slice(None))]
        return [((real[0][real[1] == label], real[1][real[1] == label]), labels == label)
                for label in range(len(self.data.classes))]

    def _loss(self, logits, labels):
        """The cross-entropy, where each class that is there counts the same, however many images it has."""
        if labels.is_floating_point():
            return F.cross_entropy(logits, labels)
        number = labels.bincount(minlength=logits.shape[1])
        return (F.cross_entropy(logits, labels, reduction="none") / number[labels]).sum() / (number > 0).sum()


# What `ddlite distill --method` and lesson 5 learn, by method and profile; "full" is the paper's network and evaluation.
PROFILES = {
    "dc": {
        "quick": {"data": "digits", "network": MLP, "outer_steps": 300},
        "quick-100": {"data": "digits", "network": MLP, "outer_steps": 200, "images_per_class_and_batch": 10, "real": True,
                      "walk": "set"},
        "laptop": {"data": "mnist", "network": NARROW, "outer_steps": 3600, "real": True, "distance": "rows",
                   "validate_every": 600, "validation_networks": 3},
        "laptop-100": {"data": "mnist", "network": LeNet, "outer_steps": 1800, "images_per_class_and_batch": 10, "real": True,
                       "walk": "data", "validate_every": 300, "validation_networks": 2},
        "full": {"data": "mnist", "network": partial(ConvNet3, padding=3), "outer_steps": 1000, "distance": "rows",
                 "epochs": 1000, "augment": True, "validate_every": 250, "validation_networks": 1},
    },
    "dcc": {
        "quick": {"data": "digits", "network": MLP, "outer_steps": 150, "distance": "squared", "by_class": False},
        "laptop": {"data": "mnist", "network": NARROW, "outer_steps": 900, "distance": "rows", "by_class": False,
                   "validate_every": 300, "validation_networks": 2},
    },
}
