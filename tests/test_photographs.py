"""AlexNet's way from ImageNet to VOC and CUB, at a small size, with pictures and weights made here."""

import errno
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
from PIL import Image

import ddlite as dd

COLOURS = {"cat": (200, 30, 30), "dog": (30, 200, 30), "train": (30, 30, 200)}


@pytest.fixture
def voc(tmp_path):
    """A VOCdevkit of one-coloured objects on grey, three to a picture."""
    folder, random = tmp_path / "VOCdevkit" / "VOC2007", np.random.default_rng(0)
    for part in ("Annotations", "JPEGImages", "ImageSets/Main"):
        (folder / part).mkdir(parents=True)
    for part, numbers in (("trainval", range(12)), ("test", range(12, 18))):
        (folder / "ImageSets" / "Main" / f"{part}.txt").write_text("\n".join(f"{number:06}" for number in numbers) + "\n")
        for number in numbers:
            picture, boxes = random.integers(100, 130, (90, 250, 3), dtype=np.uint8), ""
            for k, (name, colour) in enumerate(COLOURS.items()):
                x, y = 80 * k + 5, 10
                picture[y:y + 70, x:x + 60] = colour
                boxes += (f"<object><name>{name}</name><bndbox><xmin>{x + 1}</xmin><ymin>{y + 1}</ymin><xmax>{x + 60}</xmax>"
                          f"<ymax>{y + 70}</ymax></bndbox></object>")
            Image.fromarray(picture).save(folder / "JPEGImages" / f"{number:06}.jpg", quality=95)
            (folder / "Annotations" / f"{number:06}.xml").write_text(f"<annotation>{boxes}</annotation>")
    return tmp_path


@pytest.fixture
def cub(tmp_path):
    folder, random = tmp_path / "CUB_200_2011", np.random.default_rng(0)
    (folder / "images").mkdir(parents=True)
    paths = [f"{k % 2 + 1:03}.Bird_{k % 2}_{k}.jpg" for k in range(20)]
    for path in paths:
        Image.fromarray(random.integers(0, 256, (70, 100, 3), dtype=np.uint8)).save(folder / "images" / path)
    lists = {"images.txt": paths, "image_class_labels.txt": [k % 2 + 1 for k in range(20)],
             "train_test_split.txt": [int(k < 14) for k in range(20)]}
    for name, values in lists.items():
        (folder / name).write_text("".join(f"{k + 1} {value}\n" for k, value in enumerate(values)))
    (folder / "classes.txt").write_text("1 001.Albatross\n2 002.Auklet\n")
    return tmp_path


def test_each_box_of_voc_is_a_picture(voc):
    data = dd.load("voc2007", root=voc, size=64, download=False)
    assert data.shape == (3, 64, 64) and data.classes == ("cat", "dog", "train")
    assert len(data.train) + len(data.validation) == 36 and len(data.test) == 18
    for image, label in zip(dd.data.grey_levels(data.test.images, data.mean, data.std), data.test.labels):
        assert (255 * image.mean((1, 2)) - torch.tensor(list(COLOURS.values())[label])).abs().max() < 6


def test_cub_keeps_its_own_split(cub):
    data = dd.load("cub200", root=cub, size=64)
    assert data.classes == ("Albatross", "Auklet") and len(data.test) == 6 and len(data.train) + len(data.validation) == 14
    (cub / "CUB_200_2011" / "classes.txt").unlink()
    with pytest.raises(ValueError, match="cub200: the files .* cannot be read"):
        dd.load("cub200", root=cub, size=64)
    with pytest.raises(FileNotFoundError, match="cub200: there is no folder"):
        dd.load("cub200", root=cub / "elsewhere")


def test_an_interrupted_download_of_voc_leaves_nothing(tmp_path, monkeypatch):
    def broken(root):
        (Path(root) / "half.tar").write_text("half an archive")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("ddlite.photographs.sets.fetch_voc2007", broken)
    with pytest.raises(OSError, match="voc2007: writing under .* make room"):
        dd.load("voc2007", root=tmp_path, size=64)
    assert list(tmp_path.iterdir()) == []


def test_without_a_network_voc_says_so(tmp_path, monkeypatch):
    def unreachable(*_, **__):
        raise URLError("no route to host")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(ConnectionError, match="voc2007: there is no .*no route to host.*nothing half-written"):
        dd.load("voc2007", root=tmp_path, size=64)


def test_alexnet_is_torchvisions(voc):
    from torchvision.models import alexnet

    theirs = alexnet(num_classes=5).eval()
    ours = dd.AlexNet((3, 96, 96), 5)
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 3, 96, 96)
    with torch.no_grad():
        assert torch.allclose(ours(images), theirs(images), atol=1e-5)
        fresh = dd.imagenet((3, 96, 96), 7, weights=theirs.state_dict())
        assert torch.equal(fresh(images), torch.ones(2, 7)), "the last layer begins with weight 0 and bias 1"
    assert torch.equal(fresh.features[3].weight, theirs.features[3].weight)
    with pytest.raises(ValueError, match="do not fit an AlexNet of width 4"):
        dd.imagenet((3, 96, 96), 7, weights=theirs.state_dict(), width=4)
    with pytest.raises(ValueError, match="64 pixels or more"):
        dd.AlexNet((3, 32, 32))


def test_one_image_per_class_for_a_pretrained_alexnet(voc):
    """A narrow one, with recomputation: the path that the full profile takes with ImageNet's weights."""
    data = dd.load("voc2007", root=voc, size=64, download=False)
    weights = dd.initialise(dd.AlexNet(data.shape, 1000, width=4), 0, "orthogonal").state_dict()
    start, goal = dd.FixedStart(dd.imagenet(data.shape, len(data.classes), weights, width=4)), dd.Fit(data)
    settings = dd.profiles.adaptation("full-voc", outer_steps=60, batch_size=32, step_size=0.1, validate_every=10)
    noise = settings.noise(data, 0)
    assert noise.images.shape == (1, 3, 3, 64, 64) and len(noise.step_sizes) == 3
    states = list(dd.distill(noise, start, goal, engine="adjoint", average=0.5, **settings.outer()))
    losses = [state.loss for state in states]
    assert sum(losses[-10:]) < 0.75 * sum(losses[:10])
    assert dd.evaluate(states[-1].best, start.networks(), goal, data.test).mean > 60


def test_cub_takes_a_step(cub):
    data = dd.load("cub200", root=cub, size=64)
    weights = dd.initialise(dd.AlexNet(data.shape, 1000, width=4), 0, "orthogonal").state_dict()
    start = dd.FixedStart(dd.imagenet(data.shape, len(data.classes), weights, width=4))
    settings = dd.profiles.adaptation("full-cub", outer_steps=2, batch_size=4)
    *_, state = dd.distill(settings.noise(data, 0), start, dd.Fit(data), **settings.outer())
    assert state.best.images.shape == (1, 2, 3, 64, 64) and torch.isfinite(state.distilled.images).all()
