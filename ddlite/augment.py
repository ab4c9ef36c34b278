"""Augmentation of protocol B: every time an image is used, it is shifted, scaled or turned a little."""

import math

import torch
from torch.nn import functional as F

SHIFT, SCALE, TURN = 1 / 7, 0.2, 45  # parts of a side (4 of 28 pixels), part of a side, degrees


def moved(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Images (N, C, H, W), each one shifted, or scaled, or turned, at random.

    Which of the three is drawn for each image: a shift of up to a seventh of each side; either side scaled by 0.8 to 1.2; or a
    turn of up to 45 degrees. What comes in from outside has the mean value of all these images. These are the ranges of the
    evaluation on MNIST in Zhao, Mopuri and Bilen's code (Dataset Condensation, ICLR 2021); resampled bilinearly, which is ours.
    """
    number, device = len(images), images.device
    kind = torch.randint(3, (number,), generator=generator)
    amounts = (2 * torch.rand(number, 2, generator=generator) - 1) * (kind < 2)[:, None]  # in -1..1, of what is drawn alone
    angle = (2 * torch.rand(number, generator=generator) - 1) * (kind == 2) * math.radians(TURN)
    shift, scale = 2 * SHIFT * amounts * (kind == 0)[:, None], 1 + SCALE * amounts * (kind == 1)[:, None]
    # Where in the image each pixel of the new one comes from: rows of a 2x3 matrix, in coordinates from -1 to 1.
    turns = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).unflatten(1, (2, 2))
    grid = F.affine_grid(torch.cat([turns / scale[:, None], shift[..., None]], 2).to(images), images.shape, align_corners=False)
    ground = images.mean((0, 2, 3), keepdim=True)
    return ground + F.grid_sample((images - ground).contiguous(), grid.to(device), align_corners=False)
