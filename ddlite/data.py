"""What is distilled: torchvision's sets, the embedded digits, your own arrays, as normalised tensors on a device."""

import os
import tempfile
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch.nn import functional as F

from ddlite.machinery.arguments import number, shown
from ddlite.machinery.files import fingerprint
from ddlite.photographs import sets as photographs

DIGITS = tuple("0123456789")
MNIST_FILES = [f"raw/{part}-ubyte" for part in ("train-images-idx3", "train-labels-idx1",
                                                "t10k-images-idx3", "t10k-labels-idx1")]
CIFAR10_FILES = [*(f"data_batch_{number}" for number in range(1, 6)), "test_batch", "batches.meta"]


@dataclass(frozen=True)
class Known:
    """A set that torchvision can fetch: where its files lie under the data root, and how it is normalised."""

    dataset: str
    files: list
    mean: tuple
    std: tuple
    size: int
    splits: tuple = ({"train": True}, {"train": False})

    def open(self, root, download):
        """torchvision's training and test sets. Imported here: that takes seconds, and the digits do without."""
        from torchvision import datasets

        return [getattr(datasets, self.dataset)(root, download=download, **split) for split in self.splits]


# Means and standard deviations are the paper's (its code, for grey levels from 0 to 1), torchvision's for FashionMNIST.
KNOWN = {
    "mnist": Known("MNIST", [f"MNIST/{file}" for file in MNIST_FILES], (0.1307,), (0.3081,), 28),
    "fashion-mnist": Known("FashionMNIST", [f"FashionMNIST/{file}" for file in MNIST_FILES],
                           (0.2860,), (0.3530,), 28),
    "usps": Known("USPS", ["usps.bz2", "usps.t.bz2"], (0.159727,), (0.257267,), 28),
    "usps-mixed": Known("USPS", ["usps.bz2", "usps.t.bz2"], (0.159727,), (0.257267,), 28),
    "svhn": Known("SVHN", ["train_32x32.mat", "test_32x32.mat"], (0.43791, 0.44398, 0.47293),
                  (0.19803, 0.20102, 0.19704), 32, ({"split": "train"}, {"split": "test"})),
    "cifar10": Known("CIFAR10", [f"cifar-10-batches-py/{file}" for file in CIFAR10_FILES],
                     (0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261), 32),
}

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
    def shape(self):
        """(channels, height, width) of one image."""
        return tuple(self.train.images.shape[1:])

    def to(self, device):
        """The same data on another device. Raises ValueError if there is no such device."""
        def moved(split):
            return replace(split, images=split.images.to(device), labels=split.labels.to(device))

        check_device(device)
        return replace(self, train=moved(self.train), validation=moved(self.validation), test=moved(self.test))

    def __repr__(self):
        sizes = f"train={len(self.train)}, validation={len(self.validation)}, test={len(self.test)}"
        return f"Data({self.name!r}, shape={self.shape}, classes={len(self.classes)}, {sizes})"


