"""What is trained: small networks of the paper. Any other `nn.Module` that `unrollable.check` lets pass works as well."""

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import nn
from torch.nn import functional as F

from ddlite.machinery import arguments


def sizes(shape, classes):
    """Channels, height and width of a picture, as ints. Raises ValueError where a size or the number of classes is none."""
    arguments.whole("classes", classes, 1)
    if not isinstance(shape, Sequence) or len(shape) != 3:
        raise ValueError(f"shape is {shape!r}: one picture's (channels, height, width) is needed, as in data.shape.")
    return [arguments.whole(name, size, 1) for size, name in zip(shape, ("channels", "height", "width"))]


class LeNet(nn.Module):
    """LeNet with ReLUs: two 5x5 convolutions, three linear layers (61,706 weights at 1x28x28).

    Args:
        shape: one picture's (channels, height, width); square, 14 pixels or more.
        classes: how many outputs.

    Takes images (N, channels, height, width), gives logits (N, classes).
    Pictures under 32 pixels are padded by 2, as in the paper's code.

    >>> sum(weight.numel() for weight in LeNet((1, 28, 28)).parameters())
    61706
    """

    def __init__(self, shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10):
        super().__init__()
        channels, height, width = sizes(shape, classes)
        if height != width or height < 14:
            raise ValueError(f"LeNet takes square pictures of 14 pixels or more, not {height}x{width}: "
                             "resize them with ddlite.load(..., size=28).")
        padding = 2 if height < 32 else 0
        side = ((height + 2 * padding - 4) // 2 - 4) // 2
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=padding)
        self.conv2 = nn.Conv2d(6, 16, 5)
        self.linear1 = nn.Linear(16 * side * side, 120)
        self.linear2 = nn.Linear(120, 84)
        self.linear3 = nn.Linear(84, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        # Pooling before the ReLU gives the same numbers as after it, with a quarter of the ReLUs.
        hidden = F.relu(F.max_pool2d(self.conv1(images), 2))
        hidden = F.relu(F.max_pool2d(self.conv2(hidden), 2)).flatten(1)
        hidden = F.relu(self.linear1(hidden))
        return self.linear3(F.relu(self.linear2(hidden)))


class SmallLeNet(nn.Module):
    """A smaller relative of LeNet, for the digits: two padded 5x5 convolutions, two linear layers (51,890 at 1x24x24).

    Args:
        shape: one picture's (channels, height, width); square, a multiple of 4 pixels.
        classes: how many outputs.

    Takes images (N, channels, height, width), gives logits (N, classes).

    >>> sum(weight.numel() for weight in SmallLeNet().parameters())
    51890
    """

    def __init__(self, shape: tuple[int, int, int] = (1, 24, 24), classes: int = 10):
        super().__init__()
        channels, height, width = sizes(shape, classes)
        if height != width or height % 4:
            raise ValueError(f"SmallLeNet takes square pictures of a multiple of 4 pixels, not {height}x{width}: "
                             "resize them with ddlite.load(..., size=24).")
        self.conv1 = nn.Conv2d(channels, 6, 5, padding=2)
        self.conv2 = nn.Conv2d(6, 16, 5, padding=2)
        self.linear1 = nn.Linear(height * width, 84)  # 16 channels of a quarter of the side
        self.linear2 = nn.Linear(84, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = F.relu(F.max_pool2d(self.conv1(images), 2))
        hidden = F.relu(F.max_pool2d(self.conv2(hidden), 2)).flatten(1)
        return self.linear2(F.relu(self.linear1(hidden)))


class MLP(nn.Module):
    """Two hidden layers of 128 with ReLUs (118,282 weights at 1x28x28), to see whether images learned for LeNet teach it.

    Args:
        shape: one picture's (channels, height, width).
        classes: how many outputs.

    >>> sum(weight.numel() for weight in MLP().parameters())
    118282
    """

    def __init__(self, shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10):
        super().__init__()
        self.linear1 = nn.Linear(math.prod(sizes(shape, classes)), 128)
        self.linear2 = nn.Linear(128, 128)
        self.linear3 = nn.Linear(128, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.linear3(F.relu(self.linear2(F.relu(self.linear1(images.flatten(1))))))


class ConvNet3(nn.Module):
    """The field's usual test network: three blocks of 3x3 convolution, instance norm, ReLU and average pooling.

    Args:
        shape: one picture's (channels, height, width); 8 pixels or more.
        classes: how many outputs.
        width: channels of each block, 128 by custom; fewer are quicker.
        padding: of the first convolution. The field has 3 where pictures have 28 pixels, which makes them 32.

    >>> [sum(weight.numel() for weight in ConvNet3(padding=padding).parameters()) for padding in (1, 3)]
    [308746, 317706]
    """

    def __init__(self, shape: tuple[int, int, int] = (1, 28, 28), classes: int = 10, width: int = 128, padding: int = 1):
        super().__init__()
        channels, height, width_of_picture = sizes(shape, classes)
        if min(height, width_of_picture) < 8:
            raise ValueError(f"ConvNet3 takes pictures of 8 pixels or more, not {height}x{width_of_picture}: resize them with "
                             "ddlite.load(..., size=8).")
        arguments.whole("width", width, 1)
        wider = 2 * (arguments.whole("padding", padding, 1) - 1)
        self.blocks = nn.Sequential(*(layer for k in range(3) for layer in (
            nn.Conv2d(width if k else channels, width, 3, padding=1 if k else padding), nn.GroupNorm(width, width), nn.ReLU(),
            nn.AvgPool2d(2))))
        self.linear = nn.Linear(width * ((height + wider) // 8) * ((width_of_picture + wider) // 8), classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.linear(self.blocks(images).flatten(1))


class ResponseNorm(nn.Module):
    """What `nn.LocalResponseNorm(4, alpha=0.001 / 9, beta=0.75, k=1)` does to so many channels, in about a third of the time.

    Each value is divided by (1 + alpha * mean of the squares of four neighbouring channels) ** beta.
    """

    def __init__(self, channels):
        super().__init__()
        offset = torch.arange(channels) - torch.arange(channels)[:, None]
        near = ((offset >= -2) & (offset <= 1)).float()  # two channels before, itself, one after
        self.register_buffer("mean", (0.001 / 9 / 4 * near)[:, :, None, None], persistent=False)  # alpha times it
        self.register_buffer("one", torch.ones(channels), persistent=False)

    def forward(self, hidden):
        # A mean over neighbouring channels is a 1x1 convolution, far cheaper than the pooling and the division of PyTorch's own
        # layer, which took two fifths of a step; and a logarithm and an exponential take less time than a power.
        return hidden * (F.conv2d(hidden * hidden, self.mean, self.one).log() * -0.75).exp()


class AlexCifarNet(nn.Module):
    """The paper's network for CIFAR-10: 1,756,426 weights at 3x32x32.

    Args:
        shape: one picture's (channels, height, width); 32x32.
        classes: how many outputs.

    Takes images (N, channels, 32, 32), gives logits (N, classes).

    >>> sum(weight.numel() for weight in AlexCifarNet().parameters())
    1756426
    """

    def __init__(self, shape: tuple[int, int, int] = (3, 32, 32), classes: int = 10):
        super().__init__()
        channels, height, width = sizes(shape, classes)
        if (height, width) != (32, 32):
            raise ValueError(f"AlexCifarNet takes pictures of 32x32 pixels, not {height}x{width}: "
                             "resize them with ddlite.load(..., size=32).")
        self.conv1 = nn.Conv2d(channels, 64, 5, padding=2)
        self.conv2 = nn.Conv2d(64, 64, 5, padding=2)
        self.linear1 = nn.Linear(4096, 384)
        self.linear2 = nn.Linear(384, 192)
        self.linear3 = nn.Linear(192, classes)
        self.response = ResponseNorm(64)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        hidden = F.relu(F.max_pool2d(self.conv1(images), 3, stride=2, padding=1))  # pooling first, as in LeNet
        hidden = F.relu(self.conv2(self.response(hidden)))
        hidden = F.max_pool2d(self.response(hidden), 3, stride=2, padding=1).flatten(1)
        hidden = F.relu(self.linear1(hidden))
        return self.linear3(F.relu(self.linear2(hidden)))


INITS = {
    "xavier-normal": nn.init.xavier_normal_,
    "xavier-uniform": nn.init.xavier_uniform_,
    "kaiming-normal": partial(nn.init.kaiming_normal_, nonlinearity="relu"),
    "orthogonal": nn.init.orthogonal_,
}
NORMS = (nn.GroupNorm, nn.LayerNorm, nn.modules.batchnorm._NormBase)


def initialise(network: nn.Module, seed: int, init: str = "xavier-normal") -> nn.Module:
    """Draw all weights of a network afresh, but for those that are frozen (`requires_grad=False`).

    Args:
        network: any `nn.Module` of convolutions, linear layers and norms; changed in place.
        seed: an int of 32 bits; the same seed gives the same weights on every device.
        init: "xavier-normal" (the paper's, with gain 1), "xavier-uniform", "kaiming-normal" (for ReLUs) or "orthogonal";
            biases are 0.

    Returns the same network. Raises ValueError for a seed or initialisation that does not exist, or if a layer has weights
    that it does not cover.
    """
    seed = arguments.seed(seed)
    if init not in INITS:
        raise ValueError(f"There is no initialisation {init!r}. Known: {', '.join(INITS)}.")
    generator = torch.Generator().manual_seed(seed)
    for name, module in network.named_modules():
        own = {key: weight for key, weight in module.named_parameters(recurse=False) if weight.requires_grad}
        if isinstance(module, NORMS):
            with torch.no_grad():  # running statistics stay
                for key, weight in own.items():
                    weight.fill_(key == "weight")
        elif own and set(own) <= {"weight", "bias"} and module.weight.dim() >= 2:
            with torch.no_grad():
                if "weight" in own:
                    module.weight.copy_(INITS[init](torch.empty(module.weight.shape), generator=generator))
                if "bias" in own:
                    module.bias.zero_()
        elif own:
            raise ValueError(f"The initialisation {init} has no rule for layer {name!r} ({type(module).__name__}): initialise "
                             "this network yourself and pass it as it is; for random starts, use init='pytorch'.")
    return network
