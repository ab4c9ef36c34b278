"""Data sets: what they hold, how they are cut, and what is refused."""

import errno
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import made_up

import ddlite as dd
from ddlite import data as data_module
from ddlite import known
from ddlite.machinery.arrays import set_aside


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
    ({"y_train": np.arange(60) % 3 + 0.5}, "one integer class number"),
    ({"x_train": np.random.default_rng(0).random((6, 8, 8)).astype(np.float32), "y_train": np.arange(6) % 3}, "too few"),
])
def test_broken_arrays_are_refused(change, words):
    dd.from_arrays(**good())
    with pytest.raises(ValueError, match=words):
        dd.from_arrays(**{**good(), **change})


@pytest.mark.parametrize("change, words", [
    ({"y_train": np.zeros(60, int), "y_test": np.zeros(60, int)}, "at least two classes are needed, and all labels are 0"),
    ({"classes": ("cat", "dog", "cat")}, "2 classes are called 'cat'"), ({"classes": "abc"}, "a name for each class"),
    ({"classes": 3}, "a name for each class"), ({"y_train": np.arange(60) % 3 + 2**62}, "run to 46116.* with only 60 images"),
    ({"y_train": (np.arange(60) % 3).astype(np.uint64) + np.uint64(2**63)}, "must lie in"),
    ({"y_train": np.full((60, 3), 1 / 3)}, "or a one-hot row"),
    ({"y_train": np.arange(60)[None] % 3}, "one integer class number"),
    ({"y_train": np.full(60, np.nan)}, "one integer class number"), ({"y_train": None}, "y_train holds object, no numbers"),
    ({"y_train": np.array([{}] * 60)}, "no numbers"), ({"y_train": np.arange(60) % 3 + 0j}, "holds complex128"),
    ({"y_train": np.array(["a", "b", "c"] * 20)}, "y_train holds names and y_test numbers.*numpy.unique"),
    ({"y_test": np.array(["a", "b", "c"] * 20)}, "y_test holds names and y_train numbers"),
    ({"x_train": [np.zeros((8, 8 + k % 2)) for k in range(60)]}, "x_train holds pictures of several sizes .*bring them to one"),
    ({"x_train": [torch.zeros(8, 8 + k % 2) for k in range(60)]}, "x_train holds pictures of several sizes"),
    ({"x_train": [[[0.1] * 8] * (8 + k % 2) for k in range(60)]}, "x_train holds rows of several lengths"),
    ({"x_train": np.array(["cat.png"] * 60)}, "x_train holds text"), ({"x_train": "cat.png"}, "x_train holds text"),
    ({"x_train": np.array([None] * 60)}, "no numbers"), ({"x_train": np.zeros((60, 8, 8), np.uint16)}, "for 16 bits"),
    ({"x_train": np.ma.masked_less(np.random.default_rng(0).random((60, 8, 8)), 0.1)}, "x_train is a masked array"),
    ({"x_train": np.full((60, 8, 8), 0.1)}, "all pixels of a channel are the same"),
    ({"size": 0}, "size=0: a whole number, from 1"), ({"size": "8"}, "size='8'"), ({"size": -8}, "size=-8"),
    ({"size": (20, 30)}, "pictures are made square"), ({"size": 1.5}, "size=1.5"), ({"size": 10**6}, "from 1 to 4,096"),
    ({"mean": "x"}, "mean='x': one number for each of 1 channel"), ({"mean": 0.5}, "mean=0.5: one number for each"),
    ({"std": (0,)}, r"std\[0\]=0: .*more than 0"), ({"std": (-1.0,)}, "more than 0"), ({"mean": ("x",)}, r"mean\[0\]='x'"),
    ({"name": None}, "name=None"), ({"name": ""}, "name=''"), ({"name": 5}, "name=5"), ({"name": "x" * 300}, "up to 100"),
    ({"name": "../mine"}, "without slashes"), ({"name": "a/b"}, "without slashes"), ({"name": ".."}, "a dot in front"),
    ({"name": "a\\b"}, "without slashes"), ({"name": "a\nb"}, "name="), ({"name": "digits"}, "that of a known data set"),
    ({"name": "MNIST"}, "that of a known data set.*'my-MNIST'"), ({"name": "usps "}, "name='usps '"),
])
def test_what_cannot_be_judged_or_named_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        dd.from_arrays(**{**good(), **change})


PETS = np.array(["cat", "dog", "face"])


@pytest.mark.parametrize("kind", [
    *(np.dtype(kind).type for kind in ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "f2", "f4", "f8")),
    *(lambda y, kind=kind: y.astype(kind) for kind in (">i4", ">f8", ">u2", object)), list, torch.tensor, lambda y: y[:, None],
    lambda y: np.eye(3)[y], lambda y: np.eye(3, dtype=bool)[y], lambda y: torch.eye(3)[y], lambda y: PETS[y],
    lambda y: PETS[y].tolist(), lambda y: PETS[y].astype(object), lambda y: PETS[y].astype("S"), lambda y: PETS[y][:, None]])
