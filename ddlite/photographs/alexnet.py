"""AlexNet, and torchvision's ImageNet weights for it (section 4.3 of the paper)."""

import os
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F


class AlexNet(nn.Module):
    """AlexNet in torchvision's layout, without dropout (57,044,810 weights for 10 classes).

    Args:
        shape: one picture's (channels, height, width); 64 pixels or more, 224 by custom.
        classes: how many outputs.
        width: channels of the first layer; the others follow in proportion.

    >>> sum(weight.numel() for weight in AlexNet(width=4).parameters())
    227150
    """

    def __init__(self, shape: tuple[int, int, int] = (3, 224, 224), classes: int = 10, width: int = 64):
        super().__init__()
        channels, height, _ = shape
        if height < 64:
            raise ValueError(f"AlexNet takes pictures of 64 pixels or more, not {height}: resize them with "
                             "ddlite.load(..., size=224).")
        self.features = nn.Sequential(
            nn.Conv2d(channels, width, 11, stride=4, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2),
            nn.Conv2d(width, 3 * width, 5, padding=2), nn.ReLU(), nn.MaxPool2d(3, stride=2),
            nn.Conv2d(3 * width, 6 * width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(6 * width, 4 * width, 3, padding=1), nn.ReLU(),
            nn.Conv2d(4 * width, 4 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(3, stride=2))
        self.classifier = nn.Sequential(  # the identities stand where torchvision has dropout, so that layers have its names
            nn.Identity(), nn.Linear(4 * width * 36, 64 * width), nn.ReLU(),
            nn.Identity(), nn.Linear(64 * width, 64 * width), nn.ReLU(), nn.Linear(64 * width, classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(F.adaptive_avg_pool2d(self.features(images), 6).flatten(1))


def imagenet(shape: tuple[int, int, int], classes: int, weights: dict[str, torch.Tensor] | None = None,
             folder: str | Path | None = None, width: int = 64) -> nn.Module:
    """An `AlexNet` with torchvision's ImageNet weights, and a last layer of weight 0 and bias 1, as in the paper's code.

    Args:
        shape, classes: as for `AlexNet`.
        weights: {name: tensor} in torchvision's layout; by default torchvision's are downloaded (240 MB, with progress; the
            file is checked against its hash and read as tensors only).
        folder: where the download is kept; by default PyTorch's cache.
        width: 64 for torchvision's weights.

    Raises ValueError for weights of another layout, and ConnectionError where they cannot be downloaded.
    """
    if weights is None:
        from torchvision.models import AlexNet_Weights  # takes seconds to import

        folder = None if folder is None else os.path.expanduser(folder)
        try:
            weights = torch.hub.load_state_dict_from_url(AlexNet_Weights.IMAGENET1K_V1.url, folder, "cpu", check_hash=True,
                                                         weights_only=True)
        except OSError as cause:
            raise ConnectionError(f"AlexNet's ImageNet weights could not be downloaded ({cause}): connect to the internet and "
                                  "try again.") from cause
    network = AlexNet(shape, classes, width)
    last = {"classifier.6.weight", "classifier.6.bias"}
    try:
        network.load_state_dict({**network.state_dict(), **{name: w for name, w in weights.items() if name not in last}})
    except RuntimeError as cause:
        reason = str(cause).splitlines()[-1].strip()
        raise ValueError(f"These weights do not fit an AlexNet of width {width}: {reason}") from cause
    nn.init.zeros_(network.classifier[6].weight)
    nn.init.ones_(network.classifier[6].bias)
    return network
