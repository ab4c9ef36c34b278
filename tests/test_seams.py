"""What later methods stand on: storages, goals without a training, tied step sizes, recipes, and what a start carries."""

import pickle
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

import ddlite as dd
from ddlite import batches, storage, unroll
from ddlite.gallery.gtn import Generator
from ddlite.gallery.idc import Patches
from ddlite.gallery.past import Bases
from ddlite.gallery.textures import Canvas


class Scaled:
    """A storage with a draw: images are scaled by random signs. With `random=False` it is plain pixels."""

    pictures, rate, decay = 1, 1.0, True

    def __init__(self, random=False):
        self.random = random

    def noise(self, shape, generator):
        return {"scaled": torch.randn(shape, generator=generator)}

    def encode(self, images):
        return {"scaled": images}

    def draw(self, generator):
        return (torch.randint(2, (1,), generator=generator) * 2.0 - 1,) if self.random else (torch.ones(1),)

    def decode(self, stored, draw=()):
        return stored["scaled"] * draw[0]

    def describe(self):
        return {"kind": "test.Scaled", "random": self.random}

    def __repr__(self):
        return f"Scaled({self.random})"


@pytest.fixture(scope="module")
def digits():
    return dd.load("digits", size=8)


def learn(dset, start, goal, **options):
    settings = {"outer_steps": 4, "batch_size": 32, "validate_every": 2, "validation_networks": 1, **options}
    *_, last = dd.distill(dset, start, goal, **settings)
    return last


@pytest.mark.parametrize("kept", [dd.Pixels(), Patches(1), Canvas(1, 1, roll=False), Bases(None, down=1),
                                  Generator(hidden=None), Scaled()], ids=str)
@pytest.mark.parametrize("engine", ["plain", "adjoint", "chain"])
def test_every_storage_can_be_plain_pixels(kept, engine, digits):
    """The same noise, the same images, the same learning: gradients included, number for number."""
    size = {"batches": 2, "passes": 2, "step_size": 0.1, "momentum": 0.5, "learn_labels": True, "seed": 3}
    start = dd.RandomStart(dd.MLP, digits)
    plain, other = (dd.DistilledSet.noise(digits, **size, **option) for option in ({}, {"storage": kept}))
    assert torch.equal(plain.images, other.images) and plain.floats == other.floats
    one, two = (learn(dset, start, dd.Fit(digits), engine=engine).distilled for dset in (plain, other))
    assert torch.equal(one.images, two.images) and torch.equal(one.step_sizes, two.step_sizes)
    assert not torch.equal(one.images, plain.images)
    real = dd.DistilledSet.real(digits, 2, batches=2, storage=kept)
    assert torch.equal(real.images, dd.baselines.real_images(digits, 2, batches=2).images)


def test_patches_are_tiles_enlarged(digits):
    """Against a slow loop: first the upper left tile of every stored image, then the next."""
    kept, stored = Patches(2), torch.randn(2, 3, 1, 8, 8)
    images = kept.decode({"patches": stored})
    assert images.shape == (2, 12, 1, 8, 8)
    for batch in range(2):
        for row in range(2):
            for column in range(2):
                for n in range(3):
                    tile = stored[batch, n, :, 4 * row:4 * row + 4, 4 * column:4 * column + 4]
                    large = F.interpolate(tile[None], size=(8, 8), mode="bilinear")[0]
                    assert torch.allclose(images[batch, 3 * (2 * row + column) + n], large)
    small = F.interpolate(torch.randn(8, 1, 8, 8), size=(4, 4), mode="bilinear", antialias=True)
    again = F.interpolate(small, size=(8, 8), mode="bilinear")  # a picture of 4x4 pixels, enlarged
    assert kept.encode(again[None])["patches"].shape == (1, 2, 1, 8, 8)
    shrunk = F.interpolate(again, size=(4, 4), mode="bilinear", antialias=True)
    assert torch.allclose(kept.encode(again[None])["patches"][0, 1, :, :4, 4:], shrunk[3], atol=1e-6)


