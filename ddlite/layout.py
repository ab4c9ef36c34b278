"""How the images of a set are laid out in a picture, and which grey levels are its black and white."""

import math

import torch
from PIL import Image

from ddlite.data import grey_levels
from ddlite.valid import need_set

ACROSS, LINES = 20, 30  # images in a line, and lines in a picture, that can still be told apart


def grey_range(dset):
    """The grey levels that a picture of the set maps to black and white: 98 % of its pixels lie between them.

    0 and 1 are the black and white of the data; learned images are not bound to them.
    """
    need_set(dset)
    levels = grey_levels(dset.images, dset.mean, dset.std).flatten()
    levels = levels[:: max(1, len(levels) // 100_000)]  # enough of them
    low, high = torch.quantile(levels, torch.tensor([0.01, 0.99], device=levels.device)).tolist()
    high = max(high, low + 0.01 * min(1, max(dset.std)))
    digits = _digits(low, high)
    return round(low, digits) + 0.0, round(high, digits) + 0.0  # + 0.0 turns -0.0 into 0.0


def in_words(low, high):
    """What black and white stand for, as `grey_range` gives them, and in the data, in words."""
    digits = _digits(low, high)
    return f"black is grey level {low:.{digits}f} or less, white {high:.{digits}f} or more (in the data 0 and 1)"


def _digits(low, high):
    """Decimals that tell two grey levels apart: two, or more where the pictures are dark or pale."""
    return max(2, 1 - math.floor(math.log10(max(high - low, 1e-30)) + 1e-6))


def table(dset):
    """How a set is laid out: images (rows, columns, C, H, W), and the class number above each column.

    A row is a batch. A batch of several images of each class, in class order, takes several rows, with a column for each
    class. Where labels are learned, a column is named after the likeliest class of its image in the first batch.
    """
    need_set(dset)
    labels, classes = dset.labels[0], len(dset.classes)
    labels = (labels if labels.dim() == 1 else labels.argmax(-1)).tolist()
    each = len(labels) // classes
    if each > 1 and labels == [label for label in range(classes) for _ in range(each)]:
        return dset.images.unflatten(1, (classes, each)).transpose(1, 2).flatten(0, 1), list(range(classes))
    return dset.images, labels


def lines_of(dset):
    """`table` as it is drawn: images (lines, across, C, H, W), and the class number of each image, a list for each line.

    A row of more than 20 images is broken into lines; empty places are NaN and None. No more than 30 lines are drawn.
    """
    pictures, labels = table(dset)
    columns = len(labels)
    if columns > ACROSS:
        across = ACROSS if max(len(name) for name in dset.classes) <= 4 else 12  # longer names need wider places
        missing = -columns % across
        empty = pictures.new_full((len(pictures), missing, *pictures.shape[2:]), math.nan)
        pictures = torch.cat([pictures, empty], dim=1).unflatten(1, (-1, across)).flatten(0, 1)[:LINES]
        labels = labels + [None] * missing
        return pictures, [labels[k:k + across] for k in range(0, len(labels), across)] * dset.batches
    return pictures[:LINES], [labels] * len(pictures)


def tiles(dset, limits=None, zoom=3, gap=2, below=0):
    """All images of a set, laid out as in `lines_of`, as a PIL image (RGBA); black and white are `grey_range(dset)`.

    `gap` pixels lie between two images, and `below` more, for a name, between two lines: there one sees through.
    """
    low, high = grey_range(dset) if limits is None else limits
    levels = grey_levels(lines_of(dset)[0], dset.mean, dset.std).sub(low).div(high - low).clamp(0, 1)
    there = ~levels[:, :, 0].isnan()  # rows, columns, H, W
    grey = levels.nan_to_num(1).permute(0, 1, 3, 4, 2).expand(*there.shape, 3)  # a single channel thrice
    pixels = (torch.cat([grey, there[..., None]], dim=-1) * 255).to(torch.uint8).cpu()
    rows, columns, height, width, _ = pixels.shape
    down, right = height + gap + below, width + gap
    canvas = torch.zeros((rows * down - gap, columns * right - gap, 4), dtype=torch.uint8)
    for row in range(rows):
        for column in range(columns):
            y, x = row * down, column * right
            canvas[y:y + height, x:x + width] = pixels[row, column]
    image = Image.fromarray(canvas.numpy())
    return image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST)
