"""Storages that share what images have in common: bases with addresses, and a generator."""

import pytest
import torch
from torch.nn import functional as F

import ddlite as dd
from ddlite.gallery.gtn import Generator
from ddlite.gallery.past import Bases, everyone


@pytest.fixture(scope="module")
def digits():
    return dd.load("digits", size=8)


def learn(dset, data, **options):
    settings = {"outer_steps": 3, "batch_size": 32, "validate_every": 3, "validation_networks": 1, **options}
    *_, last = dd.distill(dset, dd.RandomStart(dd.MLP, data), dd.Fit(data), **settings)
    return last


def test_images_of_bases_against_a_slow_loop():
    kept = Bases(3, down=2, pool=4, steps=5)
    generator = torch.Generator().manual_seed(1)
    stored = kept.noise((2, 6, 1, 8, 8), generator)
    assert stored["bases"].shape == (2, 3, 1, 4, 4) and stored["addresses"].shape == (2, 6, 4, 3)
    draw = kept.draw(generator)
    images = kept.decode(stored, draw)
    which = torch.randint(4, (5, 2, 6), generator=torch.Generator().manual_seed(int(draw[0])))
    assert images.shape == (10, 6, 1, 8, 8)
    for step in range(5):
        for batch in range(2):
            for n in range(6):
                address = stored["addresses"][batch, n, which[step, batch, n]]
                mixed = sum(share * base for share, base in zip(address, stored["bases"][batch]))
                large = F.interpolate(mixed[None], (8, 8), mode="bilinear")[0]
                assert torch.allclose(images[2 * step + batch, n], large, atol=1e-5)
    free = {name: tensor.double().requires_grad_() for name, tensor in stored.items()}
    assert torch.autograd.gradcheck(lambda b, a: kept.decode({"bases": b, "addresses": a}, draw), tuple(free.values()))


def test_enough_bases_keep_given_images_and_few_the_best_of_them():
    images = torch.randn(1, 6, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(Bases(6, down=1).decode(Bases(6, down=1).encode(images)), images, atol=1e-5)
    errors = [(Bases(k, down=1).decode(Bases(k, down=1).encode(images)) - images).square().sum().item() for k in (1, 3, 6, 9)]
    lengths = torch.linalg.svdvals(images.flatten(2)[0]).square()
    assert errors[:2] == pytest.approx([lengths[1:].sum().item(), lengths[3:].sum().item()], rel=1e-4) and errors[3] < 1e-6


def test_all_images_of_the_addresses_are_an_ordinary_set(digits, tmp_path):
    dset = dd.DistilledSet.noise(digits, passes=1, step_size=0.1, storage=Bases(4, pool=3, steps=5))
    assert dset.floats == 4 * 16 + 10 * 3 * 4 and dset.batches == 5 and len(dset.step_sizes) == 5
    best = learn(dset, digits).distilled
    assert not torch.equal(best.stored["addresses"], dset.stored["addresses"])
    assert not torch.equal(best.stored["bases"], dset.stored["bases"])
    whole = everyone(best)
    assert whole.images.shape == (1, 30, 1, 8, 8) and whole.protocol == "B"
    assert whole.labels.tolist() == [[k for k in range(10) for _ in range(3)]]
    mixed = torch.einsum("npk,kchw->npchw", best.stored["addresses"][0], best.stored["bases"][0]).flatten(0, 1)
    assert torch.allclose(whole.images[0], F.interpolate(mixed, (8, 8), mode="bilinear"), atol=1e-5)
    best.save(tmp_path / "it.safetensors")
    assert dd.DistilledSet.load(tmp_path / "it.safetensors") == best
    with pytest.raises(ValueError, match="has no addresses"):
        everyone(whole)


def test_images_of_a_generator_against_a_slow_loop():
    kept = Generator(3, hidden=5, classes=2)
    stored = kept.noise((4, 6, 1, 2, 3), torch.Generator().manual_seed(0))
    stored = {name: tensor.double() + 0.1 for name, tensor in stored.items()}
    images = kept.decode(stored)
    assert images.shape == (4, 6, 1, 2, 3)
    for batch in range(4):
        for n in range(6):
            given = torch.cat([stored["noise"][batch, n], torch.eye(2).double()[n // 3]])
            hidden = (stored["first"] @ given + stored["first_bias"]).clamp(min=0)
            assert torch.allclose(images[batch, n], 2 * torch.tanh(stored["last"] @ hidden + stored["last_bias"]))
    names, free = list(stored), [tensor.requires_grad_() for tensor in stored.values()]
    assert torch.autograd.gradcheck(lambda *numbers: kept.decode(dict(zip(names, numbers))), tuple(free))


@pytest.mark.parametrize("noise", ["learned", "fixed", "fresh"])
def test_a_generator_learns_and_its_sets_are_ordinary_ones(noise, digits, tmp_path):
    draws = None if noise == "learned" else (2, 20)
    dset = dd.DistilledSet.noise(digits, 2, batches=2, passes=1, step_size=0.1, momentum=0.5,
                                 storage=Generator(8, 16, noise=noise, draws=draws))
    best = learn(dset, digits).distilled
    assert dset.labels.tolist() == [[k for k in range(10) for _ in range(2)]] * 2
    assert all(not torch.equal(best.stored[name], tensor) for name, tensor in dset.stored.items())
    assert ("noise" in dset.stored) == (noise == "learned")
    kept = dset.storage
    one, two = (kept.decode(dset.stored, kept.draw(torch.Generator().manual_seed(seed))) for seed in (1, 2))
    assert torch.equal(one, two) == (noise != "fresh")
    best.save(tmp_path / "it.safetensors")
    again = dd.DistilledSet.load(tmp_path / "it.safetensors")
    assert again == best and torch.equal(again.images, best.images)
    report = dd.evaluate(again, dd.RandomStart(dd.MLP, digits).networks("held-out", 2), dd.Fit(digits), digits.test)
    assert report.protocol == "A" and report.floats == sum(tensor.numel() for tensor in dset.stored.values())


def test_storages_that_cannot_be_say_so(digits):
    wrong = {"choose a down that divides": lambda: dd.DistilledSet.noise(digits, storage=Bases(4, down=3)),
             "count": lambda: Bases(0), "without bases that are shared": lambda: Bases(None, pool=2),
             "no noise 'loud'": lambda: Generator(noise="loud"),
             "is needed where noise is not learned": lambda: Generator(noise="fresh"),
             "and only there": lambda: Generator(draws=(1, 10)),
             "they must agree": lambda: dd.DistilledSet.noise(digits, storage=Generator(noise="fixed", draws=(2, 10))),
             "as many of each": lambda: dd.DistilledSet.noise(digits, storage=Generator(classes=3)),
             "cannot be made from given images": lambda: dd.DistilledSet.real(digits, storage=Generator())}
    for words, made in wrong.items():
        with pytest.raises(ValueError, match=words):
            made()


def test_momentum_is_carried_exactly_through_a_long_training(digits):
    """Plain, adjoint and chain agree on bases trained with momentum; the adjoint is the method's own way."""
    dset = dd.DistilledSet.noise(digits, passes=2, step_size=0.05, momentum=0.9, tied=True, storage=Bases(4, pool=2, steps=4))
    plain, *others = (learn(dset, digits, engine=engine).distilled for engine in ("plain", "adjoint", "chain"))
    for one in others:
        assert torch.allclose(one.stored["bases"], plain.stored["bases"], atol=2e-3)
        assert torch.allclose(one.stored["addresses"], plain.stored["addresses"], atol=2e-3)
