"""A set's images as pictures: a mosaic to look at, and a folder of PNG files, one for each image."""

import io
import re
from pathlib import Path

import torch
from PIL import Image

from ddlite.data import grey_levels, normalise
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


def write_folder(folder, images, labels, mean, std):
    """Write normalised images (N, C, H, W) as PNG files named NUMBER-CLASS.png, e.g. 0003-7.png; labels (N,) class numbers.

    Returns the share of pixels that were outside of black and white and were cut off, 0..1. Eight bits keep 256 levels.
    """
    levels = grey_levels(images.detach().cpu(), mean, std)
    for k, (image, label) in enumerate(zip(levels, labels.tolist())):
        write_bytes(Path(folder).expanduser() / f"{k:04}-{label}.png", png(as_picture(image)))
    return ((levels < 0) | (levels > 1)).float().mean().item()


def read_folder(folder, shape, mean, std):
    """Normalised images (N, C, H, W) and labels (N,) from such a folder, in the order of their numbers.

    Raises ValueError for a folder without such files, or with pictures of another shape (channels, height, width).
    """
    folder, images, labels = Path(folder).expanduser(), [], []
    for path in sorted(folder.glob("*.png")):
        found = re.fullmatch(r"\d+-(\d+)", path.stem)
        try:
            with Image.open(path) as opened:
                levels = torch.frombuffer(bytearray(opened.convert("L" if shape[0] == 1 else "RGB").tobytes()), dtype=torch.uint8)
                size = (opened.height, opened.width)
        except OSError as cause:
            raise ValueError(f"{path} is no picture that can be read ({cause}): remove it.") from cause
        if not found or size != tuple(shape[1:]):
            raise ValueError(f"{path} is {size[0]}x{size[1]} pixels; files NUMBER-CLASS.png of {shape[1]}x{shape[2]} are needed.")
        images.append(levels.view(*size, shape[0]).permute(2, 0, 1) / 255)
        labels.append(int(found[1]))
    if not images:
        raise ValueError(f"There is no file NUMBER-CLASS.png in {folder}.")
    return normalise(torch.stack(images), mean, std), torch.tensor(labels)
