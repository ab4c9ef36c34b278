"""Real batches, drawn for an outer step."""

import torch

from ddlite.data import Data


def draw(data: Data, batch_size: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """A batch of real training images and labels, drawn with replacement; the same ones on every device."""
    which = sent(torch.randint(len(data.train), (batch_size,), generator=generator), data.train.images.device)
    # Channels last in memory: the same numbers, and convolution and pooling of a real batch are faster on a CPU.
    return data.train.images[which].to(memory_format=torch.channels_last), data.train.labels[which]


def draw_by_class(data: Data, per_class: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """As many real training images of each class, in the order of the classes, all different while there are enough."""
    labels, drawn = data.train.labels.cpu(), []
    for label in range(len(data.classes)):
        [own] = torch.where(labels == label)
        if not len(own):
            raise ValueError(f"Class {data.classes[label]} has no training image, so none can be drawn: leave the class "
                             "out of the data, or give it images.")
        order = torch.cat([torch.randperm(len(own), generator=generator) for _ in range(-(-per_class // len(own)))])
        drawn.append(own[order[:per_class]])
    which = sent(torch.cat(drawn), data.train.images.device)
    return data.train.images[which].to(memory_format=torch.channels_last), data.train.labels[which]


def sent(tensor, device):
    """The tensor on a device. A GPU is not waited for: a copy from pinned memory is queued like everything else."""
    queued = device.type == "cuda" and tensor.device.type == "cpu"
    return tensor.pin_memory().to(device, non_blocking=True) if queued else tensor.to(device)
