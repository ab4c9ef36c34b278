"""Storages that share what images have in common: bases with addresses, and a generator."""

import copy
import json
import math
from functools import partial

import pytest
import torch
from conftest import made_up
from scipy import stats
from torch.nn import functional as F

import ddlite as dd
from ddlite import results
from ddlite.cli import memories
from ddlite.cli.main import main
from ddlite.gallery import gtn, ranking, tasks
from ddlite.gallery.gtn import Generator
from ddlite.gallery.past import PROFILES, Bases, address, addresses_within, bases_of, everyone
from ddlite.machinery.files import fingerprint_of_file

METHOD_PROFILES = {**PROFILES, **gtn.PROFILES}


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
             "two numbers are needed": lambda: Generator(noise="fixed", draws=(1, 2, 3)),
             "a list of at least one": lambda: Generator(noise="fixed", draws=5),
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


@pytest.fixture(scope="module")
def generated(digits):
    kind = Generator(8, 16)
    begin = dd.DistilledSet.noise(digits, 2, batches=4, passes=1, step_size=0.1, momentum=0.5, storage=kind)
    return learn(begin, digits).distilled


def test_a_generator_answers_to_any_noise(generated):
    own = generated.stored["noise"]
    assert torch.equal(gtn.made(generated, own), generated.images)
    half = gtn.made(generated, own[:1, ::2])  # one image of each class, in the first batch
    assert half.shape == (1, 10, 1, 8, 8) and torch.allclose(half, generated.images[:1, ::2], atol=1e-6)
    one, two, again = (gtn.redrawn(generated, seed) for seed in (1, 2, 1))
    assert one == again and one != two and one.stored is None and one.labels.equal(generated.labels)
    assert one.step_sizes.equal(generated.step_sizes) and one.images.shape == generated.images.shape
    with pytest.raises(ValueError, match=r"\(batches, images, 8\)"):
        gtn.made(generated, torch.zeros(1, 10, 9))
    with pytest.raises(ValueError, match="as many of each"):
        gtn.made(generated, torch.zeros(1, 9, 8))
    for noise, words in (([1, 2], "a list"), (torch.full((1, 10, 8), math.nan), "NaN"), (own.long(), "whole numbers")):
        with pytest.raises(ValueError, match=words):
            gtn.made(generated, noise)
    for use in (gtn.shuffled, gtn.redrawn):
        with pytest.raises(ValueError, match="a distilled set is needed"):
            use(None)
    with pytest.raises(ValueError, match="has no generator"):
        gtn.made(one, own)


def test_shuffling_moves_batches_and_leaves_step_sizes(generated):
    uneven = generated.with_step_sizes([0.1, 0.2, 0.3, 0.4])
    mixed = [gtn.shuffled(uneven, seed) for seed in range(6)]
    assert len({tuple(each.images.flatten().tolist()) for each in mixed}) > 2 and mixed[1] == gtn.shuffled(uneven, 1)
    for each in mixed:
        assert each.step_sizes.equal(uneven.step_sizes) and each.momentum.equal(uneven.momentum)
        where = [next(k for k in range(4) if torch.equal(batch, uneven.images[k])) for batch in each.images]
        assert sorted(where) == [0, 1, 2, 3] and each.labels.equal(uneven.labels[where])


def test_ten_kinds_of_networks_can_be_ranked(digits, generated):
    assert len(ranking.KINDS) == 10 and set(ranking.weights(digits)) == set(ranking.KINDS)
    assert ranking.weights(digits)["linear"] == 650 and ranking.weights(digits)["convolutional 4"] == 4 * 10 + 640 + 10
    found = ranking.by_set(generated, digits, 1)
    assert set(found) == set(ranking.KINDS) and all(0 <= score <= 100 for score in found.values())
    start = dd.RandomStart(ranking.any_kind, digits)
    kinds = {str(start.networks("training", 1, first=k)[0]) for k in range(40)}
    assert len(kinds) > 5 and repr(start.networks("training", 1)[0]) == repr(start.networks("training", 1)[0])
    begin = dd.DistilledSet.noise(digits, passes=1, batches=2, storage=Generator(4, 8))
    *_, state = dd.distill(begin, start, dd.Fit(digits), 4, validate_every=4, validation_networks=2)
    assert state.outer_step == 4 and math.isfinite(state.loss)


