"""Textures, drawn here: pictures without a place. Five kinds of surface, and each picture is another piece of another wall."""

import numpy as np


def textures(size=24, train=1500, test=600, seed=0):
    """Grey levels (N, size, size), 0..255, and labels (N,) of training and test pictures: what `from_arrays` takes.

    Place, scale, light and grain of each picture are drawn at random; the same seed gives the same pictures.
    """
    drawn, names = np.random.default_rng(seed), list(KINDS)
    labels = np.arange(train + test) % len(names)
    # Whole numbers, so that another processor's sine, which rounds otherwise, gives the same pictures.
    pictures = np.stack([np.round(255 * texture(names[label], size, drawn)) for label in labels]).astype(np.uint8)
    return pictures[:train], labels[:train], pictures[train:], labels[train:]


def texture(kind, size, drawn):
    """One picture (size, size) of a kind, 0..1; what is random comes from the numpy generator `drawn`."""
    # x and y count pictures: from a place in a large wall, about one picture on.
    left, top, side = *drawn.uniform(0, 100, 2), drawn.uniform(0.9, 1.1)
    y, x = np.mgrid[:size, :size] * (side / size)
    picture = KINDS[kind](x + left, y + top, drawn) * 1.0
    picture = (picture - picture.min()) / max(np.ptp(picture), 1e-6)
    dark, light = drawn.uniform(0, 0.1), drawn.uniform(0.9, 1)
    return np.clip(dark + (light - dark) * picture + drawn.normal(0, 0.05, picture.shape), 0, 1)


def bricks(x, y, drawn):
    column, row = _staggered(2 * x, 4 * y)
    return (column % 1 > 0.12) * (row % 1 > 0.25) * (0.8 + 0.2 * np.sin(99 * np.floor(column) + 77 * np.floor(row)))


def planks(x, y, drawn):
    grain = np.sin(2 * np.pi * (9 * x + 0.3 * np.sin(2 * np.pi * y) + np.sin(99 * np.floor(2.5 * x))))
    return (2.5 * x % 1 > 0.12) * (0.7 + 0.3 * grain)


def dots(x, y, drawn):
    column, row = _staggered(4 * x, 4 * y)
    return np.hypot(column % 1 - 0.5, row % 1 - 0.5) < 0.3


def waves(x, y, drawn):
    return np.sin(2 * np.pi * (4 * y + 0.25 * np.sin(4 * np.pi * x)))


def clouds(x, y, drawn):
    angles, phases = drawn.uniform(0, 2 * np.pi, (2, 12))
    return sum(np.sin(2 * np.pi * (1 + k / 6) * (x * np.cos(a) + y * np.sin(a)) + p) / (1 + k / 4)
               for k, (a, p) in enumerate(zip(angles, phases)))


def _staggered(column, row):
    """Columns that are half of one further to the right in every second row."""
    return column + (np.floor(row) % 2) / 2, row


KINDS = {kind.__name__: kind for kind in (bricks, planks, dots, waves, clouds)}