def test_labels_of_every_kind_are_the_same_classes(kind):
    plain = dd.from_arrays(**good())
    data = dd.from_arrays(**{**good(), "y_train": kind(good()["y_train"]), "y_test": kind(good()["y_test"])})
    assert torch.equal(data.train.labels, plain.train.labels) and torch.equal(data.test.labels, plain.test.labels)
    assert torch.equal(data.train.images, plain.train.images) and data.classes in (("0", "1", "2"), tuple(PETS))
    assert data.train.labels.dtype == torch.int64 and data.train.classes == data.classes


def test_names_keep_the_order_that_is_given():
    named = {**good(), "y_train": PETS[good()["y_train"]], "y_test": PETS[good()["y_test"]]}
    data = dd.from_arrays(**named, classes=("face", "dog", "cat"))
    assert data.classes == ("face", "dog", "cat") and data.test.labels[:3].tolist() == [2, 1, 0]
    with pytest.raises(ValueError, match="y_train holds 'dog', which is none of the classes"):
        dd.from_arrays(**named, classes=("face", "cat"))
    with pytest.raises(ValueError, match="y_test holds 'cow', which is none of the classes .* of y_train"):
        dd.from_arrays(**{**named, "y_test": np.array(["cow"] * 60)})


@pytest.mark.parametrize("kind", [
    lambda x: x.astype(">f4"), lambda x: x.astype(np.float64), lambda x: x.astype(np.longdouble), torch.tensor, list,
    lambda x: torch.tensor(x, requires_grad=True), lambda x: [torch.tensor(one, requires_grad=True) for one in x],
    lambda x: x[:, ::-1][:, ::-1], np.asfortranarray, lambda x: np.broadcast_to(x, x.shape), lambda x: x.tolist(),
    lambda x: x.astype(object), lambda x: torch.tensor(x)[:, None].to(memory_format=torch.channels_last), np.ma.array,
    lambda x: x.astype(np.float16), lambda x: torch.tensor(x).bfloat16()])
def test_images_of_every_kind_are_the_same_pictures(kind):
    plain = dd.from_arrays(**good())
    data = dd.from_arrays(**{**good(), "x_train": kind(good()["x_train"]), "x_test": kind(good()["x_test"])})
    torch.testing.assert_close(data.train.images, plain.train.images, atol=0.02, rtol=0.01)
    assert data.train.images.dtype == torch.float32 and not data.train.images.requires_grad


@pytest.mark.parametrize("brightest", [1, 1 / 255, 2e-6, 1e-6, 1e-12, 1e-25])
def test_dark_pictures_are_normalised_like_bright_ones(brightest):
    images = good()["x_train"].astype(np.float64) * brightest
    data = dd.from_arrays(**{**good(), "x_train": images, "x_test": images})
    assert abs(float(data.test.images.mean())) < 1e-3 and abs(float(data.test.images.std()) - 1) < 1e-3
    other = replace(data.test, mean=(data.mean[0] + data.std[0] / 10,))
    with pytest.raises(ValueError, match="normalised with mean"):
        dd.DistilledSet.noise(data).check_split(other)


def test_a_rare_class_is_in_every_part():
    """A hundred of one class and two of another: in proportion, the validation part had none of the second."""
    labels = np.array([0, 1, 2] * 2 + [0] * 900)
    images = np.random.default_rng(0).random((906, 8, 8))
    data = dd.from_arrays(images, labels, images, labels, name="rare")
    for split in (data.train, data.validation, data.test):
        assert torch.bincount(split.labels, minlength=3).min() >= 1
    assert len(data.train) + len(data.validation) == 906


def test_two_hundred_classes():
    labels, images = np.arange(2400) % 200, np.random.default_rng(0).random((2400, 12, 10))
    names = [f"species {k:03}" for k in range(200)]
    data = dd.from_arrays(images, labels, images[:400], labels[:400], name="many", classes=names)
    assert data.shape == (1, 12, 10) and torch.bincount(data.validation.labels).min() >= 1


