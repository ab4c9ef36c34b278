"""Data sets: what they hold, how they are cut, and what is refused."""

import errno
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import made_up

import ddlite as dd
from ddlite import data as data_module


def test_digits_have_one_fixed_stratified_split(digits):
    again = dd.load("digits")
    assert [len(s) for s in (digits.train, digits.validation, digits.test)] == [1165, 232, 400]
    assert torch.equal(digits.test.images, again.test.images) and digits.fingerprint == again.fingerprint
    for split in (digits.train, digits.validation, digits.test):
        share = torch.bincount(split.labels).float() / len(split)
        assert share.min() > 0.085 and share.max() < 0.115
    assert digits.train.images.mean().abs() < 0.05 and digits.train.images.std().sub(1).abs() < 0.05


def test_no_image_is_in_two_parts(digits):
    rows = torch.cat([s.images for s in (digits.train, digits.validation)]).flatten(1)
    assert len(rows.unique(dim=0)) == len(rows)


def test_normalisation_is_undone(digits):
    levels = data_module.grey_levels(digits.test.images, digits.mean, digits.std)
    assert levels.min() >= -1e-5 and levels.max() <= 1 + 1e-5
    torch.testing.assert_close(data_module.normalise(levels, digits.mean, digits.std), digits.test.images)


def test_npz_of_grey_and_of_colour(npz):
    grey, colour = dd.load(npz()), dd.load(npz(shape=(32, 32, 3), name="colours"))
    assert grey.shape == (1, 28, 28) and grey.name == "mine" and len(colour.std) == 3 and colour.shape == (3, 32, 32)
    assert len(grey.validation) == 20 and len(grey.train) == 100


def test_npz_is_found_under_the_data_root(npz):
    path = npz()
    assert dd.load("mine.npz", root=path.parent).fingerprint == dd.load(path).fingerprint


def test_npz_never_takes_the_name_of_a_known_set(npz):
    assert dd.load(npz(name="cifar10", shape=(32, 32, 3))).name == "cifar10-npz"


def test_tensors_of_your_own():
    data = made_up((3, 16, 16), classes=4, n=80)
    assert data.shape == (3, 16, 16) and data.classes == ("0", "1", "2", "3") and data.train.images.dtype == torch.float32
    assert made_up(classes=3, n=60, size=20).shape == (1, 20, 20)


def test_your_own_labels_and_names_are_copied():
    """Whoever poisons his labels afterwards does not change the test set; names that numpy made can be written to a file."""
    images, labels = np.random.default_rng(0).random((60, 8, 8), dtype=np.float32), np.arange(60) % 3
    data = dd.from_arrays(images, labels, images[:30], labels[:30], name="mine", classes=np.unique(labels))
    labels[:] = 0
    assert data.test.labels.tolist() == [0, 1, 2] * 10
    assert data.classes == ("0", "1", "2") and json.dumps(data.classes)


def test_normalisation_of_your_own():
    mine = made_up(mean=torch.tensor([0.5]), std=np.array([0.2], dtype=np.float32))
    assert mine.mean == (0.5,) and json.dumps([mine.mean, mine.std])  # plain numbers: they are written to files
    with pytest.raises(ValueError, match="one number for each of 1 channel"):
        made_up(mean=(0.5, 0.5, 0.5), std=(0.2, 0.2, 0.2))
    with pytest.raises(ValueError, match="finite"):
        made_up(mean=(float("nan"),), std=(0.2,))


def test_fingerprint_sees_one_pixel():
    images, labels = np.zeros((60, 8, 8), np.uint8), np.arange(60) % 3
    images[:30] = 255
    changed = images.copy()
    changed[7, 3, 3] = 254
    a, b = (dd.from_arrays(x, labels, x, labels, name="x").fingerprint for x in (images, changed))
    assert a != b


def good():
    random = np.random.default_rng(0)
    x, y = random.random((60, 8, 8)).astype(np.float32), np.arange(60) % 3
    return {"x_train": x, "y_train": y, "x_test": x.copy(), "y_test": y.copy(), "name": "mine"}


