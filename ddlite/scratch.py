"""Protocol B of the field: train any network from scratch on some images, by a usual schedule, and forget the step sizes."""

from dataclasses import asdict, dataclass

import torch
from torch import nn
from torch.nn import functional as F

from ddlite import unroll
from ddlite.augment import moved
from ddlite.machinery import arguments
from ddlite.unrollable import copied, gradients_on, takes
from ddlite.valid import check_distributions


@dataclass(frozen=True)
class Recipe:
    """How networks are trained on a set from scratch, in place of its own step sizes: protocol B. The field's customary values.

    Attributes:
        epochs: how often all images are gone through; 1 or more.
        learning_rate: of minibatch SGD; it falls to a tenth at half time.
        momentum, decay: of SGD (weight decay).
        batch_size: images in each step.
        loss: "cross-entropy", or "squares": the squared distance to the labels less their mean (see `squares`).
        augment: every time an image is used, it is shifted, scaled or turned a little (see `augment.moved`). Such numbers stand
            in a table of their own.
    """

    epochs: int = 300
    learning_rate: float = 0.01
    momentum: float = 0.9
    decay: float = 5e-4
    batch_size: int = 256
    loss: str = "cross-entropy"
    augment: bool = False

    def __post_init__(self):
        if self.loss not in LOSSES:
            raise ValueError(f"There is no loss {self.loss!r}. Known: {', '.join(LOSSES)}.")
        arguments.whole("epochs", self.epochs, 1)
        arguments.whole("batch_size", self.batch_size, 1)
        arguments.number("learning_rate", self.learning_rate, above=0)
        arguments.number("momentum", self.momentum, least=0, below=1)
        arguments.number("decay", self.decay, least=0)
        if not isinstance(self.augment, bool):
            raise ValueError(f"augment={arguments.shown(self.augment)}: True or False is needed.")

    @property
    def protocol(self) -> str:
        """"B", or "B, augmented": what stands in tables."""
        return "B, augmented" if self.augment else "B"

    def steps(self, images: int) -> int:
        """Gradient steps of a training on so many images."""
        return self.epochs * -(-images // self.batch_size)

    def train(self, network: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> nn.Module:
        """A trained copy of a network; see `train_from_scratch`."""
        return train_from_scratch(images, labels, network, **asdict(self))


def squares(logits, labels):
    """The squared distance of outputs to the labels less their mean: 1 - 1/C for the image's class, -1/C for the others.

    Half of its sum over classes, its mean over images. Labels are class numbers (N,), or one-hot rows (N, classes) that may
    have become any numbers by learning.
    """
    labels = labels if labels.is_floating_point() else F.one_hot(labels, logits.shape[1]).to(logits.dtype)
    return (logits - labels + 1 / logits.shape[1]).square().sum(1).mean() / 2


LOSSES = {"cross-entropy": F.cross_entropy, "squares": squares}


@gradients_on()
def train_from_scratch(images: torch.Tensor, labels: torch.Tensor, network: nn.Module, epochs: int = 300,
                       learning_rate: float = 0.01, momentum: float = 0.9, decay: float = 5e-4, batch_size: int = 256,
                       seed: int = 0, loss: str = "cross-entropy", augment: bool = False) -> nn.Module:
    """Train a network on images as on any data: minibatch SGD with momentum; the rate falls to a tenth at half time.

    Args:
        images: (N, C, H, W), normalised.
        labels: (N,) class numbers or (N, classes) distributions, for squares any numbers. `dset.examples()` gives both for a
            distilled set.
        network: any `nn.Module`, left as it was; it may have BatchNorm or dropout, because nothing is unrolled. Frozen
            weights (`requires_grad=False`) stay as they are.
        epochs, learning_rate, momentum, decay, batch_size: the field's customary values.
        seed: of the order of the images, and of what augmentation draws.
        loss, augment: see `Recipe`.

    Returns a trained copy, in evaluation mode. This is protocol B: never put its numbers beside those of
    `DistilledSet.train` (protocol A, where step sizes and order belong to the set) without saying so.
    Raises ValueError for labels that do not fit or are no distributions, for settings that are none, and for a network that
    does not take the images or has fewer classes than the labels.
    """
    soft = labels.is_floating_point()
    if len(labels) != len(images) or labels.dim() != 1 + soft or len(images) == 0:
        raise ValueError(f"Images {tuple(images.shape)} and labels {tuple(labels.shape)} do not fit: expected (N, C, H, W) and "
                         "(N,) class numbers or (N, classes) distributions.")
    if soft and loss != "squares":
        check_distributions(labels)
    elif not labels.isfinite().all():
        raise ValueError("The labels hold NaN or infinity: nothing can be trained on them.")
    Recipe(epochs, learning_rate, momentum, decay, batch_size, loss, augment)  # raises
    generator = torch.Generator().manual_seed(arguments.seed(seed))
    trained = copied(network).train()
    weights, outputs, loss_of_outputs = unroll.weights_of(trained), unroll.outputs_of(trained), LOSSES[loss]
    if not weights:
        raise ValueError(f"This {type(network).__name__} has no weights to train.")
    device = weights[0].device
    images, labels = images.to(device, memory_format=torch.channels_last), labels.to(device)
    logits = takes(trained, images, labels.shape[1] if soft else None)
    if not soft and not 0 <= labels.min() <= labels.max() < logits:
        raise ValueError(f"The labels lie in {labels.min()}..{labels.max()}, and this {type(network).__name__} gives {logits} "
                         "logits: build it for as many classes as there are.")

    def decayed(weights, images, labels):  # the gradient of decay / 2 * w**2 is decay * w
        loss = loss_of_outputs(outputs(weights, images), labels)
        return loss + decay / 2 * sum((weight**2).sum() for weight in weights) if decay else loss

    def minibatches():
        number, half = 0, epochs * -(-len(images) // batch_size) / 2
        for _ in range(epochs):
            for which in torch.randperm(len(images), generator=generator).to(device).split(batch_size):
                used = moved(images[which], generator) if augment else images[which]
                yield used, labels[which], learning_rate if number < half else learning_rate / 10
                number += 1

    weights = unroll.train(decayed, weights, minibatches(), momentum, create_graph=False)
    return unroll.put_weights(trained, weights).eval()
