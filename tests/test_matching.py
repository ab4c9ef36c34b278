"""Lesson 5: gradients that are matched, against slow loops, finite differences, and what theory gives for nothing."""

import json
import signal
from dataclasses import replace
from functools import partial

import filelock
import pytest
import torch
from torch import nn
from torch.nn import functional as F

import ddlite as dd
from ddlite import batches, results
from ddlite.cli import methods, parser
from ddlite.cli.common import Lines
from ddlite.cli.main import main
from ddlite.gallery import dc, idc
from ddlite.gallery.walk import Walk
from ddlite.machinery.files import fingerprint_of_file, read_json


@pytest.fixture(scope="module")
def digits():
    return dd.load("digits", size=8)


def linear(weight=0.0, bias=False):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10, bias=bias)).double()
    torch.manual_seed(0)
    with torch.no_grad():
        for each in network.parameters():
            each.copy_(weight * torch.randn_like(each))
    return network


def batch(digits, per_class=6, seed=0):
    images, labels = batches.draw_by_class(digits, per_class, torch.Generator().manual_seed(seed))
    return images.double(), labels


def gradients(seed, sizes=((5, 3), (5,), (4, 2, 3, 3))):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(size, generator=generator, dtype=torch.float64) for size in sizes]


def test_distances_are_those_of_slow_loops():
    ours, theirs = gradients(0), gradients(1)
    rows = [(a, b) for x, y in zip(ours, theirs) if x.dim() > 1 for a, b in zip(x.flatten(1), y.flatten(1))]
    assert len(rows) == 9  # not those of the array with one dimension
    assert dc.distance(ours, theirs, "rows").item() == pytest.approx(
        sum(1 - (a @ b / (a.norm() * b.norm())).item() for a, b in rows))
    a, b = (torch.cat([each.flatten() for each in side]) for side in (ours, theirs))
    assert dc.distance(ours, theirs).item() == pytest.approx(1 - (a @ b / (a.norm() * b.norm())).item())
    assert dc.distance(ours, theirs, "squared").item() == pytest.approx(((a - b) ** 2).sum().item())
    assert dc.distance(ours, theirs, "absolute").item() == pytest.approx((a - b).abs().sum().item())


@pytest.mark.parametrize("kind", dc.DISTANCES)
@pytest.mark.parametrize("scale", [1e-12, 1e-4, 1.0, 1e6])
def test_equal_gradients_have_no_distance_at_any_scale(kind, scale):
    """An epsilon that is added would make small ones differ: 34 rows of 1e-4 were 33.98 apart."""
    same = [scale * each.float() for each in gradients(2)]
    assert dc.distance(same, same, kind).item() == pytest.approx(0, abs=1e-5)
    if kind in ("rows", "cosine"):
        other = gradients(3)
        assert dc.distance(same, [scale * each.float() for each in other], kind).item() == pytest.approx(
            dc.distance(gradients(2), other, kind).item(), abs=1e-5)


def test_a_row_without_gradient_is_one_apart_and_makes_no_nan():
    ours = [torch.zeros(2, 3, requires_grad=True)]
    value = dc.distance(ours, [torch.ones(2, 3)], "rows")
    value.backward()
    assert value == 2 and ours[0].grad.isfinite().all()
    assert dc.distance([torch.zeros(2, 3)], [torch.zeros(2, 3)]) == 1


@pytest.mark.parametrize("kind", dc.DISTANCES)
@pytest.mark.parametrize("by_class", [True, False])
def test_the_gradient_is_that_of_finite_differences(kind, by_class, digits):
    """The real side constant, our side differentiated twice; a set of two batches."""
    torch.manual_seed(1)
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.Tanh(), nn.Linear(6, 10)).double()
    goal, real = dc.Match(digits, kind, by_class), batch(digits)
    images, labels = torch.randn(2, 10, 1, 8, 8, dtype=torch.float64), torch.arange(10).repeat(2, 1)
    value, found = goal.meta_gradient(network, real, images, labels)
    nudge = torch.randn_like(images)
    nudge *= 1e-5 / nudge.norm()
    ends = [goal.meta_gradient(network, real, images + sign * nudge, labels)[0] for sign in (1, -1)]
    assert (found["images"] * nudge).sum().item() == pytest.approx(((ends[0] - ends[1]) / 2).item(), rel=1e-3, abs=1e-13)
    assert value.item() == pytest.approx(ends[0].item(), rel=1e-2)


