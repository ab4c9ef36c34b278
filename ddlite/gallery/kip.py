"""Kernel inducing points (KIP): few images whose kernel regression answers as all of them do.

    min over S (and Y)  of  ½ mean (K(X, S) (K(S, S) + λ tr K(S, S) / n · I)⁻¹ Y − Y_X)²,     X, Y_X: real images, their targets

Nguyen, Chen, Lee: "Dataset Meta-Learning from Kernel Ridge-Regression", ICLR 2021; Nguyen, Novak, Xiao, Lee: "Dataset
Distillation with Infinitely Wide Convolutional Networks", NeurIPS 2021. An infinitely wide network trained to the end on
squares *is* that formula, so that nothing is unrolled. Targets are one-hot labels less 1/classes. Adam in float64, a fresh
balanced batch of targets at each step, λ = 1e-6: as in their notebook. Ours: the learning rate falls along half a cosine; the
set is chosen on validation images.
"""

import math
from dataclasses import replace
from functools import partial

import torch
from torch.nn import functional as F

from ddlite import batches
from ddlite.data import need_data
from ddlite.distilled import DistilledSet
from ddlite.evaluate import Report
from ddlite.gallery.kernel import Wide, regress, tangent
from ddlite.machinery import arguments
from ddlite.machinery.adam import Adam
from ddlite.machinery.arguments import number, whole
from ddlite.machinery.files import fingerprint
from ddlite.progress import Progress
from ddlite.scratch import Recipe
from ddlite.starts import RandomStart
from ddlite.unrollable import gradients_on
from ddlite.valid import need_set

RECIPE = Recipe(epochs=500, learning_rate=0.5, momentum=0.9, decay=0.0, batch_size=10_000, loss="squares")
WORDS = "accuracy on validation images by the kernel, %", "half the mean squared error of the kernel's answers"


def targets_of(labels: torch.Tensor, classes: int) -> torch.Tensor:
    """What is regressed on, (n, classes), float64: one-hot labels, or learned ones, less 1/classes."""
    labels = labels if labels.is_floating_point() else F.one_hot(labels, classes)
    return labels.double() - 1 / classes


def answers(dset: DistilledSet, images: torch.Tensor, depth: int = 1, ridge: float = 1e-6, kernel=None) -> torch.Tensor:
    """What an infinitely wide network trained on a set answers for normalised images (N, C, H, W): (N, classes), float64.

    `kernel` reads the set by another kernel, `kernel(x, z)`, in place of the tangent kernel of a depth.
    """
    kernel, (support, labels) = kernel or partial(tangent, depth=depth), dset.examples()
    support, targets = support.double(), targets_of(labels, len(dset.classes))
    return regress(kernel(images.double(), support), kernel(support, support), targets, ridge)


def read(dset: DistilledSet, split, depth: int = 1, ridge: float = 1e-6, kernel=None, at_once: int = 2000) -> Report:
    """The `Report` of a set that is read by a kernel: no network is trained, and the protocol is neither A nor B.

    Raises ValueError for images that are not normalised as the set's own, and what `kernel.regress` raises.
    """
    need_set(dset)
    dset.check_split(split)
    batches_of_images = split.images.split(whole("at_once", at_once, 1))
    predicted = torch.cat([answers(dset, some, depth, ridge, kernel).argmax(1) for some in batches_of_images])
    right, classes = (predicted == split.labels), len(dset.classes)
    each = 100 * torch.bincount(split.labels[right], minlength=classes) / torch.bincount(split.labels, minlength=classes)
    return Report((1,), [[100 * int(right.sum()) / len(split)]], dict(zip(dset.classes, each.tolist())), dset.data, split.name,
                  len(split), 0, "kernel", protocol="kernel", floats=dset.floats)


def distill(dset: DistilledSet, data, outer_steps: int = 600, depth: int = 1, ridge: float = 1e-6, batch_size: int = 500,
            learning_rate: float = 0.04, learn_labels: bool = False, seed: int = 0, validate_every: int = 50, checkpoint=None):
    """Learn a set by its kernel; a generator of `State`, as `ddlite.distill` is.

    Args:
        dset: the `DistilledSet` to begin with, e.g. `DistilledSet.real(data)`; its batches count as one.
        data: a `Data`.
        outer_steps, seed, validate_every, checkpoint: as for `ddlite.distill`.
        depth, ridge: of the kernel, see `kernel.tangent` and `kernel.regress`.
        batch_size: real images in each step, as many of each class.
        learning_rate: of Adam, on pixels and learned labels; it falls to 0 along half a cosine.
        learn_labels: the targets learn as well. They are any numbers, and no distributions.

    The set is for networks trained on squares (`RECIPE`). Raises ValueError for settings that cannot be, or a kernel that is
    not positive definite, and `Diverged`.
    """
    _check(dset, data)
    settings = {"outer_steps": whole("outer_steps", outer_steps, 1), "depth": whole("depth", depth, 0),
                "ridge": number("ridge", ridge, least=0), "batch_size": whole("batch_size", batch_size, len(data.classes)),
                "learning_rate": number("learning_rate", learning_rate, above=0), "learn_labels": bool(learn_labels),
                "seed": arguments.seed(seed), "validate_every": whole("validate_every", validate_every, 1)}
    images, labels = dset.examples()
    if learn_labels and not labels.is_floating_point():
        labels = F.one_hot(labels, len(data.classes)).float()
    dset = replace(_for_squares(dset, images, labels), goal=f"kernel of depth {depth}",
                   start=wide(data, depth=depth).describe())
    return _loop(dset, data, settings, checkpoint)


