"""Protocol B of the field: train any network from scratch on some images, by a usual schedule, and forget the step sizes."""

import copy

import torch

from ddlite import unroll


def train_from_scratch(images, labels, network, epochs=300, learning_rate=0.01, momentum=0.9, decay=5e-4, batch_size=256,
                       seed=0):
    """Train a network on images as on any data: minibatch SGD with momentum; the rate falls to a tenth at half time.

    Args:
        images: (N, C, H, W), normalised.
        labels: (N,) class numbers or (N, classes) distributions. `dset.examples()` gives both for a distilled set.
        network: any `nn.Module`, left as it was; it may have BatchNorm or dropout, because nothing is unrolled. All its
            parameters are trained.
        epochs, learning_rate, momentum, decay, batch_size: the field's customary values.
        seed: of the order of the images.

    Returns a trained copy, in evaluation mode. This is protocol B: never put its numbers beside those of
    `DistilledSet.train` (protocol A, where step sizes and order belong to the set) without saying so.
    Raises ValueError for labels that do not fit or are no distributions.
    """
    soft = labels.is_floating_point()
    if len(labels) != len(images) or labels.dim() != 1 + soft or len(images) == 0:
        raise ValueError(f"Images {tuple(images.shape)} and labels {tuple(labels.shape)} do not fit: expected (N, C, H, W) and "
                         "(N,) class numbers or (N, classes) distributions.")
    if soft and (labels.min() < 0 or (labels.sum(-1) - 1).abs().max() > 1e-4):
        raise ValueError("The labels are no distributions: each row must be 0 or more and sum to 1.")
    if epochs < 1:
        raise ValueError("epochs must be 1 or more.")
    trained = copy.deepcopy(network).train()
    weights = unroll.weights_of(trained)
    device, loss_of_batch = weights[0].device, unroll.loss_of(trained)
    images, labels = images.to(device, memory_format=torch.channels_last), labels.to(device)
    generator = torch.Generator().manual_seed(seed)

    def loss(weights, images, labels):  # the gradient of decay / 2 * w**2 is decay * w
        return loss_of_batch(weights, images, labels) + decay / 2 * sum((weight**2).sum() for weight in weights)

    def minibatches():
        number, half = 0, epochs * -(-len(images) // batch_size) / 2
        for _ in range(epochs):
            for which in torch.randperm(len(images), generator=generator).to(device).split(batch_size):
                yield images[which], labels[which], learning_rate if number < half else learning_rate / 10
                number += 1

    weights = unroll.train(loss, weights, minibatches(), momentum, create_graph=False)
    return unroll.with_weights(trained, weights).eval()
