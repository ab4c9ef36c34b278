"""Textures that tile: what is learned for each class is a canvas on a torus, and every piece of it teaches the class.

    S_i = crop(canvas, offset_i),  offset_i ~ U(torus):  each gradient step sees a fresh piece, which may go over the edge

Cazenavette, Wang, Torralba, Efros, Zhu: "Wearable ImageNet: Synthesizing Tileable Textures via Dataset Distillation", CVPR
Workshops 2022. The storage is `Canvas`; start and goal are those of `mtt`. Ours: small grey pictures, and a number for a seam.
"""

from dataclasses import replace

import torch
from torch import nn
from torch.nn import functional as F

from ddlite.machinery.arguments import whole
from ddlite.networks import sizes
from ddlite.scratch import Recipe
from ddlite.storage import PIXELS


class Canvas:
    """Images are pieces of canvases whose opposite edges meet.

    The stored numbers are `canvas` (batches, n, C, times * H, times * W). They decode to (crops * batches, n, C, H, W): each of
    these batches shows another piece of every canvas, rolled by an offset that is drawn anew for each.

    Args:
        times: sides of a canvas, in sides of an image; 1 or more.
        crops: batches of pieces that one batch of canvases decodes to, the gradient steps of one pass; 1 or more.
        roll: draw offsets; without, each piece is the upper left one.

    Raises ValueError for numbers that cannot be, and for a canvas that is smaller than an image.
    """

    pictures, rate, decay = 1, 1.0, True

    def __init__(self, times=2, crops=12, roll=True):
        self.times, self.repeats, self.roll = whole("times", times, 1), whole("crops", crops, 1), bool(roll)

    def noise(self, shape, generator):
        *which, height, width = shape
        return {"canvas": torch.randn((*which, self.times * height, self.times * width), generator=generator)}

    def encode(self, images):
        """Images next to each other, again and again, till they fill a canvas: of each `repeats` batches the first."""
        return {"canvas": images[::self.repeats].repeat(1, 1, 1, self.times, self.times)}

    def draw(self, generator):
        """A seed for the offsets; without rolls, none."""
        return (torch.randint(2**31, (), generator=generator),) if self.roll else ()

    def decode(self, stored, draw=()):
        canvas = stored["canvas"]
        batches, n, _, high, wide = canvas.shape
        if high % self.times or wide % self.times:
            raise ValueError(f"A canvas of {high}x{wide} pixels cannot be {self.times} images high and wide.")
        offsets = torch.zeros((2, self.repeats * batches, n), dtype=torch.int64)
        if draw:
            generator = torch.Generator().manual_seed(int(draw[0]))
            offsets = torch.stack([torch.randint(side, offsets[0].shape, generator=generator) for side in (high, wide)])
        rows, columns = (((torch.arange(side // self.times) + offset[..., None]) % side).to(canvas.device)
                         for side, offset in zip((high, wide), offsets))
        which = torch.arange(self.repeats * batches, device=canvas.device)[:, None, None, None] % batches
        each = torch.arange(n, device=canvas.device)[:, None, None]
        return canvas[which, each, :, rows[..., None], columns[..., None, :]].movedim(-1, 2)

    def describe(self):
        return {"kind": "textures.Canvas", "times": self.times, "crops": self.repeats, "roll": self.roll}

    def __repr__(self):
        return f"Canvas({self.times}, crops={self.repeats}, roll={self.roll})"


def pieces(dset, number=300, seed=0):
    """An ordinary set of fresh pieces of a set's canvases: `number` of each, with a recipe that sees each of them once.

    As many gradient steps as a recipe of `number` epochs on one piece of each canvas. Raises ValueError for a set without
    canvases.
    """
    canvas = canvas_of(dset)
    batches, n = canvas.shape[:2]
    images = Canvas(dset.storage.times, number).decode({"canvas": canvas}, (torch.tensor(seed),))
    return replace(dset, images=images, labels=dset.labels[:batches].repeat(number, 1), step_sizes=None, tied=False,
                   recipe=replace(dset.recipe or Recipe(), epochs=1, batch_size=n), storage=PIXELS, stored=None)


def canvas_of(dset):
    """The canvases of a set, (batches, n, C, times * H, times * W). Raises ValueError where it has none."""
    if "canvas" not in (dset.stored or {}):
        raise ValueError(f"{dset} has no canvases: make it with storage=textures.Canvas(...).")
    return dset.stored["canvas"]


def seam(pictures):
    """How much an edge shows where a picture is laid next to itself: a number, about 1 where it does not.

    The mean difference of pixels across the edge over that of neighbours inside, in both directions. `pictures`: (..., H, W).
    """
    ratios = []
    for axis in (-2, -1):
        across = (pictures.roll(1, axis) - pictures).abs().movedim(axis, 0)
        ratios.append(across[0].mean() / across[1:].mean())
    return (sum(ratios) / 2).item()


class TileNet(nn.Module):
    """Three 5x5 convolutions and the maximum over the whole picture, so that no place counts: a network that reads textures.

    Args:
        shape: one picture's (channels, height, width); square, a multiple of 4 pixels.
        classes: how many outputs.

    >>> sum(weight.numel() for weight in TileNet().parameters())
    16586
    """

    def __init__(self, shape=(1, 24, 24), classes=10):
        super().__init__()
        channels, height, width = sizes(shape, classes)
        if height != width or height % 4:
            raise ValueError(f"TileNet takes square pictures of a multiple of 4 pixels, not {height}x{width}: resize them with "
                             "ddlite.load(..., size=24).")
        self.conv1, self.conv2 = nn.Conv2d(channels, 8, 5, padding=2), nn.Conv2d(8, 16, 5, padding=2)
        self.conv3, self.linear, self.whole = nn.Conv2d(16, 32, 5, padding=2), nn.Linear(32, classes), height // 4

    def forward(self, images):
        hidden = F.relu(F.max_pool2d(self.conv1(images), 2))
        hidden = F.relu(F.max_pool2d(self.conv2(hidden), 2))
        return self.linear(F.relu(F.max_pool2d(self.conv3(hidden), self.whole)).flatten(1))


# What `ddlite distill --method` and lesson 6 learn, by profile.
PROFILES = {"textures": {"quick": {"data": "textures", "network": TileNet, "outer_steps": 190}}}
