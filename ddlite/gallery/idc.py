"""Patches: one stored image holds k x k small pictures, enlarged before use (Kim et al., IDC, ICML 2022).

    images = enlarge(cut(stored, k)),    k² pictures for the floats of one

Neighbouring pixels repeat each other, so that k² coarse pictures can say more than a fine one. The idea is the paper's; that
pictures are enlarged bilinearly, too. Ours is that k must divide the picture's sides, where the paper pads.
"""

from functools import partial

import torch
from torch.nn import functional as F

from ddlite.networks import MLP, ConvNet3, LeNet


class Patches:
    """Each stored image is a mosaic of k x k tiles; each tile is enlarged to a whole image. With k = 1, plain pixels.

    The stored numbers are `patches` (batches, n, C, H, W). They decode to (batches, k² n, C, H, W): first the upper left tile
    of every stored image, then the next tile of every image, row by row. So labels (n,) of the stored images repeat k² times
    as a whole.

    Args:
        k: tiles along each side, 1 or more.

    Raises ValueError for another k and, when it is used, for pictures whose sides k does not divide.
    """

    repeats, rate, decay = 1, 1.0, True

    def __init__(self, k=2):
        if not isinstance(k, int) or isinstance(k, bool) or k < 1:
            raise ValueError(f"k is {k!r}: a whole number of tiles along each side is needed, 1 or more.")
        self.k, self.pictures = k, k * k

    def noise(self, shape, generator):
        return {"patches": torch.randn(self._fits(shape), generator=generator)}

    def encode(self, images):
        batches, number, channels, height, width = self._fits(images.shape)
        small = images.flatten(0, 1)
        if self.k > 1:
            small = F.interpolate(small, (height // self.k, width // self.k), mode="bilinear", antialias=True)
        tiles = small.reshape(batches, self.k, self.k, number // self.pictures, channels, height // self.k, width // self.k)
        return {"patches": tiles.permute(0, 3, 4, 1, 5, 2, 6).flatten(5).flatten(3, 4)}  # (batch, n, C, row, H/k, column, W/k)

    def draw(self, generator):
        return ()

    def decode(self, stored, draw=()):
        batches, number, channels, height, width = self._fits(stored["patches"].shape)
        tiles = stored["patches"].unflatten(-1, (self.k, -1)).unflatten(-3, (self.k, -1))  # as above
        tiles = tiles.permute(0, 3, 5, 1, 2, 4, 6).reshape(-1, channels, height // self.k, width // self.k)
        large = tiles if self.k == 1 else F.interpolate(tiles, (height, width), mode="bilinear")
        return large.reshape(batches, self.pictures * number, channels, height, width)

    def describe(self):
        return {"kind": "idc.Patches", "k": self.k}

    def __repr__(self):
        return f"Patches({self.k})"

    def _fits(self, shape):
        if shape[-2] % self.k or shape[-1] % self.k:
            raise ValueError(f"{self} cannot cut pictures of {shape[-2]}x{shape[-1]} pixels: choose a k that divides both "
                             "sides, or load the data with another size=.")
        return shape


# What `ddlite distill --method` and lesson 5 learn with `dc.Match`, by profile.
PROFILES = {
    "idc": {
        "quick": {"data": "digits", "network": MLP, "outer_steps": 250, "patches": 2, "real": True, "walk": "set"},
        "laptop": {"data": "mnist", "network": partial(ConvNet3, width=16), "outer_steps": 800, "patches": 2, "real": True,
                   "walk": "data", "validate_every": 200, "validation_networks": 3},
        "laptop-lenet": {"data": "mnist", "network": LeNet, "outer_steps": 400, "patches": 2, "real": True, "walk": "data",
                         "validate_every": 100},
        "laptop-lenet-100": {"data": "mnist", "network": LeNet, "outer_steps": 400, "patches": 2, "real": True,
                             "images_per_class_and_batch": 10, "walk": "data", "validate_every": 200,
                             "validation_networks": 2},
        "full": {"data": "mnist", "network": partial(ConvNet3, padding=3), "outer_steps": 1000, "patches": 2, "real": True,
                 "distance": "rows", "epochs": 1000, "augment": True, "validate_every": 250, "validation_networks": 1},
    },
}