def test_weight_normalisation_keeps_the_function_and_can_be_learned_through(digits):
    """PyTorch's own is refused: its second derivatives are not those of its first ones."""
    torch.manual_seed(0)
    plain = ranking.KINDS["convolutional 8-16"](digits.shape, 10)
    normed = ranking.weight_normed(digits.shape, 10, lambda *_: copy.deepcopy(plain))
    images = digits.train.images[:4]
    assert torch.allclose(normed(images), plain(images), atol=1e-5)
    with torch.no_grad():
        normed[0].parametrizations.weight.original1.mul_(3)  # the length of the rows is kept elsewhere
    assert torch.allclose(normed(images), plain(images), atol=1e-5)
    start = dd.RandomStart(partial(ranking.any_kind, kinds=ranking.NORMED), digits, init="pytorch")
    dset = dd.DistilledSet.noise(digits, passes=1, batches=2, storage=Generator(4, 8))
    *_, state = dd.distill(dset, start, dd.Fit(digits), 2, validate_every=2, validation_networks=1)
    assert set(ranking.by_set(state.best, digits, 1, ranking.NORMED, "pytorch")) == set(ranking.KINDS)


def test_the_truth_of_a_ranking_is_a_training(digits, monkeypatch):
    monkeypatch.setattr(ranking, "KINDS", {name: ranking.KINDS[name] for name in ("dense 8", "dense 256")})
    short, longer = (ranking.by_training(digits, 2, epochs) for epochs in (1, 8))
    assert longer["dense 256"] > 90 and longer["dense 256"] > longer["dense 8"] > short["dense 8"]


def test_agreement_is_spearmans_with_an_interval():
    names, generator = "abcdefghij", torch.Generator().manual_seed(0)
    one = dict(zip(names, torch.rand(10, generator=generator).tolist()))
    two = dict(zip(reversed(names), torch.rand(10, generator=generator).tolist()))
    wanted = stats.spearmanr([one[name] for name in names], [two[name] for name in names]).statistic
    number, low, high = ranking.agreement(one, two)
    assert number == pytest.approx(wanted) and -1 < low < number < high < 1
    half = 1.959964 / math.sqrt(10 - 3)  # Fisher's interval
    assert (low, high) == pytest.approx((math.tanh(math.atanh(number) - half), math.tanh(math.atanh(number) + half)))
    assert ranking.agreement(one, {name: 7 * value**3 for name, value in one.items()})[0] == pytest.approx(1)
    for other in ({"a": 1}, dict.fromkeys("abc", 1), {**one, "k": 1}):
        with pytest.raises(ValueError, match="the same names, four or more"):
            ranking.agreement(one if len(other) > 3 else other, other)
    for other, words in ((dict.fromkeys(names, 1), "they rank nothing"), ({**one, "a": math.nan}, "the number of a"),
                         ({**one, "b": "7"}, "the number of b"), (list(one), "a dict is needed")):
        with pytest.raises(ValueError, match=words):
            ranking.agreement(one, other)


def test_a_budget_is_divided_among_addresses(digits):
    for budget, count, down in ((640, 4, 2), (1000, 8, 1), (121, 1, 1)):
        each = addresses_within(budget, digits, count, down) if budget > 121 else 5
        dset = dd.DistilledSet.noise(digits, each, storage=Bases(count, down=down))
        more = dd.DistilledSet.noise(digits, each + 1, storage=Bases(count, down=down))
        assert dset.floats <= budget < more.floats
    least = 16 * (16 + 10)
    assert addresses_within(least, digits) == 1
    with pytest.raises(ValueError, match=f"too few for 16 bases.*or {least} floats"):
        addresses_within(least - 1, digits)
    for changes, words in (({"count": 0}, "count=0"), ({"count": -1}, "count=-1"), ({"down": 0}, "down=0"),
                           ({"down": 3}, "choose a down"), ({"data": None}, "a whole data set")):
        with pytest.raises(ValueError, match=words):
            addresses_within(**{"budget": 1000, "data": digits, **changes})


