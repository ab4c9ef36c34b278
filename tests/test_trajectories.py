"""Matching trajectories: experts, the goal that follows them, and canvases on a torus."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import ddlite as dd
from ddlite import unroll
from ddlite.engines import adjoint
from ddlite.gallery import experts as experts_file
from ddlite.gallery import mtt, textures
from ddlite.machinery import files


@pytest.fixture(scope="module")
def digits():
    return dd.load("digits", size=8)


@pytest.fixture(scope="module")
def surfaces():
    return dd.load("textures")


def experts(digits, **changes):
    return mtt.Experts(dd.MLP, digits, **{"number": 2, "epochs": 3, "ahead": 2, "last": 1, "batch_size": 100, **changes})


def learn(dset, start, goal, **options):
    *_, last = dd.distill(dset, start, goal, **{"outer_steps": 4, "validate_every": 2, "validation_networks": 1, **options})
    return last


def alike(ours, theirs):
    return all(torch.equal(one, two) for one, two in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("images", [None, 150])
def test_an_experts_path_is_plain_gradient_descent_epoch_by_epoch(digits, images):
    """Against a loop written out; every checkpoint is a copy of its own. What an expert sees of the images is drawn first."""
    start, seen = experts(digits, images=images), torch.arange(len(digits.train))
    path = start.path("training", 1)
    network = start.fresh.networks("training", 1, 1)[0]
    assert len(path) == 4 and alike(path[0], unroll.weights_of(network))
    generator = torch.Generator().manual_seed(dd.starts.network_seed("training", 0, 1))
    if images:
        seen = torch.randperm(len(digits.train), generator=generator)[:images]
    for epoch in (1, 2, 3):
        for which in seen[torch.randperm(len(seen), generator=generator)].split(100):
            loss = nn.functional.cross_entropy(network(digits.train.images[which]), digits.train.labels[which])
            for weight, slope in zip(network.parameters(), torch.autograd.grad(loss, list(network.parameters()))):
                weight.data -= 0.05 * slope
        assert all(torch.allclose(ours, theirs, atol=1e-6) for ours, theirs in zip(path[epoch], network.parameters()))
    assert not alike(path[2], path[3])
    assert not alike(start.path("training", 0)[3], path[3]) and not alike(start.path("validation", 1)[3], path[3])


def test_experts_see_all_images_where_there_are_fewer_and_no_other_numbers_are_taken(digits):
    assert alike(experts(digits, images=10**6).path("training", 0)[1], experts(digits).path("training", 0)[1])
    for wrong in (0, -1, 1.5, float("nan"), "all", True):
        with pytest.raises(ValueError, match="images="):
            experts(digits, images=wrong)


def test_experts_in_a_folder_go_on_where_they_stopped(digits, tmp_path, monkeypatch):
    whole = experts(digits).path("training", 0)
    start = experts(digits, folder=tmp_path).fill()
    kept = sorted(start.folder.iterdir())
    assert len(kept) == 6 and alike(start.path("training", 0)[3], whole[3])
    kept[1].unlink()  # one epoch in the middle
    assert alike(experts(digits, folder=tmp_path).path("training", 0)[3], whole[3])
    assert sorted(start.folder.iterdir()) == kept
    assert experts(digits, folder=tmp_path, learning_rate=0.06).folder != start.folder
    read = []
    monkeypatch.setattr(experts_file, "load_tensors", lambda path: read.append(path) or files.load_tensors(path))
    experts(digits, folder=tmp_path).on_the_way("training", 1, 1)
    assert [path.stem[-9:] for path in read] == ["epoch-001", "epoch-003"]  # and no other epoch's file


def test_a_foreign_or_damaged_file_is_refused(digits, tmp_path):
    start = experts(digits, folder=tmp_path).fill()
    one, *_, other = sorted(start.folder.iterdir())
    content = other.read_bytes()
    other.write_bytes(one.read_bytes())
    with pytest.raises(ValueError, match="belongs to other experts"):
        start.path("training", 1)
    other.write_bytes(content[:-20])
    with pytest.raises(ValueError, match=other.name):
        start.path("training", 1)


def test_experts_that_cannot_be_say_so(digits, monkeypatch):
    with pytest.raises(ValueError, match="last=2 and ahead=2.*the experts have 3"):
        experts(digits, last=2)
    with pytest.raises(ValueError, match="diverged in epoch 1: lower its learning_rate"):
        experts(digits, learning_rate=1e6).fill()
    with pytest.raises(ValueError, match="did not move in epoch 1: raise its learning_rate"):
        experts(digits, learning_rate=1e-30).fill()
    start = experts(digits)
    same = start.checkpoint("training", 0, 1)
    monkeypatch.setattr(start, "checkpoint", lambda *_: same)  # checkpoints that are one and the same
    with pytest.raises(ValueError, match="no way to follow. Were the checkpoints copied"):
        start.networks("training")
    with pytest.raises(ValueError, match="no expert to follow: learn with start=mtt.Experts"):
        learn(dd.DistilledSet.real(digits, tied=True), dd.RandomStart(dd.MLP, digits), mtt.Follow(digits))
    other = dd.from_arrays(*(part.numpy() for split in (digits.train, digits.test) for part in (
        split.images.sigmoid(), split.labels)), name="other", classes=tuple("9876543210"))
    with pytest.raises(ValueError, match="same classes"):
        learn(dd.DistilledSet.real(other, tied=True), experts(digits), mtt.Follow(other))


def test_the_loss_is_the_part_of_the_way_that_is_left(digits):
    """No step: all of it. The expert's own step, an epoch of one batch: nothing."""
    start = experts(digits, batch_size=10**6, ahead=1, last=0)
    [network] = start.networks("training")
    loss = mtt.Follow(digits).loss_of(network, None, None)
    assert loss(unroll.weights_of(network)).item() == pytest.approx(1, abs=1e-6)
    split = digits.train
    [step] = [unroll.train(unroll.loss_of(network), unroll.weights_of(network), [(split.images, split.labels, 0.05)])]
    assert loss(step).item() == pytest.approx(0, abs=1e-6)
    images, labels = split.images[None], split.labels[None]
    whole = dd.DistilledSet(images, labels, torch.tensor([0.05]), digits.name, digits.classes, digits.mean, digits.std)
    *_, last = mtt.walk(whole, network)
    assert loss(last).item() == pytest.approx(0, abs=1e-6)


