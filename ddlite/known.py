"""The data sets that have a name: torchvision's, the digits that come with scikit-learn, photographs; and .npz files."""

import os
import tempfile
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch
from torch.nn import functional as F

from ddlite import patterns
from ddlite.machinery.arrays import set_aside
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

NAMES = ("digits", "digits-shifted", "textures", *KNOWN, *photographs.PHOTOGRAPHS)


def arrays(name, root, size, download):
    """What `from_arrays` wants to be told of a data set, as keywords; see `ddlite.load`, which says what is raised."""
    if name in ("digits", "digits-shifted"):
        return _digits(name, 24 if size is None else size)
    if name == "textures":
        keys = ("x_train", "y_train", "x_test", "y_test")
        return {**dict(zip(keys, patterns.textures(24 if size is None else size))), "classes": tuple(patterns.KINDS)}
    if name in photographs.PHOTOGRAPHS:
        return _photographs(name, root, 224 if size is None else size, download)
    if name in KNOWN:
        return _torchvision(name, root, size, download)
    raise ValueError(f"There is no data set {name!r}. Known: {', '.join(map(repr, NAMES))}, "
                     "or the path of your own .npz file.")


def of_file(path, root):
    """The arrays of an .npz file, looked for here and then under the data root, and the name of its data."""
    path = Path(path).expanduser()
    # Not Path.is_file, which raises where it may not look.
    places = [place for place in (path, root / path) if os.path.isfile(place)]
    if not places:
        raise FileNotFoundError(f"There is no file {path}, here or under the data root {root}.")
    keys = ("x_train", "y_train", "x_test", "y_test")
    try:
        with np.load(places[0], allow_pickle=False) as file:
            found, there = {key: file[key] for key in keys if key in file}, file.files
    except Exception as cause:  # a damaged zip raises many things
        raise ValueError(f"{places[0]} cannot be read as an .npz file ({cause}).") from cause
    if len(found) < 4:
        raise ValueError(f"{places[0]} holds no {', '.join(key for key in keys if key not in found)} (but {', '.join(there)}): "
                         "save it with numpy.savez(path, x_train=..., y_train=..., x_test=..., y_test=...).")
    return found, f"{path.stem}-npz" if path.stem.casefold() in NAMES else path.stem


def _torchvision(name, root, size, download):
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
    (x_train, y_train), (x_test, y_test) = (
        (part.data, part.targets if hasattr(part, "targets") else part.labels) for part in parts)
    if name == "usps-mixed":
        # A frame of two pixels: with it, the mean and the standard deviation at 28 pixels are the paper's to 0.0004.
        images = np.pad(np.concatenate([x_train, x_test]), ((0, 0), (2, 2), (2, 2)))
        labels = np.concatenate([y_train, y_test])
        train, test = set_aside(labels, -(-len(labels) // 5))
        x_train, x_test, y_train, y_test = images[train], images[test], labels[train], labels[test]
    classes = DIGITS if name in ("mnist", "usps", "usps-mixed", "svhn") else tuple(parts[0].classes)
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test, "classes": classes,
            "mean": known.mean, "std": known.std, "size": known.size if size is None else size}


def _digits(name, size):
    images, labels = digits()
    train, test = map(np.sort, set_aside(labels, 400))
    images = torch.from_numpy(images / 16).float()[:, None]  # 17 grey levels, 0 to 16
    if name == "digits-shifted":
        images = _shifted(F.interpolate(images, size=(size, size), mode="bilinear", antialias=True))
    return {"x_train": images[train], "y_train": labels[train], "x_test": images[test], "y_test": labels[test],
            "classes": DIGITS, "size": size}


def digits():
    """The images (1797, 8, 8), 0..16, and labels of `sklearn.datasets.load_digits`, without its seconds of imports."""
    package = find_spec("sklearn")  # finds it, and does not import it
    path = package and Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz"
    if not path or not path.is_file():
        raise FileNotFoundError(f"The digits come with scikit-learn, and there is no {path or 'scikit-learn'} here: install "
                                "it again, pip install --force-reinstall scikit-learn.")
    table = np.loadtxt(path, delimiter=",")
    return table[:, :-1].reshape(-1, 8, 8), table[:, -1].astype(int)


def _shifted(images, seed=0):
    """Slanted, and paler on a cloudy ground that is another one in each picture: another domain of the same shape."""
    slant = torch.tensor([[1, 0.7, 0], [0, 1, 0]]).expand(len(images), 2, 3)
    slanted = F.grid_sample(images, F.affine_grid(slant, images.shape, align_corners=False), align_corners=False)
    clouds = torch.rand(len(images), 1, 6, 6, generator=torch.Generator().manual_seed(seed))
    return 0.7 * slanted + 0.3 * F.interpolate(clouds, size=images.shape[-2:], mode="bilinear")


def _photographs(name, root, size, download):
    mean, std, folder = photographs.PHOTOGRAPHS[name]
    if not os.path.isdir(root / folder):
        if name == "cub200" or not download:
            raise FileNotFoundError(f"{name}: there is no folder {root / folder}. Unpack it there, or set DDLITE_DATA to the "
                                    "folder above it.")
        _download(name, photographs.fetch_voc2007, root, f"folder {root / folder}")
    try:
        (x_train, y_train), (x_test, y_test), classes = getattr(photographs, name)(root, size)
    except (OSError, RuntimeError, IndexError, KeyError, ValueError) as cause:
        raise ValueError(f"{name}: the files under {root / folder} cannot be read ({cause}): unpack or download them "
                         "again.") from cause
    return {"x_train": x_train, "y_train": y_train, "x_test": x_test, "y_test": y_test, "classes": classes,
            "mean": mean, "std": std}


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