def test_an_address_is_one_images(digits):
    dset = dd.DistilledSet.noise(digits, 2, storage=Bases(4, pool=3))
    everything = everyone(dset)
    large = Bases(None).decode({"bases": dset.stored["bases"]})[0]
    for which in range(6):
        mixed = torch.einsum("k,kchw->chw", address(dset, 7, which), large)
        assert torch.allclose(everything.images[0][everything.labels[0] == 7][which], mixed, atol=1e-5)
    seen = bases_of(dset)
    assert seen.classes == ("b1", "b2", "b3", "b4") and torch.equal(seen.images[0], large) and bases_of(
        dd.DistilledSet.noise(digits, storage=Bases(1))).images.shape == (1, 1, 1, 8, 8)
    with pytest.raises(ValueError, match="has no bases"):
        bases_of(everything)
    for label, which in ((10, 0), (-1, 0), (7, 6), ("3", 0)):
        with pytest.raises(ValueError, match="label|which"):
            address(dset, label, which)
    with pytest.raises(ValueError, match="has no addresses"):
        address(everything, 1)


def test_a_task_is_some_of_the_classes(digits):
    task = tasks.of_classes(digits, [7, 3])
    assert task.classes == ("7", "3") and len(task.train) == int(torch.isin(digits.train.labels, torch.tensor([3, 7])).sum())
    assert torch.equal(task.test.images[task.test.labels == 1], digits.test.images[digits.test.labels == 3])
    for labels, words in (([4], "nothing to tell"), ([4, 4], "nothing to tell"), ([], "at least one"), (3, "a list"),
                          ("34", "a list"), ([3, 10], "labels=10: .* from 0 to 9"), (["3", 4], "labels='3'"),
                          ([True, False], "labels=True")):
        with pytest.raises(ValueError, match=words):
            tasks.of_classes(digits, labels)


def test_a_memory_stands_for_the_old_classes(digits):
    old, so_far = tasks.of_classes(digits, range(2)), tasks.of_classes(digits, range(4))
    memory = dd.DistilledSet.real(old, 3)
    data = tasks.remembering(so_far, memory)
    own = {tuple(image.flatten().tolist()) for image in memory.examples()[0]}
    for label in range(4):
        images = data.train.images[data.train.labels == label]
        assert abs(len(images) - (so_far.train.labels >= 2).sum() / 2) < 4
        assert ({tuple(image.flatten().tolist()) for image in images} <= own) == (label < 2)
    assert torch.equal(data.test.images, so_far.test.images)
    both = tasks.joined([memory, dd.DistilledSet.real(tasks.of_classes(digits, [2, 3]), 1)])
    assert both.classes == ("0", "1", "2", "3") and both.labels.tolist() == [[0, 0, 0, 1, 1, 1, 2, 3]] and both.protocol == "B"
    wrong = {"in the same order": lambda: tasks.remembering(tasks.of_classes(digits, [1, 0, 2]), memory),
             "no new one": lambda: tasks.remembering(old, memory), "A NoneType": lambda: tasks.remembering(so_far, None),
             "they must agree": lambda: tasks.remembering(tasks.of_classes(dd.load("digits"), range(4)), memory),
             "no memory to join": lambda: tasks.joined([]), "A str was": lambda: tasks.joined("ab"),
             "of one size": lambda: tasks.joined([memory, dd.DistilledSet.real(tasks.of_classes(dd.load("digits"), [2, 3]))])}
    for words, made in wrong.items():
        with pytest.raises(ValueError, match=words):
            made()