def test_the_distance_is_that_of_a_slow_loop_over_classes(digits):
    network, real = dd.initialise(dd.MLP(digits.shape), 3).double(), batch(digits)
    images, labels = torch.randn(1, 20, 1, 8, 8, dtype=torch.float64), torch.arange(10).repeat(2)[None]

    def gradient(images, labels):
        return torch.autograd.grad(F.cross_entropy(network(images), labels), list(network.parameters()))

    pairs = [[gradient(*(each[side[1] == c] for each in side)) for side in ((images[0], labels[0]), real)] for c in range(10)]
    wanted = sum(dc.distance(*pair) for pair in pairs)
    assert dc.Match(digits).meta_gradient(network, real, images, labels)[0].item() == pytest.approx(wanted.item())
    ours, theirs = ([sum(arrays) / 10 for arrays in zip(*(pair[k] for pair in pairs))] for k in (0, 1))
    goal = dc.Match(digits, "squared", by_class=False)
    assert goal.meta_gradient(network, real, images, labels)[0].item() == pytest.approx(
        dc.distance(ours, theirs, "squared").item())
    more = torch.cat([images, images[:, 7:8]], 1), torch.cat([labels, labels[:, 7:8]], 1)  # one class more often
    assert goal.meta_gradient(network, real, *more)[0].item() != pytest.approx(dc.distance(ours, theirs, "squared").item())
    twice = torch.cat([images, images[:, [7, 17]]], 1), torch.cat([labels, labels[:, [7, 17]]], 1)
    assert goal.meta_gradient(network, real, *twice)[0].item() == pytest.approx(dc.distance(ours, theirs, "squared").item())


