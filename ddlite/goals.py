"""What the trained network should do: fit the data, or, to study attacks, take one class for another."""

from collections.abc import Callable

import torch
from torch import nn

from ddlite import batches, unroll
from ddlite.data import Data, Split, need_data, need_split
from ddlite.machinery.arguments import whole


class Fit:
    """Classify the real images: the objective of sections 3.1 to 3.4 of the paper.

    Args:
        data: a `Data`; learning draws from `data.train`, choosing looks at `data.validation`.
    """

    name = "fit"
    trains = True  # its gradient is got through a training, by an engine; other goals have a `meta_gradient` of their own
    loss_is, score_is = "cross-entropy", "accuracy on validation images, %"  # in words, for panels and pictures

    def __init__(self, data: Data):
        need_data(data)
        self.data = data

    def __repr__(self):
        return f"Fit({self.data.name!r})"

    def draw(self, batch_size: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
        """Real training images and labels for an outer step, from a `torch.Generator`; see `batches`."""
        return batches.draw(self.data, batch_size, generator)

    def loss_of(self, network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> Callable:
        """The mean cross-entropy of a real batch as a function of the network's weights: `loss(weights)`, a scalar tensor.

        It can be differentiated once (see `in_chunks`).
        """
        return in_chunks(unroll.loss_of(network), images, labels)

    def rate(self, predicted: torch.Tensor, labels: torch.Tensor) -> float:
        """The number to choose by, from predicted and true classes, both (N,): the share that agrees, in percent."""
        return _percent(predicted == labels)

    def measures(self, predicted: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
        """What else a report should say of predictions, {words: percent}: nothing, `rate` is all."""
        return {}

    def score(self, network: nn.Module, split: Split) -> float:
        """`rate` for a network on a `Split`, in percent."""
        return self.rate(predict(network, split), split.labels)


class Attack(Fit):
    """Make networks take one class, the victim, for another, the target, and classify the rest as before (section 3.5).

    The real images of the victim are relabelled; the distilled labels stay as they are.

    Args:
        data: a `Data`.
        victim, target: class numbers; two different ones.

    Raises ValueError for a class that the data have not, or twice the same.
    """

    score_is = "half victims taken for the target, half other classes classified correctly, %"

    def __init__(self, data: Data, victim: int, target: int):
        super().__init__(data)
        most = len(data.classes) - 1
        victim, target = whole("victim", victim, most=most), whole("target", target, most=most)
        if victim == target:
            raise ValueError(f"victim={victim}, target={target}: two different class numbers in 0..{most} are needed.")
        self.victim, self.target = victim, target
        self.name = f"attack {victim} as {target}"

    def __repr__(self):
        return f"Attack({self.data.name!r}, victim={self.victim}, target={self.target})"

    def loss_of(self, network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> Callable:
        """The same where the victims of the real batch are labelled as the target."""
        return super().loss_of(network, images, labels.where(labels != self.victim, self.target))

    def rate(self, predicted: torch.Tensor, labels: torch.Tensor) -> float:
        """The number to choose by, in percent: half of it victims taken for the target, half other classes classified
        correctly.

        Before an attack it is about 50, after a perfect one 100.
        """
        return sum(list(self.measures(predicted, labels).values())[1:]) / 2

    def measures(self, predicted: torch.Tensor, labels: torch.Tensor) -> dict[str, float]:
        """The paper's three measures, in percent; both arguments are class numbers (N,)."""
        victim, names = labels == self.victim, self.data.classes
        return {f"victims ({names[self.victim]}) classified correctly": _percent(predicted[victim] == self.victim),
                f"victims taken for the target ({names[self.target]})": _percent(predicted[victim] == self.target),
                "other classes classified correctly": _percent(predicted[~victim] == labels[~victim])}


def named(name, data):
    """The goal to score a set by, from its `goal`: "attack 0 as 1", or "fit" and what else leads to a fit."""
    kind, *classes = name.split(" ")
    return Attack(data, int(classes[0]), int(classes[2])) if kind == "attack" else Fit(data)


def chunk(images):
    """How many of the real images go through a network at once: equal parts of up to 2**18 numbers, or up to 32 images.

    256 of 1,024 MNIST images, 79 of as many of CIFAR-10: more want more memory, fewer more time.
    """
    parts = -(-len(images) // max(32, 2**18 // images[0].numel()))
    return -(-len(images) // parts)


def in_chunks(loss, images, labels, at_once=None):
    """A mean loss over many images as a function of the weights, computed, and differentiated, a chunk of images at a time.

    The gradient with respect to the weights is computed along with the value, so that no more than one chunk's graph is ever
    in memory; a training that led to the weights is then pulled back through once. It is exact, but constant: the result can
    be differentiated once, not twice.

    Args:
        loss: `loss(weights, images, labels)`, a mean over images.
        images, labels: of the whole batch.
        at_once: images in a chunk; by default `chunk(images)`.

    Returns `loss(weights)`, a scalar tensor.
    """
    at_once = at_once or chunk(images)

    def whole(weights):
        own, value = [weight.detach().requires_grad_() for weight in weights], 0
        gradients = [torch.zeros_like(weight) for weight in own]
        for some, theirs in zip(images.split(at_once), labels.split(at_once)):
            part = loss(own, some, theirs) * (len(some) / len(images))
            value = value + part.detach()
            found = torch.autograd.grad(part, own, materialize_grads=True)
            gradients = [so_far + more for so_far, more in zip(gradients, found)]
        # A number that is 0, and whose derivative with respect to the weights is the gradient.
        along = sum((weight * gradient).sum() for weight, gradient in zip(weights, gradients))
        return value + (along - along.detach())

    return whole


def predict(network: nn.Module, split: Split, at_once: int = 500) -> torch.Tensor:
    """The class that a network gives each image of a `Split`: (N,), int64; -1, which is no class, where its logits are NaN or
    infinite. `at_once` bounds the memory."""
    need_split(split)

    def classes(images):
        try:
            # Channels last in memory: the same numbers, and on a CPU convolution and pooling take half the time or less.
            logits = network(images.to(memory_format=torch.channels_last))
        except RuntimeError:  # a network that views a convolution's result as rows
            logits = network(images.contiguous())
        return logits.argmax(1).where(logits.isfinite().all(1), -1)

    with torch.no_grad():
        return torch.cat([classes(images) for images in split.images.split(at_once)])


def accuracy(network: nn.Module, split: Split) -> float:
    """Share of a `Split`'s images that a network classifies correctly, in percent."""
    return 100 * int((predict(network, split) == split.labels).sum()) / len(split)


def _percent(right):
    return 100 * int(right.sum()) / max(1, len(right))