def test_the_part_set_aside_is_scikit_learns():
    from sklearn.model_selection import train_test_split

    random = np.random.default_rng(0)
    for classes in (2, 3, 10, 30):
        labels = random.permutation(np.concatenate([np.repeat(np.arange(classes), 12), random.integers(0, classes, 997)]))
        for number in (2 * classes, len(labels) // 6, len(labels) // 2):
            theirs = train_test_split(np.arange(len(labels)), test_size=number, stratify=labels, random_state=0)
            for own, their in zip(set_aside(labels, number), theirs, strict=True):
                assert np.array_equal(own, their)


def test_the_digits_are_scikit_learns():
    from sklearn.datasets import load_digits

    images, labels = known.digits()
    theirs = load_digits()
    assert np.array_equal(images, theirs.images) and np.array_equal(labels, theirs.target)
    assert images.dtype == theirs.images.dtype and labels.dtype == theirs.target.dtype


def test_digits_without_scikit_learn_say_what_to_install(monkeypatch):
    monkeypatch.setattr(known, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="pip install"):
        dd.load("digits")


def test_the_default_type_of_pytorch_changes_nothing():
    torch.set_default_dtype(torch.float64)
    try:
        data = dd.from_arrays(**good())
        dset = dd.DistilledSet.noise(data, momentum=0.5, learn_labels=True)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(data.train.images, dd.from_arrays(**good()).train.images)
    assert {tensor.dtype for tensor in (data.train.images, *dset.tensors().values())} == {torch.float32}


@pytest.mark.parametrize("name, options, words", [
    (None, {}, "name=None: the name of a data set"), (["digits"], {}, "name="), ("", {}, "There is no data set ''. Known"),
    ("digits", {"size": 0}, "size=0"), ("digits", {"size": "24"}, "size='24'"), ("digits", {"size": (24, 24)}, "made square"),
    ("digits", {"channels": 2}, "only 3 of 1"), ("digits", {"channels": "3"}, "channels='3'"),
    ("digits", {"root": 5}, "root=5"),
    ("digits", {"device": None}, "use device='cpu'"), ("digits", {"device": "meta"}, "use device='cpu'"),
    ("digits", {"device": []}, "use device='cpu'"), ("digits", {"channels": 0}, "channels=0"),
])
def test_load_refuses_in_words(name, options, words):
    with pytest.raises(ValueError, match=words):
        dd.load(name, **options)


def test_a_home_folder_is_found(npz, tmp_path, monkeypatch):
    path = npz()
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    here = dd.load(path).fingerprint
    assert dd.load("~/mine.npz").fingerprint == dd.load("mine.npz", root="~").fingerprint == here


def test_npz_with_names_and_with_other_keys(npz, tmp_path):
    assert dd.load(npz(y_train=PETS[np.arange(120) % 3], y_test=PETS[np.arange(50) % 3])).classes == tuple(PETS)
    np.savez(tmp_path / "other.npz", train_images=np.zeros(3))
    with pytest.raises(ValueError, match=r"holds no x_train, .* \(but train_images\)"):
        dd.load(tmp_path / "other.npz")
    (tmp_path / "folder.npz").mkdir()
    with pytest.raises(FileNotFoundError, match=r"There is no file .*folder\.npz"):
        dd.load(tmp_path / "folder.npz")


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
    with pytest.raises(ValueError, match="Known: 'digits', 'digits-shifted', 'textures', 'mnist'"):
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

    about = known.KNOWN[name]
    for file in about.files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    monkeypatch.setattr(known.Known, "open", lambda self, root, download: [stand_in(), stand_in()])
    data = dd.load(name, root=tmp_path)
    assert data.shape == (len(about.mean), about.size, about.size) and data.name == name and data.mean == about.mean
    assert data.classes == (tuple("0123456789") if name in ("svhn", "usps-mixed") else tuple(f"class {k}" for k in range(10)))


def test_absent_set_without_a_network(tmp_path, monkeypatch):
    def unreachable(self, root, download):
        (tmp_path / "partial").write_text("half a file")
        raise RuntimeError("Error downloading train-images-idx3-ubyte.gz")

    monkeypatch.setattr(known.Known, "open", unreachable)
    with pytest.raises(ConnectionError, match=r"no .*MNIST.raw.train.*could not be downloaded.*'digits'"):
        dd.load("mnist", root=tmp_path / "root")
    assert list((tmp_path / "root").iterdir()) == []
    with pytest.raises(FileNotFoundError, match="DDLITE_DATA"):
        dd.load("mnist", root=tmp_path / "root", download=False)


def test_a_set_with_one_file_lost_is_made_whole(tmp_path, monkeypatch):
    """What is fetched again lies beside what was left, and replaces it."""
    def fetch(self, root, download):
        assert download or (tmp_path / "MNIST/raw/t10k-labels-idx1-ubyte").is_file()
        for file in known.MNIST_FILES if download else []:
            path = Path(root) / "MNIST" / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("fresh")
        pixels = np.random.default_rng(0).integers(0, 256, (120, 28, 28), dtype=np.uint8)
        return [SimpleNamespace(data=pixels, targets=np.arange(120) % 10)] * 2

    (tmp_path / "MNIST/raw").mkdir(parents=True)
    (tmp_path / "MNIST/raw/train-images-idx3-ubyte").write_text("old")
    monkeypatch.setattr(known.Known, "open", fetch)
    assert dd.load("mnist", root=tmp_path).name == "mnist"
    assert {(tmp_path / "MNIST" / file).read_text() for file in known.MNIST_FILES} == {"fresh"}
    assert [entry.name for entry in tmp_path.iterdir()] == ["MNIST"]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")])
def test_interrupted_download_leaves_nothing(tmp_path, monkeypatch, error):
    def broken(self, root, download):
        with open(f"{root}/half", "w") as file:
            file.write("half a file")
        raise error

    monkeypatch.setattr(known.Known, "open", broken)
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
    for file in known.MNIST_FILES:
        (tmp_path / "MNIST" / file).write_bytes(b"\0\0\10\3")
    with pytest.raises(ValueError, match="mnist: the files under .* cannot be read"):
        dd.load("mnist", root=tmp_path)
