"""What is distilled: named sets, or your own arrays, as normalised tensors on a device, cut in three parts."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from numpy.typing import ArrayLike
from torch.nn import functional as F

from ddlite import known
from ddlite.machinery import arrays
from ddlite.machinery.arguments import number, shown, whole
from ddlite.machinery.files import fingerprint

# A copy that is not the original must not be called so in a table, wherever its file lies.
COPIES = {"e0501e823817e3d9": "cifar10-jpeg"}


@dataclass(frozen=True)
class Split:
    """One part of a data set: images (N, C, H, W), float32 and normalised; labels (N,), int64; how they were made.

    `classes` are the names of the classes: label k is `classes[k]`. None where nobody said.
    """

    name: str
    images: torch.Tensor
    labels: torch.Tensor
    mean: tuple
    std: tuple
    classes: tuple | None = None

    def __len__(self):
        return len(self.labels)


@dataclass(frozen=True)
class Data:
    """A data set in three parts: training learns, validation chooses, the test images only report.

    Attributes:
        name: what tables and manifests call it.
        train, validation, test: a `Split` each. The validation part is cut from the training data: a sixth of it,
            at most 5,000 images, every class in its proportion, always the same ones.
        classes: the names of the classes; label k is `classes[k]`.
        mean, std: a number for each channel. Images are (grey level in 0..1 - mean) / std.
        fingerprint: of all images and labels as they came, before normalisation.
    """

    name: str
    train: Split
    validation: Split
    test: Split
    classes: tuple
    mean: tuple
    std: tuple
    fingerprint: str

    @property
    def shape(self) -> tuple[int, int, int]:
        """(channels, height, width) of one image."""
        return tuple(self.train.images.shape[1:])

    def to(self, device: str | torch.device) -> "Data":
        """The same data on another device. Raises ValueError if there is no such device."""
        def moved(split):
            return replace(split, images=split.images.to(device), labels=split.labels.to(device))

        check_device(device)
        return replace(self, train=moved(self.train), validation=moved(self.validation), test=moved(self.test))

    def __repr__(self):
        sizes = f"train={len(self.train)}, validation={len(self.validation)}, test={len(self.test)}"
        return f"Data({self.name!r}, shape={self.shape}, classes={len(self.classes)}, {sizes})"


def load(name: str, root: str | Path | None = None, device: str | torch.device = "cpu", size: int | None = None,
         channels: int | None = None, download: bool = True) -> Data:
    """Open a data set.

    Args:
        name: "digits" (1,797 handwritten digits that come with scikit-learn, 8x8 grey pixels made 24x24; nothing is
            downloaded); "digits-shifted" (the same digits, slanted, on a cloudy ground: another domain); "textures" (five
            kinds of surface, drawn when asked for); "mnist",
            "fashion-mnist", "usps", "svhn" or "cifar10" (through torchvision); "usps-mixed" (all of USPS, divided
            anew, with a black frame, as in the paper: USPS's own test images are harder than those to learn from);
            "voc2007" or "cub200" (`photographs`; about 15 GB in memory at 224 pixels); or the path of an .npz file with
            x_train, y_train, x_test, y_test (see `from_arrays`), looked for under the data root if it is not here, whose
            name it then bears.
        root: the folder where data sets lie; by default the environment variable DDLITE_DATA, else
            the user's cache folder.
        device: where the tensors go, "cpu" or "cuda"; Apple's "mps" is not supported.
        size: pixels to which pictures are resized (bilinearly); by default 24 for the digits, 28 for USPS (16 pixels
            as it comes), 224 for photographs, and otherwise as they come.
        channels: 3 makes grey pictures into coloured ones (three times the same channel), to stand beside coloured data.
        download: whether an absent set may be fetched.

    The digits have one fixed, stratified split: 400 test images, 232 for validation, 1,165 to learn from.

    Raises ValueError for an unknown name or device or for broken data, FileNotFoundError for a missing file,
    ConnectionError if it cannot be fetched, OSError if the data root cannot be written to.

    >>> load("digits")
    Data('digits', shape=(1, 24, 24), classes=10, train=1165, validation=232, test=400)
    """
    check_device(device)
    if not isinstance(name, (str, os.PathLike)):
        raise ValueError(f"name={shown(name)}: the name of a data set, or the path of an .npz file, is needed.")
    if root is not None and not isinstance(root, (str, os.PathLike)):
        raise ValueError(f"root={shown(root)}: the folder where data sets lie is needed.")
    root = data_root() if root is None else Path(root).expanduser()
    size = _checked_size(size)
    if str(name).lower().endswith(".npz"):
        found, own = known.of_file(name, root)
        data = _made(**found, name=own, size=size)
        data = replace(data, name=COPIES.get(data.fingerprint, own))
    else:
        data = _made(**known.arrays(str(name), root, size, download), name=str(name))
    return (data if channels is None else _with_channels(data, whole("channels", channels, 1))).to(device)


def from_arrays(x_train: ArrayLike, y_train: ArrayLike, x_test: ArrayLike, y_test: ArrayLike, name: str,
                classes: Sequence[str] | None = None, mean: Sequence[float] | None = None, std: Sequence[float] | None = None,
                size: int | None = None) -> Data:
    """Make a data set of your own arrays or tensors.

    Args:
        x_train, x_test: images, (N, H, W), (N, H, W, C) or (N, C, H, W) with C = 1 or 3 channels;
            uint8 grey levels in 0..255, or floats in 0..1.
        y_train, y_test: (N,) class numbers from 0, or names, which become classes in sorted order; or one-hot rows
            (N, classes).
        name: what tables and manifests call it; not the name of a known set, which this is not, and none that could lead out
            of a folder.
        classes: names of the classes, all different; by default their numbers.
        mean, std: a number for each channel; by default those of the training images.
        size: pixels to which pictures are resized, made square; by default they stay as they are.

    Raises ValueError for a wrong shape, pictures of several sizes, NaN or infinity, floats outside 0..1, labels out of range,
    fewer than two classes, two of one name, an empty class, too few images, or a name or setting that cannot be.
    """
    if not isinstance(name, str) or not 0 < len(name) <= 100 or name != name.strip() or not name.isprintable() \
            or name.startswith(".") or set(name) & set("/\\"):
        raise ValueError(f"name={shown(name)}: a name of up to 100 characters, without slashes or a dot in front, is needed: "
                         "files and folders are called after it.")
    if name.casefold() in known.NAMES:
        raise ValueError(f"name={name!r} is that of a known data set, which these arrays are not: give them another name, e.g. "
                         f"{f'my-{name}'!r}.")
    return _made(x_train, y_train, x_test, y_test, name, classes, mean, std, _checked_size(size))


def _made(x_train, y_train, x_test, y_test, name, classes=None, mean=None, std=None, size=None):
    """`from_arrays` for a name that is known already."""
    x_train, y_train, x_test, y_test = (arrays.tensor_of(array, which) for array, which in (
        (x_train, "x_train"), (y_train, "y_train"), (x_test, "x_test"), (y_test, "y_test")))
    if not all(isinstance(labels, torch.Tensor) for labels in (y_train, y_test)):
        y_train, y_test, classes = arrays.named_labels(y_train, y_test, classes)
    came = x_train, y_train, x_test, y_test
    x_train, x_test = arrays.images_of(x_train, "x_train"), arrays.images_of(x_test, "x_test")
    marks = fingerprint(*came)
    y_train, y_test = arrays.labels_of(y_train, "y_train"), arrays.labels_of(y_test, "y_test")
    if x_train.shape[1:] != x_test.shape[1:]:
        raise ValueError(f"{name}: training images are {tuple(x_train.shape[1:])}, test images {tuple(x_test.shape[1:])} "
                         "(channels, height, width): they must agree.")
    classes = _checked_classes(name, classes, (x_train, y_train, "train"), (x_test, y_test, "test"))
    if size is not None and (size, size) != tuple(x_train.shape[-2:]):
        x_train, x_test = (F.interpolate(x, size=(size, size), mode="bilinear", antialias=True) for x in (x_train, x_test))
    own_mean, own_std = _statistics(x_train, name) if mean is None or std is None else (mean, std)
    mean, std = normalisation(own_mean if mean is None else mean, own_std if std is None else std, x_train.shape[1])
    x_train, x_test = (normalise(x, mean, std) for x in (x_train, x_test))
    aside = min(5000, len(y_train) // 6)
    if min(aside, torch.bincount(y_train).min()) < 2 or aside < len(classes):
        raise ValueError(f"{name}: {len(y_train)} training images are too few to cut a validation part from: "
                         "at least two of each class and six times as many as classes are needed.")
    kept, chosen = (torch.from_numpy(part).sort().values for part in arrays.set_aside(y_train.numpy(), aside))
    return Data(name, Split("train", x_train[kept], y_train[kept], mean, std, classes),
                Split("validation", x_train[chosen], y_train[chosen], mean, std, classes),
                Split("test", x_test, y_test, mean, std, classes), classes, mean, std, marks)


def _checked_size(size):
    if isinstance(size, (tuple, list)):
        raise ValueError(f"size={shown(size)}: one number (pictures are made square), or None to leave them, is needed.")
    return None if size is None else whole("size", size, 1, 4096)


def _checked_classes(name, classes, *parts):
    """The names of the classes, by default their numbers. Raises ValueError where classes and labels do not fit."""
    for x, y, which in parts:
        if len(x) != len(y):
            raise ValueError(f"{name}: {len(x)} images in x_{which}, but {len(y)} labels in y_{which}.")
        if y.min() < 0:
            raise ValueError(f"{name}: labels in y_{which} run from {y.min()} to {y.max()}; they must lie in 0 or above, e.g. "
                             "classes, y = numpy.unique(labels, return_inverse=True).")
    y_train = parts[0][1]
    if classes is None:
        if y_train.max() >= len(y_train):  # before a name is made for each
            raise ValueError(f"{name}: labels in y_train run to {y_train.max()}, with only {len(y_train)} images: number the "
                             "classes without gaps from 0, e.g. classes, y = numpy.unique(labels, return_inverse=True).")
        classes = range(int(y_train.max()) + 1)
    elif isinstance(classes, str) or not hasattr(classes, "__iter__"):
        raise ValueError(f"{name}: classes={shown(classes)}: a name for each class is needed, e.g. ('cat', 'dog').")
    classes = tuple(map(str, classes))
    for _, y, which in parts:
        if y.max() >= len(classes):
            raise ValueError(f"{name}: labels in y_{which} run from {y.min()} to {y.max()}; "
                             f"with {len(classes)} classes they must lie in 0..{len(classes) - 1}.")
        present = set(y.unique().tolist())
        empty = [one for k, one in enumerate(classes) if k not in present]
        if empty:
            names = ", ".join(empty[:10] + ["..."] * (len(empty) > 10))
            raise ValueError(f"{name}: no image of class {names} in y_{which}. "
                             "Number the classes without gaps from 0, or add images.")
    if len(classes) < 2:
        raise ValueError(f"{name}: at least two classes are needed, and all labels are {y_train[0]}.")
    if twice := [one for one in classes if classes.count(one) > 1]:
        raise ValueError(f"{name}: {classes.count(twice[0])} classes are called {shown(twice[0])}: give each its own name.")
    return classes


def _statistics(images, name):
    """Mean and standard deviation of each channel: to six decimals, or six digits where they are very small."""
    low, high = images.amin((0, 2, 3)), images.amax((0, 2, 3))
    mean, std = images.mean((0, 2, 3)), images.std((0, 2, 3))
    if std.min() < 1e-3:  # squares of very dark levels vanish in float32
        mean, std = images.double().mean((0, 2, 3)), images.double().std((0, 2, 3))
    if (low == high).any() or (std < 1e-6 * high).any():
        raise ValueError(f"{name}: all pixels of a channel are the same, so it cannot be normalised.")
    return tuple(tuple(round(v, 6) if v >= 1e-3 else float(f"{v:.6g}") for v in each.tolist()) for each in (mean, std))


def normalisation(mean, std, channels):
    """Mean and standard deviation as tuples of plain floats, one for each channel.

    Raises ValueError for a number alone, another number of them, what is no finite number, or a deviation that is not positive.
    """
    numbers = []
    for what, given, bound in (("mean", mean, {}), ("std", std, {"above": 0})):
        given = given.tolist() if hasattr(given, "tolist") else given
        if not isinstance(given, (tuple, list)) or len(given) != channels:
            raise ValueError(f"{what}={shown(given)}: one number for each of {channels} channel(s) is needed, e.g. "
                             f"{what}={(0.5,) * channels}.")
        numbers.append(tuple(number(f"{what}[{k}]", one, **bound) for k, one in enumerate(given)))
    return tuple(numbers)


def need_data(data):
    """Raise ValueError, with the way out, for what is no `Data` where one is needed."""
    if not all(hasattr(data, name) for name in ("train", "validation", "test", "classes")):
        raise ValueError(f"A {type(data).__name__} was given where a whole data set is needed: ddlite.load('digits'), or "
                         "ddlite.from_arrays(...) for your own pictures.")


def need_split(split):
    """Raise ValueError, with the way out, for what is no `Split` where one is needed."""
    if not all(hasattr(split, name) for name in ("images", "labels", "mean", "std")):
        raise ValueError(f"A {type(split).__name__} was given where one part of a data set is needed, e.g. data.test.")


def normalise(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Grey levels in 0..1, (N, C, H, W), as the networks see them: (level - mean) / std for each channel."""
    images = torch.as_tensor(images)
    mean, std = (torch.tensor(numbers, dtype=torch.float32, device=images.device).view(-1, 1, 1) for numbers in (mean, std))
    return (images - mean) / std


def grey_levels(images: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """The inverse of `normalise`: 0 is the black and 1 the white of the data; learned images may leave that range."""
    mean, std = (torch.tensor(numbers, dtype=torch.float32, device=images.device).view(-1, 1, 1) for numbers in (mean, std))
    return images * std + mean


def data_root() -> Path:
    """The folder where data sets lie: the environment variable DDLITE_DATA, or `ddlite` in the user's cache folder."""
    if os.environ.get("DDLITE_DATA"):
        return Path(os.environ["DDLITE_DATA"]).expanduser()
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA", "~/AppData/Local")).expanduser() / "ddlite"
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "ddlite"


def check_device(device):
    """Raise ValueError, naming the way out, if ddlite cannot compute on this device here."""
    if str(device).startswith("mps"):
        raise ValueError("Apple's GPUs (MPS) are not supported: nothing here has been run on one. Use device='cpu'.")
    if device is None or str(device).startswith("meta"):
        raise ValueError(f"There is nothing to compute with on device {str(device)!r}: use device='cpu'.")
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError, TypeError) as cause:
        raise ValueError(f"There is no device {str(device)!r} here: use device='cpu'. PyTorch says: "
                         f"{str(cause).splitlines()[0]}") from cause


def _with_channels(data, channels):
    """The same data with one channel repeated, and its mean and std with it."""
    have = data.shape[0]
    if channels % have or (have, channels) not in ((1, 1), (1, 3), (3, 3)):
        raise ValueError(f"{data.name} has {have} channels, {channels} cannot be made of them: only 3 of 1.")
    times = channels // have

    def widened(split):
        return replace(split, images=split.images.repeat(1, times, 1, 1), mean=split.mean * times, std=split.std * times)

    return replace(data, train=widened(data.train), validation=widened(data.validation), test=widened(data.test),
                   mean=data.mean * times, std=data.std * times)
