"""Starts, the networks of the paper and pre-training say in words what they cannot do."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import ddlite as dd


def Named(classes):  # a function of one argument, where make(shape, classes) is called with two
    return dd.MLP((1, 8, 8), classes)


@pytest.mark.parametrize("make, words", [
    (dd.MLP(), "make is a network, a MLP, already.*FixedStart"), (Named, r"make\(shape, classes\).*lambda"),
    (nn.Linear, r"cannot be called as make|int"), ("MLP", "make is 'MLP'"), (None, "make is None"),
    (lambda: dd.MLP(), "too many positional"), (lambda shape, classes, width: None, "missing.*'width'"),
    (lambda shape, classes: None, "gave a NoneType"), (lambda shape, classes: dd.MLP, "gave a type"),
])
def test_a_make_that_cannot_be_called_so(make, words, tiny):
    if make is nn.Linear:  # two arguments, but not these
        make = lambda shape, classes, *, bias: nn.Linear(3, 3)  # noqa: E731
        words = "bias"
    with pytest.raises(ValueError, match=words):
        dd.RandomStart(make, tiny)
    with pytest.raises(ValueError, match=words):
        dd.PoolStart(make, tiny, 1)


def test_a_make_that_draws_elsewhere_is_refused(tiny):
    def make(shape, classes):
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
        network.register_buffer("mask", torch.from_numpy(np.random.rand(64)))
        return network

    with pytest.raises(ValueError, match="two different networks from one seed.*PyTorch's own generator"):
        dd.RandomStart(make, tiny)


@pytest.mark.parametrize("make", [dd.LeNet, dd.SmallLeNet, dd.MLP, dd.ConvNet3, dd.AlexCifarNet])
def test_networks_of_sizes_that_are_none(make):
    for classes in (0, -1, 2.5, "10", None):
        with pytest.raises(ValueError, match="classes=.*a whole number, 1 or more"):
            make(classes=classes)
    for shape in ((1, -32, -32), (0, 32, 32), (1, 32.5, 32), ("1", 32, 32)):
        with pytest.raises(ValueError, match="(channels|height|width)=.*a whole number, 1 or more"):
            make(shape)
    for shape in (32, (32, 32), "1,32,32", None, (1, 1, 32, 32)):
        with pytest.raises(ValueError, match="channels, height, width"):
            make(shape)
    assert make(torch.Size([1, 32, 32]), np.int64(3))(torch.zeros(1, 1, 32, 32)).shape == (1, 3)


def test_convnet3_says_how_small_pictures_may_be():
    with pytest.raises(ValueError, match="8 pixels or more, not 4x32"):
        dd.ConvNet3((1, 4, 32))
    with pytest.raises(ValueError, match="width=0"):
        dd.ConvNet3((1, 8, 8), width=0)


@pytest.mark.parametrize("seed", [1.5, -1, 2**70, "1", None, float("nan"), True])
def test_seeds_that_are_none(seed, tiny):
    for use in (lambda: dd.initialise(dd.MLP(), seed), lambda: dd.RandomStart(dd.MLP, tiny, seed=seed),
                lambda: dd.PoolStart(dd.MLP, tiny, 1, seed=seed), lambda: dd.pretrain(dd.MLP(tiny.shape, 3), tiny, seed),
                lambda: dd.train_from_scratch(tiny.train.images, tiny.train.labels, dd.MLP(tiny.shape, 3), 1, seed=seed)):
        with pytest.raises(ValueError, match="seed=.*a whole number, from 0 to"):
            use()


@pytest.mark.parametrize("start", [lambda data: dd.FixedStart(dd.MLP(data.shape, 3)), lambda data: dd.RandomStart(dd.MLP, data),
                                   lambda data: dd.PoolStart(dd.MLP, data, 2, epochs=1)])
def test_numbers_of_networks_that_are_none(start, tiny):
    start = start(tiny)
    for bad in ("5", -1, 1.5, None):
        with pytest.raises(ValueError, match="number=.*a whole number, 0 or more"):
            start.networks("held-out", bad)
        with pytest.raises(ValueError, match="first=.*a whole number, 0 or more"):
            start.networks("held-out", 1, bad)
    with pytest.raises(ValueError, match="no role 'heldout'"):
        start.networks("heldout")
    assert len(start.networks("validation", np.int64(1))) == 1


@pytest.mark.parametrize("setting, bad", [("epochs", -1), ("epochs", 0), ("epochs", "2"), ("epochs", 1.5), ("batch_size", 0),
                                          ("learning_rate", -1), ("learning_rate", 0), ("learning_rate", "1e-3"),
                                          ("learning_rate", float("inf")), ("halve_every", 0), ("halve_every", None)])
def test_schedules_that_are_none(setting, bad, tiny):
    for use in (lambda: dd.PoolStart(dd.MLP, tiny, 1, **{setting: bad}),
                lambda: dd.pretrain(dd.MLP(tiny.shape, 3), tiny, **{setting: bad})):
        with pytest.raises(ValueError, match=f"{setting}=.*is needed"):
            use()
    with pytest.raises(ValueError, match="size="):
        dd.PoolStart(dd.MLP, tiny, "2")


@pytest.mark.parametrize("rate", [1e30, 1e20])
def test_a_network_whose_pre_training_diverged_is_not_kept(rate, tiny, tmp_path):
    pool = dd.PoolStart(dd.MLP, tiny, 1, folder=tmp_path, epochs=2, learning_rate=rate, batch_size=8)
    with pytest.raises(ValueError, match="diverged.*[Ll]ower learning_rate"):
        pool.fill()
    assert not list(tmp_path.rglob("*.safetensors"))
    dd.PoolStart(dd.MLP, tiny, 1, folder=tmp_path, epochs=1).fill()
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1


@pytest.mark.parametrize("name", ["../../outside", "/outside", "a/b", "..", "C:\\outside", "x\n"])
def test_no_name_leads_a_pool_out_of_its_folder(name, tiny, tmp_path):
    inside = tmp_path / "pools"
    folder = dd.PoolStart(dd.MLP, replace(tiny, name=name), 1, folder=inside, epochs=1).fill().folder
    assert folder.resolve().parent == inside.resolve() and len(list(inside.iterdir())) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["pools"]


def test_starts_say_what_they_are(tiny):
    fixed, drawn = dd.FixedStart(dd.MLP(tiny.shape, 3)), dd.RandomStart(dd.MLP, tiny, seed=2)
    pool = dd.PoolStart(dd.MLP, tiny, 4, epochs=1)
    assert repr(fixed) == "FixedStart(MLP, 25,219 weights)"
    assert repr(drawn) == "RandomStart(MLP, 25,219 weights, init='xavier-normal', seed=2)"
    assert repr(pool) == ("PoolStart(4 of RandomStart(MLP, 25,219 weights, init='xavier-normal', seed=0), pre-trained on "
                          "'made-up')")
    assert fixed.source is None and drawn.source is None and pool.source is tiny


def test_a_pool_file_of_other_tensors_is_refused(tiny, tmp_path):
    pool = dd.PoolStart(dd.MLP, tiny, 1, folder=tmp_path, epochs=1).fill()
    [path] = tmp_path.rglob("*.safetensors")
    tensors, about = dd.pools.load_tensors(path)
    for changed in ({"linear1.weight": tensors["linear1.weight"]}, {**tensors, "linear1.bias": torch.zeros(1)},
                    {**tensors, "other": torch.zeros(1)}):
        dd.pools.save_tensors(path, changed, about)
        with pytest.raises(ValueError, match="belongs to another pool, or was changed: remove it"):
            pool.networks("training")[0]


def test_norms_are_initialised_and_their_statistics_stay():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Flatten(), nn.Linear(72, 3))
    network(torch.randn(9, 1, 8, 8) + 3)
    network.eval()
    with torch.no_grad():
        network[1].weight.fill_(7)
    network[3].bias.requires_grad_(False).fill_(5)
    kept = network[1].running_mean.clone()
    dd.initialise(network, 0)
    assert network[1].weight.tolist() == [1, 1] and network[1].running_mean.equal(kept) and kept.abs().max() > 0
    assert network[3].bias.tolist() == [5] * 3 and network[0].bias.tolist() == [0, 0]


def test_settings_of_a_training_from_scratch_that_are_none(tiny):
    images, labels, network = tiny.train.images, tiny.train.labels, dd.MLP(tiny.shape, 3)
    for setting in ({"epochs": 0}, {"epochs": "3"}, {"learning_rate": -1}, {"learning_rate": float("nan")}, {"momentum": 1},
                    {"decay": -1}, {"batch_size": 0}, {"batch_size": 1.5}):
        with pytest.raises(ValueError, match=next(iter(setting))):
            dd.train_from_scratch(images, labels, network, **{"epochs": 1, **setting})
    with pytest.raises(ValueError, match=r"labels lie in 0..2.*2 logits"):
        dd.train_from_scratch(images, labels, dd.MLP(tiny.shape, 2), 1)
    with pytest.raises(ValueError, match="5 logits for an image, and 3 classes"):
        dd.train_from_scratch(images, torch.eye(3)[labels], dd.MLP(tiny.shape, 5), 1)
    with pytest.raises(ValueError, match="does not take images"):
        dd.train_from_scratch(images, labels, dd.MLP((1, 9, 9), 3), 1)
    with pytest.raises(ValueError, match="does not take images"):
        dd.pretrain(dd.MLP((1, 9, 9), 3), tiny, epochs=1)
    with pytest.raises(ValueError, match="3 classes need 3"):
        dd.pretrain(dd.MLP(tiny.shape, 4), tiny, epochs=1)