def test_patches_hold_more_pictures_in_the_same_floats(digits):
    dset = dd.DistilledSet.real(digits, storage=Patches(2), step_size=0.1)
    assert len(dset) == 40 and dset.floats == 640 and torch.equal(dset.labels[0], torch.arange(10).repeat(4))
    state = learn(dset, dd.RandomStart(dd.MLP, digits), dd.Fit(digits))
    assert state.best.floats == 640 and "Patches(2), 640 floats" in repr(state.best)
    with pytest.raises(ValueError, match="choose a k that divides both sides"):
        dd.DistilledSet.noise(digits, storage=Patches(3))
    with pytest.raises(ValueError, match="let images be None"):
        replace(dset, images=torch.zeros_like(dset.images))


def test_a_gradient_is_pulled_back_through_a_storage(digits):
    """By finite differences of the stored numbers."""
    torch.manual_seed(0)
    kept, stored = Patches(2), torch.randn(1, 10, 1, 8, 8, dtype=torch.float64)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.Tanh(), nn.Linear(6, 10)).double()
    loss, weights = unroll.loss_of(network), unroll.weights_of(network)
    real, labels = digits.train.images[:20].double(), digits.train.labels[:20]
    sizes, own = torch.full((2,), 0.3, dtype=torch.float64), torch.arange(10).repeat(4)[None]

    def value(numbers):
        steps = [(kept.decode({"patches": numbers})[0], own[0], size) for size in sizes]
        return loss(unroll.train(loss, weights, steps), real, labels)

    free = stored.clone().requires_grad_()
    images = kept.decode({"patches": free})
    _, gradients = dd.meta_gradient(loss, lambda w: loss(w, real, labels), weights, images, own, sizes)
    [ours] = torch.autograd.grad(images, free, gradients["images"])
    for place in ((0, 0, 0, 0, 0), (0, 3, 0, 5, 2), (0, 9, 0, 7, 7)):
        nudge = torch.zeros_like(stored)
        nudge[place] = 1e-5
        assert ours[place].item() == pytest.approx(((value(stored + nudge) - value(stored - nudge)) / 2e-5).item(), rel=1e-4)


def test_random_draws_are_the_loops_own_and_resume_exactly(digits, tmp_path):
    """Draws come from the generator that checkpoints keep; what is judged has fixed draws."""
    dset = dd.DistilledSet.noise(digits, storage=Scaled(random=True))
    start, goal = dd.RandomStart(dd.MLP, digits), dd.Fit(digits)
    whole = learn(dset, start, goal, outer_steps=6)
    states = dd.distill(dset, start, goal, outer_steps=6, batch_size=32, validate_every=2, validation_networks=1,
                        checkpoint=tmp_path / "it.safetensors")
    for _ in range(3):
        next(states)
    states.close()
    again = learn(dset, start, goal, outer_steps=6, checkpoint=tmp_path / "it.safetensors")
    assert torch.equal(whole.distilled.stored["scaled"], again.distilled.stored["scaled"])
    [sign] = Scaled(random=True).draw(torch.Generator().manual_seed(0))
    assert torch.equal(again.best.images, again.best.stored["scaled"] * sign)


def test_a_set_of_patches_is_saved_as_it_is_stored(digits, tmp_path):
    dset = learn(dd.DistilledSet.real(digits, storage=Patches(2)), dd.RandomStart(dd.MLP, digits), dd.Fit(digits)).best
    dset.save(tmp_path / "it.safetensors")
    again = dd.DistilledSet.load(tmp_path / "it.safetensors")
    assert again == dset and again.storage.k == 2 and torch.equal(again.images, dset.images)
    network = dd.MLP(digits.shape)
    assert all(torch.equal(one, two) for one, two in zip(again.train(network).parameters(), dset.train(network).parameters()))
    for about in ({"kind": "idc.Nothing"}, {"kind": "nothing.Patches"}, {"kind": "os.Patches"}, {"kind": "idc.Patches", "q": 1},
                  {}):
        with pytest.raises(ValueError, match="a newer one may"):
            storage.described(about)


