"""Augmentation of protocol B: what is moved, by how much, and that its numbers stand apart."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

import ddlite as dd
from ddlite import augment


@pytest.fixture(scope="module")
def digits():
    return dd.load("digits", size=14)


def moved(images, seed=0):
    return augment.moved(images, torch.Generator().manual_seed(seed))


def test_each_image_is_moved_in_one_of_three_ways():
    """A small disc off the centre: shifts keep its size, scales its direction, turns its distance from the centre."""
    place = torch.arange(42) - 20.5
    disc = (((place[:, None] - 6.5) ** 2 + (place - 2) ** 2) < 12).float()[None, None].expand(300, 1, 42, 42)
    y, x = torch.meshgrid(place, place, indexing="ij")
    after = moved(disc)
    ground, mass = disc.mean(), (after - disc.mean()).clamp(min=0).sum((1, 2, 3))
    weight = (after - ground).clamp(min=0)[:, 0] / mass[:, None, None]
    at = torch.stack([(weight * y).sum((1, 2)), (weight * x).sum((1, 2))], 1)
    size, turned = mass / mass.median(), (at.norm(dim=1) - at.new_tensor([6.5, 2]).norm()).abs() < 0.15
    scaled = (size - 1).abs() > 0.02
    shifted = ~turned & ~scaled
    assert all(60 < each.sum() < 140 for each in (turned, scaled, shifted))
    assert (at - at.new_tensor([6.5, 2])).abs().max() < 6.2 and size.max() < 1.2**2 + 0.02 and size.min() > 0.8**2 - 0.02
    angle = torch.atan2(at[turned, 1], at[turned, 0]) - torch.atan2(torch.tensor(2.0), torch.tensor(6.5))
    assert 0.6 < angle.abs().max() < 0.83  # 45 degrees


def test_a_shift_is_a_shift(monkeypatch):
    """By whole pixels it is exact, and what comes in is the mean value."""
    monkeypatch.setattr(augment.torch, "randint", lambda *_, **__: torch.zeros(1, dtype=torch.long))
    monkeypatch.setattr(augment.torch, "rand", lambda *size, generator: torch.tensor([[1.0, 0.5]]) if len(size) == 2 else
                        torch.ones(1))
    image = torch.randn(1, 1, 14, 14, generator=torch.Generator().manual_seed(0))
    wanted = F.pad(image - image.mean(), (0, 2))[..., 2:] + image.mean()  # x by +1 of a seventh, y by 0
    assert torch.allclose(augment.moved(image, None), wanted, atol=1e-5)


def test_augmentation_is_drawn_from_the_seed_and_stands_apart(digits, tmp_path):
    start, goal = dd.RandomStart(dd.MLP, digits), dd.Fit(digits)
    plain = dd.DistilledSet.real(digits, recipe=dd.Recipe(epochs=20, learning_rate=0.05))
    augmented = replace(plain, recipe=replace(plain.recipe, augment=True))
    [network] = start.networks()
    one, two, other = (dset.train(network).linear1.weight for dset in (augmented, augmented, plain))
    assert torch.equal(one, two) and not torch.allclose(one, other)
    augmented.save(tmp_path / "it.safetensors")
    assert dd.DistilledSet.load(tmp_path / "it.safetensors") == augmented
    reports = {dset.protocol: dd.evaluate(dset, [network], goal, digits.test, [1]) for dset in (plain, augmented)}
    assert list(reports) == ["B", "B, augmented"] and "(protocol B, augmented)" in str(reports["B, augmented"])
    with pytest.raises(ValueError, match="several protocols"):
        dd.Comparison(reports)
    with pytest.raises(ValueError, match="augment='yes': True or False"):
        dd.Recipe(augment="yes")