@pytest.mark.parametrize("classes, each, ends", [(5, 2, [2, 5]), (6, 4, [4, 6]), (3, 2, [3]), (4, 4, [4])])
def test_no_class_is_left_out_of_tasks_in_turn(classes, each, ends):
    data = made_up((1, 12, 12), classes=classes, n=20 * classes)
    found = list(tasks.in_turn(data, each, 144, outer_steps=1))
    assert [len(so_far.classes) for so_far, *_ in found] == ends
    assert all(set(memory.labels.flatten().tolist()) == set(range(len(so_far.classes)))
               for so_far, *both in found for memory in both)


def test_what_has_no_generator_makes_no_images(tiny):
    for change in (lambda dset: gtn.redrawn(dset), lambda dset: gtn.made(dset, torch.zeros(1, 3, 4))):
        with pytest.raises(ValueError, match="has no generator: make it with"):
            change(dd.DistilledSet.noise(tiny))
    for change in (gtn.redrawn, gtn.shuffled):
        with pytest.raises(ValueError, match="seed"):
            change(dd.DistilledSet.noise(tiny, storage=Generator(4, 4, 3)), seed=-1)


def test_tasks_in_turn_keep_to_their_budget():
    data = tasks.of_classes(dd.load("digits"), range(4))
    for k, (so_far, alone, memory) in enumerate(tasks.in_turn(data, outer_steps=2), 1):
        assert so_far.classes == alone.classes == memory.classes == tuple("0123"[:2 * k])
        assert tasks.bases_within(so_far, 2 * k * 576).floats <= 2 * k * 576
    assert set(memory.labels[0].tolist()) == {0, 1, 2, 3} and memory != alone


@pytest.mark.parametrize("method", ["gtn", "past"])
def test_the_command_line_learns_and_compares(method, tmp_path, capsys):
    main(["distill", "--method", method, "--outer-steps", "2", "--held-out", "2", "--output", str(tmp_path / "it")])
    about = json.loads((tmp_path / "it.json").read_text())
    beside = {"gtn": {"shuffled", "redrawn"}, "past": {"from_scratch"}}[method]
    assert about["method"] == method and beside <= set(about) and beside <= set(about["seeds"][0])
    dset = dd.DistilledSet.load(tmp_path / "it.safetensors")
    assert dset.protocol == "A" and dset.floats == about["floats"]


def test_baselines_have_the_floats_of_what_they_stand_beside():
    data = dd.load("digits")
    settings = {**memories.PAST, **PROFILES["past"]["quick"], "epochs": 1}
    rows = dict(memories.compare_past(settings, data, 2, 1, draws=1))
    assert {"random real", "class means", "k-means in 15 bases, not learned", "random real, protocol A"} < set(rows)
    assert all(report.floats is None or report.floats <= 5760 for report in rows.values())
    assert memories.shared(settings, data).floats <= 5760
    settings = {**memories.GTN, "network": dd.MLP, "batches": 2}
    rows = dict(memories.compare_gtn(settings, data, 2, draws=1))
    assert set(rows) == {"real batches", "class means", "k-means"}
    assert all(report.protocol == "A" and report.gradient_steps == 2 for report in rows.values())


def test_bases_can_begin_at_centres():
    """Their images are the mixtures that come nearest to the k-means centres, a pool of them in each place."""
    data = dd.load("digits")
    settings = {**memories.PAST, **PROFILES["past"]["quick"], "begin": "k-means"}
    begun = memories.shared(settings, data)
    centres = dd.baselines.centres(data, 30, seed=0)
    nearest = memories.in_storage(centres, Bases(15, 3), dd.Recipe())
    assert torch.allclose(everyone(begun).images, nearest.images, atol=1e-4) and begun.momentum == memories.shared(
        {**settings, "begin": "noise"}, data).momentum
    plain = memories.shared({**settings, "bases": None, "down": 1, "images_per_class_and_batch": 1}, data)
    assert torch.allclose(plain.images, dd.baselines.class_means(data).images, atol=1e-5)
    with pytest.raises(ValueError, match="'noise' or 'k-means'"):
        memories.shared({**settings, "begin": "zeros"}, data)