class Match(dd.Fit):
    """A goal without a training: the gradient on the set is to be that on real images (squared distance)."""

    trains, name, loss_is = False, "match", "squared distance of gradients"

    def draw(self, batch_size, generator):
        return batches.draw_by_class(self.data, batch_size // len(self.data.classes), generator)

    def meta_gradient(self, network, real, images, labels, step_sizes, momentum):
        loss, weights = unroll.loss_of(network), unroll.weights_of(network)
        theirs, own = torch.autograd.grad(loss(weights, *real), weights), images.detach().requires_grad_()
        ours = torch.autograd.grad(loss(weights, own.flatten(0, 1), labels.flatten(0, 1)), weights, create_graph=True)
        value = sum(((a - b) ** 2).sum() for a, b in zip(ours, theirs))
        return value.detach(), {"images": torch.autograd.grad(value, own)[0]}


def test_a_goal_may_have_a_gradient_of_its_own(digits):
    """No training is differentiated: the engines are not asked, step sizes stay, the distance falls, the set teaches."""
    start, goal = dd.RandomStart(dd.MLP, digits), Match(digits)
    dset = dd.DistilledSet.noise(digits, step_size=0.1, recipe=dd.Recipe(epochs=40, learning_rate=0.05))
    settings = {"outer_steps": 60, "batch_size": 100, "learning_rate": 0.1, "validate_every": 60, "validation_networks": 2}
    states = list(dd.distill(dset, start, goal, **settings))
    assert torch.allclose(states[-1].distilled.step_sizes, dset.step_sizes, atol=1e-7)
    assert states[-1].loss < states[0].loss / 3
    assert states[-1].loss_is == goal.loss_is and "protocol B" in states[-1].score_is
    report = dd.evaluate(states[-1].distilled, start.networks("held-out", 3), goal, digits.test)
    assert report.protocol == "B" and report.gradient_steps == 40 and report.mean > report.before + 30
    with pytest.raises(ValueError, match="needs no engine"):
        dd.distill(dset, start, goal, 1, engine="chain")


def test_a_batch_by_class_has_as_many_of_each(digits):
    images, labels = batches.draw_by_class(digits, 7, torch.Generator().manual_seed(1))
    assert torch.equal(labels, torch.arange(10).repeat_interleave(7)) and len(images.flatten(1).unique(dim=0)) == 70
    few = replace(digits, train=replace(digits.train, images=digits.train.images[:40], labels=digits.train.labels[:40]))
    images, labels = batches.draw_by_class(few, 30, torch.Generator().manual_seed(1))
    assert labels.bincount().tolist() == [30] * 10  # more than there are: again and again


def test_a_tied_step_size_is_learned_as_one(digits):
    """Its gradient is the sum of the steps' gradients; it stays one number."""
    dset = dd.DistilledSet.noise(digits, batches=2, passes=2, step_size=0.1, tied=True)
    best = learn(dset, dd.RandomStart(dd.MLP, digits), dd.Fit(digits)).distilled
    assert best.tied and len(best.step_sizes.unique()) == 1 and best.step_sizes[0] != dset.step_sizes[0]
    with pytest.raises(ValueError, match="tied"):
        best.with_step_sizes([0.1, 0.2, 0.1, 0.1])


def test_a_recipe_is_protocol_b_everywhere(digits, tmp_path):
    """`train`, `validate` and `evaluate` train from scratch by themselves, as `train_from_scratch` does."""
    recipe = dd.Recipe(epochs=30, learning_rate=0.05, batch_size=10)
    means = replace(dd.baselines.class_means(digits), recipe=recipe, step_sizes=None)
    network = dd.initialise(dd.MLP(digits.shape), 0)
    ours, own = means.train(network), dd.train_from_scratch(*means.examples(), network, 30, 0.05, batch_size=10)
    assert all(torch.equal(one, two) for one, two in zip(ours.parameters(), own.parameters()))
    report = dd.evaluate(means, [network], dd.Fit(digits), digits.test)
    assert report.after == (0, 1) and report.mean == dd.accuracy(own, digits.test) and report.gradient_steps == 30
    assert "from scratch (protocol B)" in str(report) and "protocol B" in report._repr_html_()
    means.save(tmp_path / "means.safetensors")
    assert dd.DistilledSet.load(tmp_path / "means.safetensors") == means
    with pytest.raises(ValueError, match="neither step sizes nor a recipe"):
        replace(means, recipe=None)
    with pytest.raises(ValueError, match="no step sizes"):
        dd.distill(means, dd.RandomStart(dd.MLP, digits), dd.Fit(digits), 1)


def test_squares_are_the_distance_to_centred_labels():
    logits, labels = torch.tensor([[1.0, 2.0], [0.0, -1.0]]), torch.tensor([1, 0])
    wanted = (((1 + 0.5) ** 2 + (2 - 0.5) ** 2) + ((0 - 0.5) ** 2 + (-1 + 0.5) ** 2)) / 4
    from ddlite.scratch import squares
    assert squares(logits, labels).item() == pytest.approx(wanted)
    assert squares(logits, torch.eye(2)[labels]).item() == pytest.approx(wanted)
    with pytest.raises(ValueError, match="There is no loss"):
        dd.Recipe(loss="hinge")


def test_tables_refuse_to_mix_protocols(digits):
    start, goal = dd.RandomStart(dd.MLP, digits), dd.Fit(digits)
    own = dd.evaluate(dd.baselines.class_means(digits, step_size=0.1), start.networks("held-out", 2), goal, digits.test)
    scratch = replace(own, protocol="B")
    table = dd.Comparison({"means": own, "again": own, "all data": replace(own, protocol=None)})
    assert "means" in str(table) and "Protocol A" in table._repr_html_() and "640" in str(table)
    with pytest.raises(ValueError, match="several protocols"):
        dd.Comparison({"means": own, "scratch": scratch})
    with pytest.raises(ValueError, match="several splits"):
        dd.Comparison({"means": own, "other": replace(own, split="validation")})


class Walk:
    """A start whose one network walks on the set between two outer steps."""

    source = None

    def __init__(self, data):
        self.fresh = dd.RandomStart(dd.MLP, data)
        self.describe, self.network = self.fresh.describe, self.fresh.networks("training")[0]

    def networks(self, role="held-out", number=1, first=0):
        return [self.network] if role == "training" else self.fresh.networks(role, number, first)

    def follow(self, dset):
        self.network = dset.train(self.network, 1, own_weights=True)

    def carried(self):
        return dict(self.network.named_parameters())

    def carry(self, tensors):
        self.network.load_state_dict(tensors)


def test_what_a_start_carries_is_part_of_the_checkpoint(digits, tmp_path):
    settings = {"outer_steps": 6, "batch_size": 32, "validate_every": 2, "validation_networks": 1}
    dset, goal = dd.DistilledSet.noise(digits, step_size=0.05), dd.Fit(digits)
    whole = learn(dset, Walk(digits), goal, **settings)
    states = dd.distill(dset, Walk(digits), goal, **settings, checkpoint=tmp_path / "it.safetensors")
    for _ in range(3):
        next(states)
    states.close()
    again = learn(dset, Walk(digits), goal, **settings, checkpoint=tmp_path / "it.safetensors")
    assert torch.equal(whole.distilled.images, again.distilled.images)
    fresh = learn(dset, dd.RandomStart(dd.MLP, digits), goal, **settings)
    assert not torch.equal(whole.distilled.images, fresh.distilled.images)


def test_several_architectures_keep_their_engines(digits, monkeypatch):
    """Networks drawn among kinds: each kind's engine is found once."""
    from ddlite.engines import choose

    kinds, found, real = [dd.MLP, dd.SmallLeNet], [], choose.engine_for
    monkeypatch.setattr(choose, "engine_for", lambda network, *rest: found.append(type(network)) or real(network, *rest))

    def either(shape, classes):
        return kinds[int(torch.randint(2, (1,)))](shape, classes)

    learn(dd.DistilledSet.noise(digits), dd.RandomStart(either, digits), dd.Fit(digits), outer_steps=12)
    assert sorted(kind.__name__ for kind in found) == ["MLP", "SmallLeNet"]


def test_a_set_is_a_torch_dataset_and_goes_in_and_out_of_the_fields_form(digits, tmp_path):
    dset = dd.DistilledSet.real(digits, 2, batches=3, passes=1, step_size=0.1)
    assert len(dset) == 60 and dset[5][0].shape == (1, 8, 8) and dset[-1][1] == 9
    images, labels = next(iter(DataLoader(dset, batch_size=60)))
    assert torch.equal(images, dset.examples()[0]) and torch.equal(labels, dset.examples()[1])
    plain = dset.to_tensors()
    assert plain["images"].shape == (60, 1, 8, 8) and plain["step_size"] == pytest.approx(0.1)
    again = dd.DistilledSet.from_tensors(**plain, data=digits)
    assert again.protocol == "A" and torch.equal(again.images[0], plain["images"])
    assert dd.DistilledSet.from_tensors(plain["images"], plain["labels"], digits).protocol == "B"
    dd.plain.to_folder(dset, tmp_path / "pictures")
    images, labels = dd.plain.from_folder(tmp_path / "pictures", digits)
    assert torch.equal(labels, plain["labels"]) and (images - plain["images"]).abs().max() < 1 / 255 / 0.3
    with pytest.raises(ValueError, match="no file NUMBER-CLASS.png"):
        dd.plain.from_folder(tmp_path, digits)
    with pytest.warns(UserWarning, match="were cut off"):
        dd.plain.to_folder(dd.DistilledSet.noise(digits), tmp_path / "noise")


def test_a_set_shows_compares_and_pickles(digits):
    dset = dd.DistilledSet.noise(digits, batches=2)
    assert repr(dset) == ("DistilledSet('digits': 2 batches of 10 images (1, 8, 8), 2 for each of 10 classes, "
                          "6 gradient steps)")
    assert dset._repr_png_().startswith(b"\x89PNG") and dset == dd.DistilledSet.noise(digits, batches=2)
    assert dset != dd.DistilledSet.noise(digits, batches=2, seed=1) and dset != "another thing" and len({dset, dset}) == 1
    assert repr(dd.Fit(digits)) == "Fit('digits')" and "victim=0" in repr(dd.Attack(digits, 0, 1))
    state = learn(dset, dd.RandomStart(dd.MLP, digits), dd.Fit(digits))
    again = pickle.loads(pickle.dumps(state))
    assert again.loss == state.loss and again.distilled == state.distilled and again.best == state.best
    assert again.loss_is == "cross-entropy" and "validation" in again.score_is


def test_a_network_that_diverged_has_no_accuracy(digits):
    """NaN logits name no class: they are no answer, not "class 0"."""
    start, wild = dd.RandomStart(dd.MLP, digits), dd.DistilledSet.noise(digits, passes=5, step_size=1e6)
    with pytest.warns(UserWarning, match="2 of 2 networks diverged"):
        report = dd.evaluate(wild, start.networks("held-out", 2), dd.Fit(digits), digits.test)
    assert report.mean == 0 and report.diverged == 2 and "2 networks (2 diverged)" in str(report) and report.before > 0


def test_modules_are_not_hidden_by_functions():
    import ddlite.distill as learning
    import ddlite.evaluate as judging

    assert judging.Report is dd.Report and learning.State is dd.State and judging is dd.evaluate and learning is dd.distill