@pytest.mark.parametrize("change, words", [
    ({"x_train": np.zeros((60, 8), np.float32)}, "x_train has shape"),
    ({"x_train": np.zeros((60, 8, 8, 5), np.float32)}, "1 or 3 channels"),
    ({"x_test": np.zeros((60, 9, 9), np.float32)}, "must agree"),
    ({"x_train": np.full((60, 8, 8), np.nan, np.float32)}, "60 images hold NaN"),
    ({"x_train": np.full((60, 8, 8), 7.0, np.float32)}, "divide by 255"),
    ({"x_train": np.zeros((60, 8, 8), np.int32)}, "expected uint8"),
    ({"x_train": np.zeros((60, 8, 8), np.float32)}, "cannot be normalised"),
    ({"y_train": np.arange(59) % 3}, "60 images in x_train, but 59 labels"),
    ({"y_train": np.arange(60) % 3 * 2}, "no image of class 1, 3 in y_train"),
    ({"y_test": np.arange(60) % 3 + 1}, "they must lie in 0..2"),
    ({"y_train": np.arange(60) % 3 - 1}, "must lie in"),
    ({"y_test": np.zeros(60, int)}, "no image of class 1, 2 in y_test"),
    ({"y_train": (np.arange(60) % 3).astype(float)}, "one integer class number"),
    ({"x_train": np.random.default_rng(0).random((6, 8, 8)).astype(np.float32), "y_train": np.arange(6) % 3}, "too few"),
])
def test_broken_arrays_are_refused(change, words):
    dd.from_arrays(**good())
    with pytest.raises(ValueError, match=words):
        dd.from_arrays(**{**good(), **change})


def test_broken_npz_is_refused(npz, tmp_path):
    path = npz()
    path.write_bytes(path.read_bytes()[:5000])
    with pytest.raises(ValueError, match="cannot be read as an .npz"):
        dd.load(path)
    np.savez(tmp_path / "half.npz", x_train=np.zeros((5, 8, 8)))
    with pytest.raises(ValueError, match="holds no y_train"):
        dd.load(tmp_path / "half.npz")
    with pytest.raises(FileNotFoundError, match=r"no file nowhere\.npz"):
        dd.load("nowhere.npz")


def test_a_pickle_in_an_npz_is_not_opened(npz):
    with pytest.raises(ValueError, match="cannot be read"):
        dd.load(npz(y_train=np.array([{}] * 120, dtype=object)))


def test_unknown_names_and_devices():
    with pytest.raises(ValueError, match="Known: 'digits', 'digits-shifted', 'mnist'"):
        dd.load("mnits")
    with pytest.raises(ValueError, match="use device='cpu'"):
        dd.load("digits", device="cuda:77")
    with pytest.raises(ValueError, match="MPS"):
        dd.load("digits", device="mps")


@pytest.mark.parametrize("name, shape, labels", [("fashion-mnist", (120, 28, 28), "targets"),
                                                 ("cifar10", (120, 32, 32, 3), "targets"),
                                                 ("svhn", (120, 3, 32, 32), "labels")])
def test_what_torchvision_yields_is_understood(name, shape, labels, tmp_path, monkeypatch):
    """Each set keeps its pixels and labels in an array of its own shape; here stand-ins of the same form."""
    random = np.random.default_rng(0)

    def stand_in():
        targets = np.arange(120) % 10
        return SimpleNamespace(data=random.integers(0, 256, shape, dtype=np.uint8), classes=[f"class {k}" for k in range(10)],
                               **{labels: targets.tolist() if name == "cifar10" else targets})

    known = data_module.KNOWN[name]
    for file in known.files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    monkeypatch.setattr(data_module.Known, "open", lambda self, root, download: [stand_in(), stand_in()])
    data = dd.load(name, root=tmp_path)
    assert data.shape == (len(known.mean), known.size, known.size) and data.name == name and data.mean == known.mean
    assert data.classes == (tuple("0123456789") if name in ("svhn", "usps-mixed") else tuple(f"class {k}" for k in range(10)))


