"""Photographs for AlexNet: VOC 2007 and CUB-200-2011 as arrays, every picture made square (section 4.3 of the paper)."""

from pathlib import Path

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

# Name: (mean, std, folder under the data root).
PHOTOGRAPHS = {
    "voc2007": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), "VOCdevkit/VOC2007"),
    "cub200": ((0.47851, 0.49927, 0.40222), (0.23211, 0.22771, 0.26652), "CUB_200_2011"),
}


def fetch_voc2007(root):
    """Download and unpack VOC 2007 (torchvision, 900 MB) under a folder."""
    from torchvision.datasets import VOCDetection  # takes seconds to import

    for part in ("trainval", "test"):
        VOCDetection(root, "2007", part, download=True)


def voc2007(root, size):
    """Each object of VOC 2007, cut out by its box (torchvision; `trainval` to learn from, `test`).

    Returns (images, labels) of both parts, uint8 (N, size, size, 3) and (N,), and the names of the classes.
    """
    from torchvision.datasets import VOCDetection  # takes seconds to import

    parts = []
    for part in ("trainval", "test"):
        crops, names = [], []
        for picture, about in tqdm(VOCDetection(root, "2007", part), desc=f"voc2007 {part}", delay=2):
            for thing in about["annotation"]["object"]:
                box = [int(float(thing["bndbox"][edge])) for edge in ("xmin", "ymin", "xmax", "ymax")]
                crops.append(_square(picture.crop((box[0] - 1, box[1] - 1, box[2], box[3])), size))  # VOC counts from 1
                names.append(thing["name"])
        parts.append((np.stack(crops), names))
    classes = tuple(sorted({name for _, names in parts for name in names}))
    return *((images, np.array([classes.index(name) for name in names])) for images, names in parts), classes


def cub200(root, size):
    """CUB-200-2011 from its unpacked folder, whole pictures; nothing is downloaded.

    Returns what `voc2007` does. Raises FileNotFoundError where a list is missing.
    """
    folder = Path(root) / "CUB_200_2011"

    def listed(name):
        return [line.split()[1] for line in (folder / name).read_text(encoding="utf-8").splitlines()]

    paths, labels = listed("images.txt"), np.array([int(label) - 1 for label in listed("image_class_labels.txt")])
    training = np.array([flag == "1" for flag in listed("train_test_split.txt")])
    pictures = []
    for path in tqdm(paths, desc="cub200", delay=2):
        with Image.open(folder / "images" / path) as picture:
            pictures.append(_square(picture, size))
    images, classes = np.stack(pictures), tuple(name.split(".")[-1] for name in listed("classes.txt"))
    return (images[training], labels[training]), (images[~training], labels[~training]), classes


def _square(picture, size):
    return np.asarray(picture.convert("RGB").resize((size, size), Image.Resampling.BILINEAR))