def load(name, root=None, device="cpu", size=None, channels=None, download=True):
    """Open a data set.

    Args:
        name: "digits" (1,797 handwritten digits that come with scikit-learn, 8x8 grey pixels made 24x24; nothing is
            downloaded); "digits-shifted" (the same digits, slanted, on a cloudy ground: another domain); "mnist",
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
    root = data_root() if root is None else Path(root)
    if channels is not None:
        return _with_channels(load(name, root, device, size, download=download), channels)
    if name in ("digits", "digits-shifted"):
        return _digits(name, size or 24).to(device)
    if str(name).endswith(".npz"):
        return _npz(Path(name), root, size).to(device)
    if name in photographs.PHOTOGRAPHS:
        return _photographs(name, root, size or 224, download).to(device)
    if name not in KNOWN:
        known = ("digits", "digits-shifted", *KNOWN, *photographs.PHOTOGRAPHS)
        raise ValueError(f"There is no data set {name!r}. Known: {', '.join(map(repr, known))}, "
                         "or the path of your own .npz file.")
    known = KNOWN[name]
    # Not Path.exists, which raises where it may not look.
    missing = [root / file for file in known.files if not os.path.exists(root / file)]
    if missing and not download:
        raise FileNotFoundError(f"{name}: there is no {missing[0]}. Let it be downloaded (download=True), set DDLITE_DATA "
                                "to a folder that has it, or use 'digits', which needs no download.")
    if missing:
        _download(name, partial(known.open, download=True), root, missing[0])
    try:
        parts = known.open(root, download=False)
    except Exception as cause:  # whatever a damaged file makes the reader trip over
        raise ValueError(f"{name}: the files under {root} cannot be read ({cause}). Remove {known.files[0]} and its "
                         "neighbours there; they will be fetched again.") from cause
    (x_train, y_train), (x_test, y_test) = (_arrays(part) for part in parts)
    if name == "usps-mixed":
        # A frame of two pixels: with it, the mean and the standard deviation at 28 pixels are the paper's to 0.0004.
        images = np.pad(np.concatenate([x_train, x_test]), ((0, 0), (2, 2), (2, 2)))
        labels = np.concatenate([y_train, y_test])
        x_train, x_test, y_train, y_test = train_test_split(images, labels, test_size=0.2, stratify=labels, random_state=0)
    classes = DIGITS if name in ("mnist", "usps", "usps-mixed", "svhn") else tuple(parts[0].classes)
    return from_arrays(x_train, y_train, x_test, y_test, name=name, classes=classes,
                       mean=known.mean, std=known.std, size=size or known.size).to(device)


def from_arrays(x_train, y_train, x_test, y_test, name, classes=None, mean=None, std=None, size=None):
    """Make a data set of your own arrays or tensors.

    Args:
        x_train, x_test: images, (N, H, W), (N, H, W, C) or (N, C, H, W) with C = 1 or 3 channels;
            uint8 grey levels in 0..255, or floats in 0..1.
        y_train, y_test: class numbers from 0, (N,).
        name: what tables and manifests call it; not the name of a known set, which this is not.
        classes: names of the classes; by default their numbers.
        mean, std: a number for each channel; by default those of the training images.
        size: pixels to which pictures are resized; by default they stay as they are.

    Raises ValueError for a wrong shape, NaN or infinity, floats outside 0..1, labels out of range, an empty class,
    or too few images.
    """
    arrays = [torch.as_tensor(np.asarray(array)) for array in (x_train, y_train, x_test, y_test)]
    marks = fingerprint(*arrays)
    x_train, x_test = (_as_images(array, which) for array, which in zip(arrays[::2], ("x_train", "x_test")))
    y_train, y_test = (_as_labels(array, which) for array, which in zip(arrays[1::2], ("y_train", "y_test")))
    if x_train.shape[1:] != x_test.shape[1:]:
        raise ValueError(f"{name}: training images are {tuple(x_train.shape[1:])}, test images {tuple(x_test.shape[1:])} "
                         "(channels, height, width): they must agree.")
    classes = tuple(map(str, range(int(y_train.max()) + 1))) if classes is None else tuple(map(str, classes))
    for x, y, which in ((x_train, y_train, "train"), (x_test, y_test, "test")):
        if len(x) != len(y):
            raise ValueError(f"{name}: {len(x)} images in x_{which}, but {len(y)} labels in y_{which}.")
        if y.min() < 0 or y.max() >= len(classes):
            raise ValueError(f"{name}: labels in y_{which} run from {y.min()} to {y.max()}; "
                             f"with {len(classes)} classes they must lie in 0..{len(classes) - 1}.")
        empty = [classes[k] for k in range(len(classes)) if not (y == k).any()]
        if empty:
            raise ValueError(f"{name}: no image of class {', '.join(empty)} in y_{which}. "
                             "Number the classes without gaps from 0, or add images.")
    if size is not None and (size, size) != tuple(x_train.shape[-2:]):
        x_train, x_test = (F.interpolate(x, size=(size, size), mode="bilinear", antialias=True) for x in (x_train, x_test))
    mean, std = (tuple(round(float(v), 6) for v in statistic(x_train, dim=(0, 2, 3))) if given is None
                 else tuple(float(v) for v in given) for given, statistic in ((mean, torch.mean), (std, torch.std)))
    if not len(mean) == len(std) == x_train.shape[1] or not np.isfinite([*mean, *std]).all():
        raise ValueError(f"{name}: mean {mean} and std {std} must be finite, one number for each of {x_train.shape[1]} "
                         "channel(s).")
    if min(std) <= 0:
        raise ValueError(f"{name}: all pixels of a channel are the same, so it cannot be normalised.")
    x_train, x_test = (normalise(x, mean, std) for x in (x_train, x_test))
    aside = min(5000, len(y_train) // 6)
    if min(aside, torch.bincount(y_train).min()) < 2 or aside < len(classes):
        raise ValueError(f"{name}: {len(y_train)} training images are too few to cut a validation part from: "
                         "at least two of each class and six times as many as classes are needed.")
    kept, chosen = train_test_split(np.arange(len(y_train)), test_size=aside, stratify=y_train.numpy(), random_state=0)
    kept, chosen = torch.from_numpy(np.sort(kept)), torch.from_numpy(np.sort(chosen))
    return Data(name, Split("train", x_train[kept], y_train[kept], mean, std, classes),
                Split("validation", x_train[chosen], y_train[chosen], mean, std, classes),
                Split("test", x_test, y_test, mean, std, classes), classes, mean, std, marks)


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
    if not all(hasattr(data, name) for name in ("train", "validation", "test", "classes", "shape")):
        raise ValueError(f"A {type(data).__name__} was given where a whole data set is needed: ddlite.load('digits'), or "
                         "ddlite.from_arrays(...) for your own pictures.")


def normalise(images, mean, std):
    """Grey levels in 0..1, (N, C, H, W), as the networks see them: (level - mean) / std for each channel."""
    mean, std = (torch.tensor(numbers, device=images.device).view(-1, 1, 1) for numbers in (mean, std))
    return (images - mean) / std


def grey_levels(images, mean, std):
    """The inverse of `normalise`: 0 is the black and 1 the white of the data; learned images may leave that range."""
    mean, std = (torch.tensor(numbers, device=images.device).view(-1, 1, 1) for numbers in (mean, std))
    return images * std + mean


def data_root():
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
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as cause:
        raise ValueError(f"There is no device {str(device)!r} here: use device='cpu'. PyTorch says: "
                         f"{str(cause).splitlines()[0]}") from cause


def _digits(name, size):
    bunch = load_digits()
    train, test = train_test_split(np.arange(len(bunch.target)), test_size=400, stratify=bunch.target, random_state=0)
    train, test = np.sort(train), np.sort(test)
    images = torch.from_numpy(bunch.images / 16).float()[:, None]  # 17 grey levels, 0 to 16
    if name == "digits-shifted":
        images = _shifted(F.interpolate(images, size=(size, size), mode="bilinear", antialias=True))
    return from_arrays(images[train], bunch.target[train], images[test], bunch.target[test],
                       name=name, classes=DIGITS, size=size)


def _shifted(images, seed=0):
    """Slanted, and paler on a cloudy ground that is another one in each picture: another domain of the same shape."""
    slant = torch.tensor([[1, 0.7, 0], [0, 1, 0]]).expand(len(images), 2, 3)
    slanted = F.grid_sample(images, F.affine_grid(slant, images.shape, align_corners=False), align_corners=False)
    clouds = torch.rand(len(images), 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    return 0.7 * slanted + 0.3 * F.interpolate(clouds, size=images.shape[-2:], mode="bilinear")


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


def _npz(path, root, size):
    if not path.is_file() and not (root / path).is_file():
        raise FileNotFoundError(f"There is no file {path}, here or under the data root {root}.")
    path = path if path.is_file() else root / path
    keys = ("x_train", "y_train", "x_test", "y_test")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in keys if key in file}
    except Exception as cause:  # a damaged zip raises many things
        raise ValueError(f"{path} cannot be read as an .npz file ({cause}).") from cause
    if len(arrays) < 4:
        raise ValueError(f"{path} holds no {', '.join(key for key in keys if key not in arrays)}: save it with "
                         "numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...).")
    name = COPIES.get(fingerprint(*(torch.as_tensor(arrays[key]) for key in keys)), path.stem)
    if name in KNOWN or name == "digits":
        name = f"{name}-npz"
    return from_arrays(**arrays, name=name, size=size)


def _photographs(name, root, size, download):
    mean, std, folder = photographs.PHOTOGRAPHS[name]
    if not os.path.isdir(root / folder):
        if name == "cub200" or not download:
            raise FileNotFoundError(f"{name}: there is no folder {root / folder}. Unpack it there, or set DDLITE_DATA to the "
                                    "folder above it.")
        _download(name, photographs.fetch_voc2007, root, f"folder {root / folder}")
    try:
        (x_train, y_train), (x_test, y_test), classes = getattr(photographs, name)(root, size)
    except (OSError, RuntimeError, IndexError, KeyError) as cause:
        raise ValueError(f"{name}: the files under {root / folder} cannot be read ({cause}): unpack or download them "
                         "again.") from cause
    return from_arrays(x_train, y_train, x_test, y_test, name=name, classes=classes, mean=mean, std=std)


def _arrays(part):
    images = part.data
    labels = part.targets if hasattr(part, "targets") else part.labels
    return images, labels


def _as_images(array, which):
    if array.dim() == 3:
        array = array.unsqueeze(1)
    elif array.dim() == 4 and array.shape[1] not in (1, 3) and array.shape[3] in (1, 3):
        array = array.permute(0, 3, 1, 2)
    if array.dim() != 4 or array.shape[1] not in (1, 3) or array.numel() == 0:
        raise ValueError(f"{which} has shape {tuple(array.shape)}: expected (N, H, W), (N, H, W, C) or (N, C, H, W) "
                         "with 1 or 3 channels and at least one image.")
    if array.dtype == torch.uint8:
        return array.float().div_(255).contiguous()
    if not array.is_floating_point():
        raise ValueError(f"{which} has type {array.dtype}: expected uint8 grey levels in 0..255 or floats in 0..1.")
    array = array.float().contiguous()
    if not torch.isfinite(array).all():
        bad = int((~torch.isfinite(array)).flatten(1).any(1).sum())
        raise ValueError(f"{which}: {bad} images hold NaN or infinity. Remove or repair them.")
    if array.min() < 0 or array.max() > 1:
        raise ValueError(f"{which} runs from {array.min():.3g} to {array.max():.3g}: floats must be grey levels in 0..1, "
                         "not yet normalised (divide by 255?).")
    return array


def _as_labels(array, which):
    if array.dim() == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.dim() != 1 or array.is_floating_point() or array.dtype == torch.bool:
        raise ValueError(f"{which} has shape {tuple(array.shape)} and type {array.dtype}: "
                         "expected one integer class number for each image.")
    return array.long().clone()  # the caller may change his own


def _download(name, fetch, root, missing):
    """Fetch into a folder of its own and move what came when it is whole: an interrupted download leaves nothing."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        staging = tempfile.TemporaryDirectory(dir=root, prefix=f".{name}-")
    except OSError as cause:
        raise OSError(cause.errno, f"{name}: the data root {root} cannot be written to ({cause.strerror}): set DDLITE_DATA "
                                   "to a folder of yours, or use 'digits', which needs no download") from cause
    with staging as folder:
        try:
            fetch(folder)
        except OSError as cause:
            if cause.errno is not None and not isinstance(cause, ConnectionError) and not hasattr(cause, "reason"):
                raise OSError(cause.errno, f"{name}: writing under {root} failed ({cause.strerror}): make room or set "
                                           "DDLITE_DATA to another folder; nothing half-written was left") from cause
            raise _not_fetched(name, missing, cause) from cause
        except RuntimeError as cause:
            raise _not_fetched(name, missing, cause) from cause
        for file in Path(folder).rglob("*"):
            if file.is_file():
                target = root / file.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                file.replace(target)


def _not_fetched(name, missing, cause):
    return ConnectionError(f"{name}: there is no {missing}, and it could not be downloaded ({cause}). Connect to the "
                           "internet and try again (nothing half-written was left), set DDLITE_DATA to a folder that "
                           "has it, or use 'digits', which needs no download.")