def test_absent_set_without_a_network(tmp_path, monkeypatch):
    def unreachable(self, root, download):
        (tmp_path / "partial").write_text("half a file")
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr(data_module.Known, "open", unreachable)
    with pytest.raises(ConnectionError, match=r"no .*MNIST.raw.train.*could not be downloaded.*'digits'"):
        dd.load("mnist", root=tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []
    with pytest.raises(FileNotFoundError, match="DDLITE_DATA"):
        dd.load("mnist", root=tmp_path / "root", download=False)


def test_a_set_with_one_file_lost_is_made_whole(tmp_path, monkeypatch):
    """What is fetched again lies beside what was left, and replaces it."""
    def fetch(self, root, download):
        assert download or (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").is_file()
        for file in data_module.MNIST_FILES if download else []:
            path = Path(root) / "MNIST" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("fresh")
        pixels = np.random.default_rng(0).integers(0, 256, (120, 28, 28), dtype=np.uint8)
        return [SimpleNamespace(data=pixels, targets=np.arange(120) % 10)] * 2

    (tmp_path / "MNIST/raw").mkdir(parents=True)
    (tmp_path / "MNIST/raw/train-images-idx3-ubyte").write_text("old")
    monkeypatch.setattr(data_module.Known, "open", fetch)
    assert dd.load("mnist", root=tmp_path).name == "mnist"
    assert {(tmp_path / "MNIST" / file).read_text() for file in data_module.MNIST_FILES} == {"fresh"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["MNIST"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_interrupted_download_leaves_nothing(tmp_path, monkeypatch, error):
    def broken(self, root, download):
        with open(f"{root}/half", "w") as file:
            file.write("half a file")
        raise error

    monkeypatch.setattr(data_module.Known, "open", broken)
    with pytest.raises(type(error)) as caught:
        dd.load("mnist", root=tmp_path)
    assert list(tmp_path.iterdir()) == []
    if isinstance(error, OSError):
        assert "make room" in str(caught.value)


def test_data_root_that_cannot_be_written_to(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match="cannot be written to.*DDLITE_DATA"):
        dd.load("mnist", root=tmp_path / "file" / "root")


@pytest.mark.parametrize("name, shape, sizes", [("mnist", (1, 28, 28), (55000, 5000, 10000)),
                                               ("usps", (1, 28, 28), (6076, 1215, 2007)),
                                               ("usps-mixed", (1, 28, 28), (6199, 1239, 1860))])
def test_real_data(real_root, name, shape, sizes):
    data = dd.load(name, root=real_root, download=False)
    assert data.shape == shape and tuple(len(s) for s in (data.train, data.validation, data.test)) == sizes
    if name != "usps":  # stretched to 28 pixels, with the paper's mean and standard deviation of framed pictures
        assert abs(float(data.train.images.mean())) < 0.01 and abs(float(data.train.images.std()) - 1) < 0.01
    if name == "usps-mixed":  # what notebook 03 says of its frame
        images = torch.cat([part.images for part in (data.train, data.validation, data.test)])
        levels = dd.data.grey_levels(images, data.mean, data.std)
        assert abs(float(levels.mean()) - 0.159727) < 0.0004 and abs(float(levels.std()) - 0.257267) < 0.0004


def test_the_jpeg_copy_of_cifar10_is_called_so(real_root):
    data = dd.load("cifar10.npz", root=real_root)
    assert data.name == "cifar10-jpeg" and data.shape == (3, 32, 32) and len(data.test) == 10_000


def test_a_truncated_real_file_is_named(tmp_path):
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in data_module.MNIST_FILES:
        (tmp_path / "MNIST" / file).write_bytes(b"\0\0\10\3")
    with pytest.raises(ValueError, match="mnist: the files under .* cannot be read"):
        dd.load("mnist", root=tmp_path)
