"""What the trained network should do: fit the data, so far."""

import torch

from ddlite import unroll


class Fit:
    """Classify the real images: the objective of sections 3.1 to 3.3 of the paper.

    Args:
        data: a `Data`; learning draws from `data.train`, choosing looks at `data.validation`.
    """

    name = "fit"

    def __init__(self, data):
        self.data = data

    def loss_of(self, network, images, labels):
        """The mean cross-entropy of a real batch as a function of the network's weights: `loss(weights)`, a scalar tensor."""
        loss = unroll.loss_of(network)
        return lambda weights: loss(weights, images, labels)

    def rate(self, predicted, labels):
        """The number to choose by, from predicted and true classes, both (N,): the share that agrees, in percent."""
        return 100 * int((predicted == labels).sum()) / len(labels)

    def score(self, network, split):
        """The same for a network on a `Split`: its accuracy, in percent."""
        return self.rate(predict(network, split), split.labels)


def predict(network, split, at_once=500):
    """The class that a network gives each image of a `Split`: (N,), int64. `at_once` bounds the memory."""
    with torch.no_grad():
        # Channels last in memory: the same numbers, and on a CPU convolution and pooling take half the time or less.
        return torch.cat([network(images.to(memory_format=torch.channels_last)).argmax(1)
                          for images in split.images.split(at_once)])


def accuracy(network, split):
    """Share of a `Split`'s images that a network classifies rightly, in percent."""
    return 100 * int((predict(network, split) == split.labels).sum()) / len(split)