def test_at_zero_weights_matching_is_the_class_mean(digits):
    """Linear softmax: the distance is C times the sum over classes of 1 - cos(mean of S_c, mean of T_c)."""
    images, labels = batch(digits)
    means = torch.stack([images[labels == c].mean(0) for c in range(10)])
    own = torch.arange(10)[None]
    goal, network = dc.Match(digits, "rows"), linear()
    drawn = torch.randn(1, 10, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    wanted = 10 * (1 - F.cosine_similarity(drawn[0].flatten(1), means.flatten(1))).sum()
    assert goal.meta_gradient(network, (images, labels), drawn, own)[0].item() == pytest.approx(wanted.item(), rel=1e-6)
    value, found = goal.meta_gradient(network, (images, labels), 3 * means[None], own)  # whatever its length
    assert value.item() == pytest.approx(0, abs=1e-6) and found["images"].abs().max() < 1e-6
    assert dc.Match(digits, "squared").meta_gradient(network, (images, labels), means[None], own)[0].item() < 1e-12


def test_collective_matching_is_blind_to_what_classes_share(digits):
    real, own = batch(digits), torch.arange(10)[None]
    images = torch.randn(1, 10, 1, 8, 8, dtype=torch.float64)
    picture = 3 * torch.randn(1, 8, 8, dtype=torch.float64)
    for kind in ("rows", "squared", "cosine"):
        before, after = (dc.Match(digits, kind, by_class=False).meta_gradient(linear(), real, each, own)[0].item()
                         for each in (images, images + picture))
        assert before == pytest.approx(after, rel=1e-6)
        before, after = (dc.Match(digits, kind).meta_gradient(linear(), real, each, own)[0].item()
                         for each in (images, images + picture))
        assert abs(before - after) > 1e-3


def test_warming_up_is_by_class(digits):
    goal = dc.Match(digits, "squared", by_class=False, warm_up=3)
    assert [goal.at(step).by_class for step in (1, 3, 4)] == [True, True, False] and goal.at(1).distance == "squared"
    settings = {"batch_size": 40, "validate_every": 9, "validation_networks": 1}
    start, noise = dd.RandomStart(dd.MLP, digits), dd.DistilledSet.noise(digits)
    one, two, three = (list(dd.distill(noise, start, each, 4, **settings)) for each in (
        goal, dc.Match(digits, "squared"), dc.Match(digits, "squared", by_class=False)))
    assert torch.equal(one[2].distilled.images, two[2].distilled.images)
    assert not torch.equal(one[3].distilled.images, two[3].distilled.images) and one[0].loss != three[0].loss


@pytest.mark.parametrize("on", ["set", "data"])
def test_a_walk_goes_on_from_a_checkpoint_with_the_same_numbers(on, digits, tmp_path):
    def walk():
        return Walk(dd.RandomStart(dd.MLP, digits), digits if on == "data" else on, matches=4, between=2)

    dset, goal = dd.DistilledSet.noise(digits), dc.Match(digits)
    settings = {"outer_steps": 7, "batch_size": 40, "validate_every": 3, "validation_networks": 1}
    one = walk()
    *_, whole = dd.distill(dset, one, goal, **settings)
    *_, again = dd.distill(dset, one, goal, **settings)  # the same start once more
    assert whole.distilled == again.distilled
    for stop in (3, 4, 6):
        path = tmp_path / f"{stop}.safetensors"
        states = dd.distill(dset, walk(), goal, **settings, checkpoint=path)
        for _ in range(stop):
            next(states)
        states.close()
        *_, resumed = dd.distill(dset, walk(), goal, **settings, checkpoint=path)
        assert torch.equal(resumed.distilled.images, whole.distilled.images)


def test_a_walk_takes_the_steps_that_it_says(digits):
    start, dset = dd.RandomStart(dd.MLP, digits), dd.DistilledSet.real(digits)
    walk = Walk(start, matches=3, between=2, step_size=0.1)
    [first] = walk.networks("training", 1, 0)
    fresh = start.networks("training", 2)
    assert torch.equal(first.linear1.weight, fresh[0].linear1.weight)
    walk.follow(dset)
    by_hand = dset.with_step_sizes(0.1).train(fresh[0], passes=2)
    [then] = walk.networks("training", 1, 1)
    assert torch.allclose(then.linear1.weight, by_hand.linear1.weight)
    walk.networks("training", 1, 2)
    walk.follow(dset)  # the next match is another network's
    assert torch.equal(walk.networks("training", 1, 3)[0].linear1.weight, fresh[1].linear1.weight)
    assert torch.equal(walk.networks("held-out")[0].linear1.weight, start.networks("held-out")[0].linear1.weight)


def test_noise_becomes_a_set_that_teaches(digits):
    """Ten images from noise do as well as their class means, up to a few points; and nothing is trained meanwhile."""
    start, goal = dd.RandomStart(dd.MLP, digits), dc.Match(digits)
    noise = dd.DistilledSet.noise(digits, recipe=dd.Recipe(epochs=100, learning_rate=0.03))
    *_, last = dd.distill(noise, start, goal, 100, batch_size=160, learning_rate=0.1, validate_every=50, validation_networks=2)
    reports = {name: dd.evaluate(dset, start.networks("held-out", 3), goal, digits.test, [1]) for name, dset in {
        "learned": last.best, "noise": noise,
        "class means": replace(dd.baselines.class_means(digits), recipe=noise.recipe)}.items()}
    assert reports["learned"].mean > max(75, reports["noise"].mean + 40, reports["class means"].mean - 8)
    assert "match" in last.best.goal and dd.goals.named(last.best.goal, digits).name == "fit"


def test_baselines_under_protocol_b(digits):
    rows = dict(dd.baselines.from_scratch(dd.Fit(digits), dd.RandomStart(dd.MLP, digits), 2, dd.Recipe(epochs=30),
                                          storages=[idc.Patches(2)], networks=3, draws=2, epochs=2))
    assert list(rows) == ["random real", "real in Patches(2)", "class means", "k-means", "all real images"]
    assert rows["random real"].floats == rows["real in Patches(2)"].floats == rows["k-means"].floats == 20 * 64
    assert rows["class means"].floats == 640 and rows["random real"].draws == 2
    assert all(report.protocol == "B" for name, report in rows.items() if name != "all real images")
    dd.Comparison(rows)


class OnlyNorms(nn.Module):
    """A network all of whose weights are one-dimensional."""

    def __init__(self, shape=(1, 8, 8), classes=10):
        super().__init__()
        self.norm = nn.LayerNorm(8)

    def forward(self, images):
        return self.norm(images).flatten(1)[:, :10]


def one_step(data, dset, goal, make=dd.MLP, **settings):
    settings = {"batch_size": 40, "validation_networks": 1, **settings}
    return next(dd.distill(dset, dd.RandomStart(make, data), goal, 1, **settings))


def test_bad_input_is_refused_in_words(digits):
    noise = dd.DistilledSet.noise(digits)
    some = replace(noise, images=noise.images[:, :9], labels=noise.labels[:, :9])
    soft = dd.DistilledSet.noise(digits, learn_labels=True)
    lacking = replace(digits, train=replace(digits.train, images=digits.train.images[digits.train.labels != 4],
                                            labels=digits.train.labels[digits.train.labels != 4]))
    for words, call in {
        "no distance 'cosines'. Known: rows": lambda: dc.Match(digits, "cosines"),
        "no distance 'l2'": lambda: dc.distance(gradients(0), gradients(1), "l2"),
        "compares none of them. Choose another": lambda: dc.distance([torch.ones(3)], [torch.ones(3)], "rows"),
        "no gradient to match": lambda: dc.distance([], []),
        "belong to no class: match with by_class=False": lambda: one_step(digits, soft, dc.Match(digits)),
        "The set has no image of class 9": lambda: one_step(digits, some, dc.Match(digits)),
        "no image of class 9,": lambda: one_step(digits, some, dc.Match(digits, by_class=False)),
        "Class 4 has no training image": lambda: one_step(lacking, noise, dc.Match(lacking)),
        "a real image of each of 10 classes": lambda: one_step(digits, noise, dc.Match(digits), batch_size=9),
        "no weights of convolutions": lambda: one_step(digits, noise, dc.Match(digits, convolutions=True)),
        "compares none": lambda: one_step(digits, noise, dc.Match(digits, "rows"), OnlyNorms),
        "choose a k that divides both sides": lambda: dd.DistilledSet.real(digits, storage=idc.Patches(3)),
        "warm_up": lambda: dc.Match(digits, by_class=False, warm_up=-1),
        "a walk has one network at a time": lambda: next(dd.distill(noise, Walk(dd.RandomStart(dd.MLP, digits)),
                                                                    dc.Match(digits), 1, networks=2)),
        "'set', or a Data": lambda: Walk(dd.RandomStart(dd.MLP, digits), on="real"),
        "given as start": lambda: Walk(digits),
        "does not take images": lambda: Walk(dd.RandomStart(dd.MLP, digits), dd.load("digits", size=12)),
        "k is True": lambda: idc.Patches(True),
        "cannot cut pictures of 8x8": lambda: dd.DistilledSet.noise(digits, storage=idc.Patches(9)),
        "of different arrays, .*take both at one": lambda: dc.distance([torch.ones(2, 2)], [torch.ones(2, 3)]),
        "different arrays": lambda: dc.distance([torch.ones(2, 2)], []),
        "step_size": lambda: Walk(dd.RandomStart(dd.MLP, digits), step_size=0),
        "no profile 'slow'": lambda: methods.settings_of("dc", "slow"),
    }.items():
        with pytest.raises(ValueError, match=words.replace("(", r"\(")):
            call()


def test_what_is_refused_loses_nothing(digits, tmp_path):
    """A checkpoint, and a result on disk, stay as they are when the next command is none."""
    path = tmp_path / "it.safetensors"
    settings = {"outer_steps": 4, "batch_size": 40, "validation_networks": 1, "checkpoint": path, "checkpoint_every": 1}
    noise, start = dd.DistilledSet.noise(digits), dd.RandomStart(dd.MLP, digits)
    next(dd.distill(noise, start, dc.Match(digits), **settings))
    kept = path.read_bytes()
    for goal, words in ((dc.Match(digits, convolutions=True), "goal"), (dc.Match(digits, "squared"), "goal")):
        with pytest.raises(ValueError, match=words):
            next(dd.distill(noise, start, goal, **settings))
    with pytest.raises(ValueError, match="batch_size|a real image of each"):
        next(dd.distill(noise, start, dc.Match(digits), **{**settings, "batch_size": 3}))
    assert path.read_bytes() == kept
    assert [state.outer_step for state in dd.distill(noise, start, dc.Match(digits), **settings)] == [2, 3, 4]


def test_learned_labels_can_be_matched_all_at_once(digits):
    """Their gradient, too, against finite differences."""
    network, real = linear(0.1), batch(digits)
    images, labels = torch.randn(1, 10, 1, 8, 8).double(), torch.randn(1, 10, 10).double().softmax(-1)
    goal = dc.Match(digits, by_class=False)
    _, found = goal.meta_gradient(network, real, images, labels)
    nudge = torch.zeros_like(labels)
    nudge[0, 3, 5] = 1e-5
    ends = [goal.meta_gradient(network, real, images, labels + sign * nudge)[0] for sign in (1, -1)]
    assert found["labels"][0, 3, 5].item() == pytest.approx(((ends[0] - ends[1]) / 2e-5).item(), rel=1e-4)
    assert one_step(digits, dd.DistilledSet.noise(digits, learn_labels=True), goal).loss > 0


def test_convolutions_alone(digits):
    """IDC's choice: what the linear layer would say plays no part."""
    network, real = dd.initialise(dd.ConvNet3(digits.shape, width=4), 0), batch(digits, 2)
    real = real[0].float(), real[1]
    images, labels = torch.randn(1, 10, 1, 8, 8), torch.arange(10)[None]
    values = [dc.Match(digits, "absolute", convolutions=choice).meta_gradient(network, real, images, labels)[0].item()
              for choice in (True, False)]
    assert 0 < values[0] < values[1]


RUN = ["distill", "--method", "idc", "--held-out", "2", "--outer-steps", "2", "--threads", "1", "--output"]


def test_the_command_leaves_a_set_and_a_manifest(tmp_path, recwarn):
    main([*RUN, str(tmp_path / "it"), "--seeds", "0", "1"])
    about, dset = read_json(tmp_path / "it.json"), dd.DistilledSet.load(tmp_path / "it.safetensors")
    assert len(about["seeds"]) == 2 and about["protocol"] == dset.protocol == "B" and dset.storage.k == 2
    assert about["floats"] == dset.floats == 5760 and about["method"] == "idc" and about["networks"] == 2
    assert about["configuration"]["network"] == "MLP, 91,658 weights" and about["configuration"]["outer_steps"] == 2
    assert about["set"] == fingerprint_of_file(tmp_path / "it.safetensors")
    assert not recwarn.list  # a set that matches is not one made to harm


def test_a_method_has_the_guarantees_of_every_distillation(tmp_path, capsys):
    """A finished result stands, another's is not overwritten, a lost set is made again, and two do not write at once."""
    main([*RUN, str(tmp_path / "a")])
    first, kept = capsys.readouterr().out, (tmp_path / "a.safetensors").read_bytes()
    main([*RUN, str(tmp_path / "a")])
    assert capsys.readouterr().out == first and not list(tmp_path.glob(".*"))
    for other in (["--learning-rate", "0.2"], ["--method", "dc"], ["--profile", "laptop", "--data", "digits"]):
        with pytest.raises(SystemExit, match="finished result of other settings .*--force"):
            main([*RUN, str(tmp_path / "a"), *other])
    with pytest.raises(SystemExit, match="finished result of other settings .*--force"):
        main(["distill", "--outer-steps", "2", "--output", str(tmp_path / "a")])  # of lesson 1
    assert (tmp_path / "a.safetensors").read_bytes() == kept
    with filelock.FileLock(tmp_path / ".a.lock"), pytest.raises(SystemExit, match="Another process is writing"):
        main([*RUN, str(tmp_path / "a")])
    main([*RUN, str(tmp_path / "a"), "--outer-steps", "1", "--force"])
    assert read_json(tmp_path / "a.json")["configuration"]["outer_steps"] == 1


def test_an_interrupted_method_goes_on_with_the_same_numbers(tmp_path, monkeypatch):
    words = [*RUN, str(tmp_path / "a"), "--method", "dc", "--outer-steps", "5", "--validate-every", "2"]
    main(words)
    whole = dd.DistilledSet.load(tmp_path / "a.safetensors")
    tell, told = Lines.tell, []

    def stop(lines, state):
        told.append(state.outer_step)
        if told == [1, 2, 3]:
            signal.raise_signal(signal.SIGTERM)
        tell(lines, state)

    monkeypatch.setattr(Lines, "tell", stop)
    words[words.index(str(tmp_path / "a"))] = str(tmp_path / "b")
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 128 + signal.SIGTERM and not (tmp_path / "b.json").exists()
    main(words)
    assert told == [1, 2, 3, 4, 5] and dd.DistilledSet.load(tmp_path / "b.safetensors") == whole


@pytest.mark.parametrize("words, message", [
    ("--profile slow", "no profile 'slow' of dc. Known: quick"), ("--profile latop", "Did you mean laptop"),
    ("--passes 3", "dc has no setting passes. Known: images_per_class_and_batch"), ("--engine chain", "leave it out"),
    ("--method kick", "invalid choice"), ("--experiment random", "not allowed with"),
    ("--images-per-class 1.5", "a whole number"), ("--batch-size 5", "a real image of each of 10 classes"),
    ("--data nothing", "no data set")])
def test_a_method_with_settings_that_are_none(words, message, tmp_path, capsys):
    with pytest.raises(SystemExit) as end:
        main(["distill", "--method", "dc", "--output", str(tmp_path / "a"), *words.split()])
    assert message in f"{end.value} {capsys.readouterr().err}" and not list(tmp_path.iterdir())


def test_baselines_of_a_method(tmp_path, capsys):
    main(["baselines", "--method", "idc", "--held-out", "2", "--epochs", "1", "--output", str(tmp_path / "b")])
    rows = read_json(tmp_path / "b.json")["rows"]
    assert list(rows) == ["random real", "real in Patches(2)", "real in Patches(3)", "class means", "all real images"]
    assert rows["random real"]["protocol"] == "B" and rows["class means"]["text"] in capsys.readouterr().out


def test_a_set_meets_other_networks_on_the_command_line(tmp_path, capsys, digits):
    """A ConvNet3 of another width than customary is built again from what the set knows; other networks by their names."""
    start = dd.RandomStart(partial(dd.ConvNet3, width=3, padding=3), digits, seed=4)
    dset = replace(dd.DistilledSet.real(digits, recipe=dd.Recipe(epochs=2)), start=start.describe())
    dset.save(tmp_path / "a.safetensors")
    words = ["evaluate", str(tmp_path / "a.safetensors"), "--held-out", "2", "--json"]
    main(words)
    own = json.loads(capsys.readouterr().out)
    assert own["scores"][0][-1] == dd.accuracy(dset.train(start.networks()[0]), digits.test)
    main([*words, "--network", "MLP", "ConvNet3:2"])
    rows = json.loads(capsys.readouterr().out)["rows"]
    narrow = dd.RandomStart(partial(dd.ConvNet3, width=2), digits, seed=4).networks("held-out", 2)
    assert list(rows) == ["MLP", "ConvNet3:2"] and rows["MLP"]["protocol"] == "B"
    assert rows["ConvNet3:2"]["mean"] == dd.evaluate(dset, narrow, dd.Fit(digits), digits.test).mean
    for name in ("MLP:3", "distill", "ConvNet3:x", "nothing"):
        with pytest.raises(SystemExit, match="none of ddlite's networks"):
            main([*words, "--network", name])


def test_the_parser_knows_the_methods():
    assert parser.METHODS == tuple(methods.METHODS)
    for method in methods.METHODS.values():
        for settings in ({**method.defaults, **profile} for profile in method.profiles.values()):
            assert "outer_steps" in settings and all(callable(value) for key, value in settings.items() if key == "network")


@pytest.mark.parametrize("name, least", [("dc-digits-10", 87), ("dcc-digits-10", 87), ("idc-digits-10", 90.5),
                                         ("dc-digits-100", 92)])
def test_what_ships_is_what_was_measured(name, least):
    """Three seeds each; the set is the manifest's, and teaches a network that it has not met."""
    about, dset = dd.manifest(f"gallery/{name}"), dd.DistilledSet.shipped(f"gallery/{name}")
    with results.resources.as_file(results.ASSETS / f"gallery/{name}.safetensors") as path:
        assert about["set"] == fingerprint_of_file(path)
    assert about["command"].startswith(f"python -m ddlite distill --method {about['method']} ") and about["commit"]
    assert "dirty" not in about["commit"] and about["data_fingerprint"] == dd.load("digits").fingerprint
    assert len(about["seeds"]) == 3 and sum(run["test"] for run in about["seeds"]) / 3 > least
    assert about["validation"] == max(run["validation"] for run in about["seeds"])
    data = dd.load("digits")
    network = dd.RandomStart(dd.MLP, data, seed=about["seed"]).networks("held-out", 1)[0]
    assert abs(dd.accuracy(dset.train(network), data.test) - about["scores"][0]) < 1.5


def test_collective_matching_takes_half_the_time():
    """As it ships: seconds of the processor for each seed."""
    dc_seconds, dcc_seconds = ([run["cpu_seconds"] for run in dd.manifest(f"gallery/{name}-digits-10")["seeds"]]
                               for name in ("dc", "dcc"))
    assert sum(dcc_seconds) < sum(dc_seconds) / 2


def test_every_matched_set_is_its_manifests():
    """Whatever ships was judged by five networks or more, of the kind and by the protocol that the set itself knows."""
    names = [name for name in dd.shipped("gallery") if dd.manifest(name).get("method") in ("dc", "dcc", "idc")]
    for name in names:
        about, dset = dd.manifest(name), dd.DistilledSet.shipped(name)
        with results.resources.as_file(results.ASSETS / f"{name}.safetensors") as path:
            assert about["set"] == fingerprint_of_file(path)
        assert about["networks"] >= 5 and about["protocol"] == dset.protocol and about["floats"] == dset.floats
        assert about["configuration"]["network"].startswith(dset.start["network"])
