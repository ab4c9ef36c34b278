"""A set's images as pictures: a mosaic to look at, and a folder of PNG files, one for each image."""

import io
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from ddlite.data import Data, grey_levels, normalise
from ddlite.machinery.files import write_bytes


def picture(images, mean, std, across=10, side=40):
    """A mosaic of normalised images (N, C, H, W), a PIL image: `across` in a row, each enlarged to at least `side` pixels.

    The darkest number is black and the brightest white, because learned images leave the range of grey levels.
    """
    levels = grey_levels(images.detach().cpu(), mean, std)
    low, high = levels.min(), levels.max()
    levels = (levels - low) / (high - low).clamp(min=1e-8)
    times = max(1, -(-side // levels.shape[-1]))
    levels = levels.repeat_interleave(times, -2).repeat_interleave(times, -1)
    number, channels, height, width = levels.shape
    across = min(across, number)
    down = -(-number // across)
    mosaic = torch.ones(channels, down * (height + 2), across * (width + 2))
    for k, image in enumerate(levels):
        top, left = k // across * (height + 2), k % across * (width + 2)
        mosaic[:, top:top + height, left:left + width] = image
    return as_picture(mosaic)


def as_picture(levels):
    """Grey levels (C, H, W) with 1 or 3 channels as a PIL image of 8 bits; what leaves 0..1 is cut off."""
    bytes_ = (levels.clamp(0, 1) * 255).round().to(torch.uint8)
    return Image.fromarray(bytes_[0].numpy() if len(bytes_) == 1 else bytes_.permute(1, 2, 0).numpy())


def png(image):
    """The bytes of a PIL image as a PNG file."""
    file = io.BytesIO()
    image.save(file, "png")
    return file.getvalue()


def to_folder(dset: Any, folder: str | Path) -> None:
    """Write every image of a set as a PNG file NUMBER-CLASS.png, e.g. 0003-7.png, in 256 levels from the data's black to white.

    Learned images leave that range: a warning says how many pixels were cut off. Raises ValueError for learned labels.
    """
    images, labels = dset.examples()
    if labels.is_floating_point():
        raise ValueError("Learned labels do not fit into the names of pictures: use to_tensors(), or save().")
    levels = grey_levels(images.detach().cpu(), dset.mean, dset.std)
    for k, (image, label) in enumerate(zip(levels, labels.tolist())):
        write_bytes(Path(folder).expanduser() / f"{k:04}-{label}.png", png(as_picture(image)))
    lost = ((levels < 0) | (levels > 1)).float().mean().item()
    if lost:
        warnings.warn(f"{100 * lost:.0f} % of the pixels are darker than black or brighter than white, and were cut off: "
                      "pictures are to look at. Use save() to keep the set.", stacklevel=2)


def from_folder(folder: str | Path, data: Data) -> tuple[torch.Tensor, torch.Tensor]:
    """Images (N, C, H, W), normalised like a `Data`, and labels (N,) from such a folder, in the order of the files' numbers.

    `DistilledSet.from_tensors(*from_folder(folder, data), data)` makes a set of them.
    Raises ValueError for a folder without such files, or with pictures of another size or class.
    """
    folder, images, labels = Path(folder).expanduser(), [], []
    channels, height, width = data.shape
    for path in sorted(folder.glob("*.png")):
        try:
            with Image.open(path) as opened:
                levels, size = np.array(opened.convert("L" if channels == 1 else "RGB")), (opened.height, opened.width)
        except OSError as cause:
            raise ValueError(f"{path} is no picture that can be read ({cause}): remove it.") from cause
        found = re.fullmatch(r"\d+-(\d+)", path.stem)
        if not found or int(found[1]) >= len(data.classes) or size != (height, width):
            raise ValueError(f"{path} ({size[0]}x{size[1]} pixels) does not fit: NUMBER-CLASS.png is needed, a class in "
                             f"0..{len(data.classes) - 1}, and {height}x{width} pixels.")
        images.append(torch.from_numpy(levels).view(height, width, channels).permute(2, 0, 1) / 255)
        labels.append(int(found[1]))
    if not images:
        raise ValueError(f"There is no file NUMBER-CLASS.png in {folder}.")
    device = data.train.images.device
    return normalise(torch.stack(images), data.mean, data.std).to(device), torch.tensor(labels, device=device)