@pytest.mark.parametrize("name, least, beside", [
    ("gtn-digits", 86, {"shuffled": 85, "redrawn": 85}), ("past-digits", 90, {"from_scratch": 100}),
    ("gtn-mnist", 85, {"shuffled": 86, "redrawn": 84}), ("past-mnist", 86, {"from_scratch": 100})])
def test_what_ships_is_what_was_measured(name, least, beside):
    """Three seeds each, chosen on validation; the set is the manifest's, and teaches a network that it has not met."""
    about, dset = dd.manifest(f"gallery/{name}"), dd.DistilledSet.shipped(f"gallery/{name}")
    with results.resources.as_file(results.ASSETS / f"gallery/{name}.safetensors") as path:
        assert about["set"] == fingerprint_of_file(path)
    assert f"distill --held-out 10 --seeds 0 1 2 --method {about['method']} " in about["command"]
    assert "dirty" not in about["commit"]
    assert len(about["seeds"]) == 3 and sum(run["test"] for run in about["seeds"]) / 3 > least
    assert about["validation"] == max(run["validation"] for run in about["seeds"])
    assert about["protocol"] == dset.protocol == "A" and about["floats"] == dset.floats and about["networks"] == 10
    for what, most in beside.items():
        assert sum(run[what]["mean"] for run in about["seeds"]) / 3 < most
    if about["configuration"]["data"] != "digits":
        return
    data = dd.load("digits")
    network = dd.RandomStart(dd.MLP, data, seed=about["seed"]).networks("held-out", 1)[0]
    assert about["data_fingerprint"] == data.fingerprint
    assert abs(dd.accuracy(dset.train(network), data.test) - about["scores"][0]) < 2


def test_shared_bases_reach_both_protocols_in_ten_images_floats():
    for name, floats, least in (("past-digits", 5760, 91), ("past-mnist", 7840, 87)):
        about = dd.manifest(f"gallery/{name}")
        assert about["floats"] <= floats and sum(run["from_scratch"]["mean"] for run in about["seeds"]) / 3 >= least


@pytest.mark.parametrize("name", ["gtn-digits-fixed", "gtn-digits-fresh", "gtn-digits-momenta", "gtn-digits-pixels",
                                  "past-digits-small", "past-digits-plain"])
def test_what_stands_beside_them_has_three_seeds(name):
    """By its own profile of the same data; the noise is the only thing that is fixed or fresh."""
    about = dd.manifest(f"gallery/{name}")
    method, _, kind = name.split("-")
    settings = {"gtn": memories.GTN, "past": memories.PAST}[method] | METHOD_PROFILES[method][f"quick-{kind}"]
    assert about["data_fingerprint"] == dd.load("digits").fingerprint and "dirty" not in about["commit"]
    assert len(about["seeds"]) == 3 and about["networks"] == 10
    assert all(settings[what] == value for what, value in about["configuration"].items() if what != "network")


def test_what_the_lessons_say_of_rankings_and_tasks_is_measured():
    """The correlations are those of the scores beside them; each memory has three seeds after each of five tasks."""
    found, tried = dd.manifest("gallery/gtn-ranking"), dd.manifest("gallery/gtn-ranking-cures")
    for row in (*found["rows"].values(), *tried["rows"].values()):
        for scores, kept in zip(row["scores"], row["agreement"], strict=True):
            assert ranking.agreement(scores, found["truth"]) == pytest.approx(kept)
    assert len(tried["rows"]) == 3 and all(len(row["scores"]) == 3 for row in tried["rows"].values())
    assert set(found["truth"]) == set(ranking.KINDS) and found["weights"] == ranking.weights(dd.load("digits"))
    rows = dd.manifest("gallery/past-tasks")["rows"]
    assert all(list(row) == ["2", "4", "6", "8", "10"] and {len(each) for each in row.values()} == {3} for row in rows.values())