@torch.inference_mode(False)
def _loop(dset, data, settings, checkpoint):
    classes, depth, ridge = len(data.classes), settings["depth"], settings["ridge"]
    learned = ("images", "labels") if settings["learn_labels"] else ("images",)
    adam = Adam({name: dset.tensors()[name][0].double() for name in learned})
    draws = torch.Generator().manual_seed(settings["seed"])

    def now():
        return dset.with_tensors({**dset.tensors(), **{name: adam.free[name].detach().float()[None] for name in learned}})

    def score(it):
        return read(it, data.validation, depth, ridge).mean

    with Progress(dset, score, settings["outer_steps"], settings["validate_every"], WORDS, {"adam": adam}, draws, checkpoint,
                  {**settings, "data": data.fingerprint, "set": fingerprint(*dset.tensors().values())}) as progress:
        for outer_step in progress:
            real, labels = batches.draw_by_class(data, settings["batch_size"] // classes, draws)
            with gradients_on():
                support = adam.free["images"]
                targets = targets_of(adam.free.get("labels", dset.labels[0]), classes)
                given = regress(tangent(real.double(), support, depth), tangent(support, support, depth), targets, ridge)
                loss = (given - targets_of(labels, classes)).square().mean() / 2
                gradients = torch.autograd.grad(loss, list(adam.free.values()))
            share = (1 + math.cos(math.pi * (outer_step - 1) / settings["outer_steps"])) / 2
            adam.step(gradients, share * settings["learning_rate"])
            yield progress.state(outer_step, loss, now)


def wide(data, seed: int = 0, **kind) -> RandomStart:
    """A start of finite networks that a set is for, `kernel.Wide(**kind)`: width 1024, f - f₀, unless said otherwise."""
    return RandomStart(partial(Wide, **kind), data, init="pytorch", seed=seed)


def solve_labels(dset: DistilledSet, data, depth: int = 1, ridge: float = 1e-6, number: int = 5000,
                 seed: int = 0) -> DistilledSet:
    """The variant "label solve": images stay as they are, and the best targets for `number` real ones come by least squares.

    Raises ValueError for fewer real images than classes, and what `kernel.regress` raises.
    """
    _check(dset, data)
    images, classes = dset.examples()[0], len(data.classes)
    each = min(whole("number", number, classes), max(classes, len(data.train))) // classes
    real, labels = batches.draw_by_class(data, each, torch.Generator().manual_seed(arguments.seed(seed)))
    support, eye = images.double(), torch.eye(len(images), dtype=torch.float64)
    linear = regress(tangent(real.double(), support, depth), tangent(support, support, depth), eye, ridge)
    solved = torch.linalg.lstsq(linear, targets_of(labels, classes)).solution + 1 / classes
    return _for_squares(dset, images, solved.float())


def _check(dset, data):
    need_set(dset)
    need_data(data)
    dset.check_split(data.train)


def _for_squares(dset, images, labels):
    """These images, as plain pixels, and labels in a set of their own, which networks are trained on by squares."""
    return DistilledSet(images[None], labels[None], None, dset.data, dset.classes, dset.mean, dset.std, recipe=RECIPE)


# What `ddlite distill --method kip` and lesson 7 learn, by profile.
PROFILES = {
    "kip": {
        "quick": {"data": "digits"},
        "quick-100": {"data": "digits", "images_per_class_and_batch": 10, "outer_steps": 450},
        "laptop": {"data": "mnist", "outer_steps": 2500, "batch_size": 1000},
        "laptop-100": {"data": "mnist", "images_per_class_and_batch": 10, "outer_steps": 1300, "batch_size": 2000},
        "laptop-labels": {"data": "mnist", "outer_steps": 2500, "batch_size": 1000, "learn_labels": True},
    },
}