def test_engines_agree_and_differences_say_the_same(digits):
    """Plain, adjoint and chain through four steps; the tied step size by finite differences in double precision."""
    start, dset = experts(digits), dd.DistilledSet.real(digits, passes=4, step_size=0.1, tied=True)
    learned = [learn(dset, start, mtt.Follow(digits), engine=engine).distilled for engine in ("plain", "adjoint", "chain")]
    for one in learned[1:]:
        assert torch.allclose(one.images, learned[0].images, atol=1e-3)
        assert torch.allclose(one.step_sizes, learned[0].step_sizes)
    [network] = start.networks("training")
    network = network.double()
    loss, weights = unroll.loss_of(network), unroll.weights_of(network)
    images, sizes = dset.images.double(), dset.step_sizes.double()

    def value(sizes):
        steps = [(images[0], dset.labels[0], size) for size in sizes]
        return mtt.Follow(digits).loss_of(network, None, None)(unroll.train(loss, weights, steps))

    _, found = adjoint.meta_gradient(loss, mtt.Follow(digits).loss_of(network, None, None), weights, images, dset.labels, sizes)
    slope = (value(sizes + 1e-5) - value(sizes - 1e-5)) / 2e-5
    assert found["step_sizes"].sum().item() == pytest.approx(slope.item(), rel=1e-5)


def test_segments_are_drawn_within_the_first_epochs_and_resume_exactly(digits, tmp_path):
    start = experts(digits)
    drawn = {start.segment(number) for number in range(60)}
    assert drawn == {(index, epoch) for index in (0, 1) for epoch in (0, 1)}
    assert not any("_way" in dict(network.named_buffers()) for network in start.networks("held-out", 2))
    dset, path = dd.DistilledSet.real(digits, passes=2, tied=True, recipe=dd.Recipe(epochs=5)), tmp_path / "it.safetensors"
    whole = learn(dset, start, mtt.Follow(digits))
    states = dd.distill(dset, start, mtt.Follow(digits), 4, validate_every=2, validation_networks=1, checkpoint=path)
    next(states)
    states.close()
    again = learn(dset, start, mtt.Follow(digits), checkpoint=path)
    assert torch.equal(whole.distilled.images, again.distilled.images)
    whole.best.save(tmp_path / "set.safetensors")
    assert dd.DistilledSet.load(tmp_path / "set.safetensors") == whole.best and whole.best.protocol == "B"


@pytest.mark.parametrize("seed", [1, 2])
def test_following_teaches_more_than_real_images_do(seed):
    data = dd.load("digits")
    start = mtt.Experts(dd.MLP, data, 4, 6, seed=seed)
    dset = dd.DistilledSet.real(data, 10, passes=10, step_size=0.05, tied=True, recipe=dd.Recipe(100), seed=seed)
    states = list(dd.distill(dset, start, mtt.Follow(data), outer_steps=60, validate_every=30, validation_networks=2))
    assert sum(state.loss for state in states[-10:]) < 0.8 * sum(state.loss for state in states[:10])
    before, after = (dd.evaluate(each, start.networks("held-out", 3), dd.Fit(data), data.test, [1]).mean
                     for each in (dset, states[-1].best))
    assert after > before + 1.5 and after > 89


