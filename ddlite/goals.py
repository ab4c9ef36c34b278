"""What the trained network should do: fit the data, so far."""

import torch
from torch.nn import functional as F


class Fit:
    """Classify the real images: the objective of sections 3.1 to 3.3 of the paper.

    Args:
        data: a `Data`; learning draws from `data.train`, choosing looks at `data.validation`.
    """

    name = "fit"

    def __init__(self, data):
        self.data = data

    def loss(self, logits, labels):
        """Mean cross-entropy of a real batch: logits (N, classes), labels (N,); a scalar tensor."""
        return F.cross_entropy(logits, labels)

    def score(self, network, split):
        """The number to choose by: accuracy on a `Split`, in percent."""
        return accuracy(network, split)


def accuracy(network, split, at_once=500):
    """Share of a `Split`'s images that a network classifies rightly, in percent. `at_once` bounds the memory."""
    with torch.no_grad():
        right = sum((network(images).argmax(1) == labels).sum()
                    for images, labels in zip(split.images.split(at_once), split.labels.split(at_once)))
    return 100 * int(right) / len(split)
