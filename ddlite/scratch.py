"""Protocol B of the field: train any network from scratch on some images, by a usual schedule, and forget the step sizes."""

import copy

import torch
from torch.nn import functional as F


def train_from_scratch(images, labels, network, epochs=300, learning_rate=0.01, momentum=0.9, decay=5e-4, batch_size=256,
                       seed=0):
    """Train a network on images as on any data: minibatch SGD with momentum; the rate falls to a tenth at half time.

    Args:
        images: (N, C, H, W), normalised.
        labels: (N,) class numbers or (N, classes) distributions. `dset.examples()` gives both for a distilled set.
        network: any `nn.Module`, left as it was; it may have BatchNorm or dropout, because nothing is unrolled.
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
    device = next(trained.parameters()).device
    images, labels = images.to(device, memory_format=torch.channels_last), labels.to(device)
    sgd = torch.optim.SGD(trained.parameters(), learning_rate, momentum, weight_decay=decay)
    generator = torch.Generator().manual_seed(seed)
    for epoch in range(epochs):
        if epoch == epochs // 2:
            sgd.param_groups[0]["lr"] = learning_rate / 10
        for which in torch.randperm(len(images), generator=generator).to(device).split(batch_size):
            sgd.zero_grad()
            F.cross_entropy(trained(images[which]), labels[which]).backward()
            sgd.step()
    return trained.eval()