def test_pieces_of_a_canvas_against_a_slow_loop():
    kept, canvas = textures.Canvas(2, 3), torch.randn(2, 4, 1, 10, 12)
    draw = kept.draw(torch.Generator().manual_seed(5))
    images = kept.decode({"canvas": canvas}, draw)
    assert images.shape == (6, 4, 1, 5, 6)
    generator = torch.Generator().manual_seed(int(draw[0]))
    rows, columns = (torch.randint(side, (6, 4), generator=generator) for side in (10, 12))
    assert rows.max() > 5 and columns.max() > 6  # over the edge, too
    for batch in range(6):
        for n in range(4):
            rolled = canvas[batch % 2, n].roll((-int(rows[batch, n]), -int(columns[batch, n])), (1, 2))
            assert torch.equal(images[batch, n], rolled[:, :5, :6])
    free = canvas.double().requires_grad_()
    assert torch.autograd.gradcheck(lambda numbers: kept.decode({"canvas": numbers}, draw), free)


def test_every_pixel_of_a_canvas_is_seen(surfaces):
    dset = dd.DistilledSet.noise(surfaces, storage=textures.Canvas(2, 200))
    assert dset.images.shape == (200, 5, 1, 24, 24) and dset.labels.shape == (200, 5) and dset.floats == 5 * 48 * 48
    seen = torch.zeros_like(dset.stored["canvas"]).requires_grad_()
    dset.storage.decode({"canvas": seen}, dset.storage.draw(torch.Generator())).sum().backward()
    assert seen.grad.min() > 20 and seen.grad.max() < 90  # 50 on average, at the edges as in the middle


def test_canvases_are_learned_saved_and_cut_to_pieces(surfaces, tmp_path):
    start = mtt.Experts(textures.TileNet, surfaces, 1, 2, 1, 1, learning_rate=0.1)
    dset = dd.DistilledSet.noise(surfaces, passes=1, tied=True, recipe=dd.Recipe(3), storage=textures.Canvas(2, 4))
    best = learn(dset, start, mtt.Follow(surfaces)).distilled
    best.save(tmp_path / "it.safetensors")
    assert dd.DistilledSet.load(tmp_path / "it.safetensors") == best and not torch.equal(best.images, dset.images)
    many = textures.pieces(best, 7)
    assert many.images.shape == (7, 5, 1, 24, 24) and many.recipe.steps(len(many)) == 7 and many.storage == dd.storage.PIXELS
    assert not torch.equal(many.images, textures.pieces(best, 7, seed=1).images)
    with pytest.raises(ValueError, match="has no canvases"):
        textures.pieces(many)
    for numbers in ((0,), (2, 0), (0.5,)):
        with pytest.raises(ValueError, match="times|crops"):
            textures.Canvas(*numbers)
    with pytest.raises(ValueError, match="cannot be 2 images high"):
        replace(best, images=None, stored={"canvas": torch.randn(1, 5, 1, 47, 48)})


def test_a_seam_shows_where_edges_do_not_meet():
    waves = torch.sin((torch.arange(24) + torch.arange(12)[:, None]) * torch.pi / 6)  # in all phases
    meeting = waves[:, None] + waves[:, :, None]
    assert textures.seam(meeting) == pytest.approx(1, abs=0.01) and textures.seam(meeting[:, :21, :21]) > 1.5
    noise = torch.randn(50, 24, 24, generator=torch.Generator().manual_seed(0))
    assert textures.seam(noise) == pytest.approx(1, abs=0.05)


def test_tilenet_does_not_read_places():
    """Shifted by what it pools, away from the edges, a picture gets the same answer; and the fast engine takes it."""
    network = dd.initialise(textures.TileNet((1, 64, 64)), 0)
    picture = torch.zeros(1, 1, 64, 64)
    picture[..., 28:32, 28:32] = torch.randn(4, 4, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(network(picture), network(picture.roll((4, 4), (2, 3))), atol=1e-5)
    assert dd.chain.of(network)
    with pytest.raises(ValueError, match="multiple of 4"):
        textures.TileNet((1, 26, 26))


def test_the_textures_are_drawn_alike_every_time(surfaces):
    again, other = dd.load("textures"), dd.load("textures", size=16)
    assert surfaces.fingerprint == again.fingerprint != other.fingerprint and other.shape == (1, 16, 16)
    assert surfaces.classes == ("bricks", "planks", "dots", "waves", "clouds")
    assert surfaces.test.labels.bincount().tolist() == [120] * 5
    assert len(surfaces.train.images.flatten(1).unique(dim=0)) == len(surfaces.train)
    network = dd.train_from_scratch(surfaces.train.images, surfaces.train.labels,
                                    dd.initialise(textures.TileNet(surfaces.shape, 5), 0), epochs=4, learning_rate=0.05)
    assert dd.accuracy(network, surfaces.test) > 90
