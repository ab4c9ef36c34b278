"""Starting from knowledge: pools of pre-trained networks, adaptation, and the one-step attack."""

import sys
from dataclasses import replace

import pytest
import torch
from conftest import made_up
from torch import nn
from torch.nn import functional as F

import ddlite as dd
from ddlite import live, pools, show
from ddlite.cli import main as cli
from ddlite.machinery.files import read_json

SHORT = {"epochs": 2, "learning_rate": 2e-3, "halve_every": 1, "batch_size": 128}


def weights(network):
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


def test_pretraining_is_torchs_adam(digits):
    network = dd.initialise(dd.MLP(digits.shape), 0)
    mine = dd.pretrain(network, digits, seed=5, epochs=2, learning_rate=1e-3, halve_every=1, batch_size=500)
    theirs, generator = dd.initialise(dd.MLP(digits.shape), 0), torch.Generator().manual_seed(5)
    adam = torch.optim.Adam(theirs.parameters(), lr=1e-3, betas=(0.5, 0.999))
    for epoch in range(2):
        adam.param_groups[0]["lr"] = 1e-3 / 2**epoch
        for which in torch.randperm(len(digits.train), generator=generator).split(500):
            adam.zero_grad()
            F.cross_entropy(theirs(digits.train.images[which]), digits.train.labels[which]).backward()
            adam.step()
    assert torch.allclose(weights(mine), weights(theirs), atol=1e-5)
    assert not torch.equal(weights(mine), weights(network))


def test_a_pool_goes_round_and_its_roles_are_apart(digits):
    pool = dd.PoolStart(dd.MLP, digits, size=2, **SHORT)
    first, second, again = pool.networks("training", 3)
    assert torch.equal(weights(first), weights(again)) and not torch.equal(weights(first), weights(second))
    assert torch.equal(weights(second), weights(pool.networks("training", 1, first=3)[0]))
    others = [weights(pool.networks(role, 1)[0]) for role in ("training", "validation", "held-out")]
    assert len({tuple(other[:5].tolist()) for other in others}) == 3
    assert all(dd.accuracy(network, digits.test) > 80 for network in pool.networks("held-out", 2))
    same = dd.PoolStart(dd.MLP, digits, size=5, **SHORT)
    assert torch.equal(weights(same.networks("training")[0]), weights(first)), "the same settings, the same networks"


def test_an_interrupted_pool_goes_on(digits, tmp_path, monkeypatch):
    trained, pretrain = [], pools.pretrain

    def interrupted(*args, **kwargs):
        if len(trained) == 2:
            raise KeyboardInterrupt
        trained.append(1)
        return pretrain(*args, **kwargs)

    interrupted.__kwdefaults__ = pretrain.__kwdefaults__
    monkeypatch.setattr(pools, "pretrain", interrupted)
    with pytest.raises(KeyboardInterrupt):
        dd.PoolStart(dd.MLP, digits, size=3, folder=tmp_path, **SHORT).fill()
    assert len(list(tmp_path.rglob("*.safetensors"))) == 2 and not list(tmp_path.rglob("*.part"))
    monkeypatch.setattr(pools, "pretrain", pretrain)
    pool = dd.PoolStart(dd.MLP, digits, size=3, folder=tmp_path, **SHORT).fill(held_out=1)
    assert len(list(tmp_path.rglob("*.safetensors"))) == 4
    fresh = dd.PoolStart(dd.MLP, digits, size=3, **SHORT)
    for kept, anew in zip(pool.networks("training", 3), fresh.networks("training", 3)):
        assert torch.equal(weights(kept), weights(anew))


@pytest.mark.parametrize("change", [{"epochs": 3}, {"seed": 1}, {"init": "orthogonal"}, {"make": dd.SmallLeNet},
                                    {"source": "digits-shifted"}])
def test_a_pool_with_other_settings_is_never_reused(digits, tmp_path, change):
    settings = {"make": dd.MLP, "source": digits, "size": 1, "folder": tmp_path, **SHORT}
    one = dd.PoolStart(**settings).fill()
    if "source" in change:
        change = {"source": dd.load(change["source"])}
    two = dd.PoolStart(**{**settings, **change}).fill()
    assert one.folder != two.folder and len(list(tmp_path.rglob("*.safetensors"))) == 2
    [path] = one.folder.glob("*.safetensors")
    [other] = two.folder.glob("*.safetensors")
    path.write_bytes(other.read_bytes())
    with pytest.raises(ValueError, match="belongs to another pool"):
        one.networks("training")[0]
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="truncated"):
        one.networks("training")[0]


def test_bad_pools(digits):
    with pytest.raises(ValueError, match="size=0: a whole number, 1 or more"):
        dd.PoolStart(dd.MLP, digits, size=0)
    with pytest.raises(ValueError, match="no setting epoch. Known: epochs, learning_rate"):
        dd.PoolStart(dd.MLP, digits, epoch=3)
    with pytest.raises(ValueError, match="no role 'test'"):
        dd.PoolStart(dd.MLP, digits, **SHORT).networks("test")


def test_a_pool_must_fit_the_goal(digits):
    """Networks for other pictures, with other numbers of logits, or taught other classes are refused in words."""
    coloured, noise = dd.load("digits", channels=3), dd.DistilledSet.noise(digits)
    fewer = dd.from_arrays(digits.train.images.clamp(0, 1), digits.train.labels % 5, digits.test.images.clamp(0, 1),
                           digits.test.labels % 5, name="fewer")
    named = replace(digits, classes=tuple("abcdefghij"))
    for source, words in ((coloured, r"MLP does not take images \(1, 24, 24\).*of the same shape"),
                          (fewer, "MLP gives 5 logits for an image"), (named, "classes a, b, c.*the same classes")):
        with pytest.raises(ValueError, match=words):
            dd.distill(noise, dd.PoolStart(dd.MLP, source, **{**SHORT, "epochs": 1}), dd.Fit(digits), 1)


def test_networks_that_differ_inside_share_no_folder(digits, tmp_path):
    def make(activation):
        return lambda shape, classes: nn.Sequential(nn.Flatten(), nn.Linear(576, 8), activation(), nn.Linear(8, classes))

    pools_of_two = [dd.PoolStart(make(activation), digits, folder=tmp_path, **SHORT) for activation in (nn.ReLU, nn.Tanh)]
    assert pools_of_two[0].folder != pools_of_two[1].folder


def test_networks_that_differ_in_pictures_or_first_weights_share_no_folder(digits, tmp_path):
    """ConvNet3 has the same weights for 24 and for 28 pixels; an initialisation of one's own is known by what it draws."""
    def make(scale):
        def drawn(shape, classes):
            network = dd.MLP(shape, classes)
            return dd.unroll.with_weights(network, [scale * weight for weight in dd.weights_of(network)])
        return drawn

    sizes = [dd.PoolStart(dd.ConvNet3, dd.load("digits", size=size), folder=tmp_path, **SHORT) for size in (24, 28)]
    own = [dd.PoolStart(make(scale), digits, init="pytorch", folder=tmp_path, **SHORT) for scale in (1, 2)]
    for one, other in (sizes, own):
        assert one.folder != other.folder


def test_the_second_domain_of_the_digits(digits):
    shifted = dd.load("digits-shifted")
    assert shifted.shape == digits.shape and torch.equal(shifted.test.labels, digits.test.labels)
    assert torch.equal(shifted.train.images, dd.load("digits-shifted").train.images)
    network = dd.pretrain(dd.initialise(dd.MLP(digits.shape), 0), digits, **SHORT)
    assert dd.accuracy(network, digits.test) > 80 > 50 > dd.accuracy(network, shifted.test)


def test_grey_beside_coloured(digits):
    coloured = dd.load("digits", channels=3)
    assert coloured.shape == (3, 24, 24) and len(coloured.mean) == len(coloured.train.std) == 3
    assert torch.equal(coloured.test.images[:, 1], digits.test.images[:, 0])
    assert dd.load("digits", channels=1).shape == digits.shape
    with pytest.raises(ValueError, match="1 channels, 2 cannot"):
        dd.load("digits", channels=2)


FEW = {"pool": 1, "pretraining_epochs": 1, "outer_steps": 1, "networks": 1, "validation_networks": 1}


@pytest.mark.parametrize("profile, source, channels", [("full-from-svhn", "svhn.npz", 3), ("full-to-usps", "mnist", 1)])
def test_full_profiles_of_adaptation_take_a_step(real_root, monkeypatch, profile, source, channels):
    """Colours, 28 pixels, the target's own normalisation; a little of SVHN is enough."""
    monkeypatch.setenv("DDLITE_DATA", str(real_root))
    settings = dd.profiles.adaptation(profile, source=source, batches=1, **FEW)
    data = settings.load()
    start = settings.starts(data, 0)
    assert data.shape == start.source.shape == (channels, 28, 28) and data.mean != start.source.mean
    [state] = dd.distill(settings.noise(data, 0), start, settings.goal(data), **settings.outer())
    assert state.distilled.start["kind"] == "pool" and state.distilled.start["source"].startswith(source[:4])


def test_the_full_attack_on_cifar10_takes_a_step():
    """At a small size: 300 images in one step, as in the paper."""
    settings, data = dd.profiles.attack("full-cifar10", batch_size=20, **FEW), made_up((3, 32, 32), n=60)
    noise = settings.noise(data, 0)
    assert noise.images.shape == (1, 300, 3, 32, 32) and len(noise.step_sizes) == 1
    [state] = dd.distill(noise, settings.starts(data, 0), settings.goal(data), **settings.outer())
    assert state.distilled.goal == "attack 0 as 1" and not torch.equal(state.distilled.images, noise.images)


def test_adaptation_serves_networks_outside_the_pool(tmp_path):
    """From the digits to the slanted ones; the set knows where its training starts, and trains a network at its own weights."""
    settings = dd.profiles.adaptation("quick", pool=4, outer_steps=60, validation_networks=2)
    data = settings.load()
    start, goal = settings.starts(data, 0), settings.goal(data)
    *_, state = dd.distill(settings.noise(data, 0), start, goal, **settings.outer())
    report = dd.evaluate(state.best, start.networks("held-out", 4), goal, data.test)
    assert report.before < 50 < report.mean - 20
    state.best.save(tmp_path / "set.safetensors")
    loaded = dd.DistilledSet.load(tmp_path / "set.safetensors")
    assert loaded.start == start.describe() and loaded.initial is None
    known = dd.profiles.adaptation("quick", pool=1, known=True).starts(data, 0)
    assert isinstance(known, dd.FixedStart) and torch.equal(weights(known.network), weights(start.network("training", 0)))


def test_the_loss_and_the_measures_of_an_attack(digits):
    goal = dd.Attack(digits, victim=3, target=8)
    network = dd.initialise(dd.MLP(digits.shape), 0)
    images, labels = digits.train.images[:100], digits.train.labels[:100]
    lied = torch.tensor([8 if label == 3 else label for label in labels.tolist()])
    loss = goal.loss_of(network, images, labels)(dd.weights_of(network))
    assert loss.item() == pytest.approx(F.cross_entropy(network(images), lied).item())
    assert loss.item() != pytest.approx(F.cross_entropy(network(images), labels).item())
    true, predicted = torch.tensor([3, 3, 3, 3, 8, 1, 1, 1]), torch.tensor([3, 8, 8, 1, 8, 1, 8, 2])
    assert list(goal.measures(predicted, true).values()) == [25, 50, 50] and goal.rate(predicted, true) == 50
    assert goal.rate(torch.tensor([8, 8, 8, 8, 8, 1, 1, 1]), true) == 100
    assert type(dd.goals.named(goal.name, digits)) is dd.Attack and dd.goals.named(goal.name, digits).target == 8
    for classes, words in (((3, 3), "two different class numbers in 0..9"), ((0, 10), "target=10: .*, from 0 to 9"),
                           ((-1, 2), "victim=-1"), ((True, 0), "victim=True"), (("0", "1"), "victim='0'")):
        with pytest.raises(ValueError, match=words):
            dd.Attack(digits, *classes)


def test_an_attack_and_its_controls(digits, tmp_path):
    settings = dd.profiles.attack("quick", pool=5, outer_steps=100, validation_networks=2, victim=2, target=7)
    start, goal, noise = settings.starts(digits, 0), settings.goal(digits), settings.noise(digits, 0)
    *_, state = dd.distill(noise, start, goal, **settings.outer())
    strangers = start.networks("held-out", 4)
    report = dd.evaluate(state.best, strangers, goal, digits.test)
    control = dd.evaluate(noise.with_step_sizes(state.best.step_sizes), strangers, goal, digits.test)
    (right, _, others) = report.measures
    fall = [sum(one[0] - one[1] for one in each.measures[right]) / 4 for each in (report, control)]
    assert fall[0] > 50 > 20 > fall[1] and min(one[1] for one in report.measures[others]) > 60
    assert "victims (2) classified correctly: 9" in str(report)
    assert "taken for the target (7), after pass 1" in report._repr_html_()
    assert report.to_dict()["measures"][right] == report.measures[right]
    state.best.save(tmp_path / "attack.safetensors")
    with pytest.warns(UserWarning, match=r"made to harm \(attack 2 as 7\)"):
        dd.DistilledSet.load(tmp_path / "attack.safetensors")


@pytest.mark.filterwarnings("ignore:This set was made to harm")
@pytest.mark.parametrize("experiment", ["adaptation", "attack"])
def test_from_the_command_line(experiment, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DDLITE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "argv", ["ddlite"])
    cli.main(["distill", "--experiment", experiment, "--pool", "2", "--pretraining-epochs", "1", "--outer-steps", "2",
              "--validation-networks", "1", "--held-out", "2", "--seeds", "0", "1", "--output", str(tmp_path / "run")])
    made = sorted((tmp_path / "data" / "pools").rglob("*.safetensors"))
    assert [path.name.rsplit("-", 1)[0] for path in made] == ["held-out"] * 2 + ["training"] * 2 + ["validation"], "one pool"
    about = read_json(tmp_path / "run.json")
    assert about["configuration"]["pool"] == 2 and about["networks"] == 2 and about["before"] is not None
    assert bool(about["measures"]) == (experiment == "attack")
    for words, each in (about["measures"] or {}).items():  # the mean over held-out networks, before and after
        assert about["seeds"][0]["measures"][words] == pytest.approx([(a + b) / 2 for a, b in zip(*each)], abs=0.01)
    cli.main(["evaluate", str(tmp_path / "run.safetensors"), "--held-out", "2"])
    assert f"{about['test']:.1f}" in capsys.readouterr().out.splitlines()[-4 if about["measures"] else -1]
    assert sorted((tmp_path / "data" / "pools").rglob("*.safetensors")) == made, "networks of the pool were used again"


def test_choices_follow_at_once(digits):
    asked = []

    def measure(defence, network):
        asked.append((defence, network))
        return {"right": 10.0 * network, "wrong": 50.0}

    chooser = live.Choices(measure, {"defence": ["none", "all"], "network": range(3)}, "First")
    assert asked == [("none", 0)] and "right: <b>0 %" in chooser._result.value
    chooser._lists["network"].value = 2
    assert asked[-1] == ("none", 2) and "right: <b>20 %" in chooser._result.value
    chooser._lists["network"].value = 0
    assert len(asked) == 2, "what was measured once is known"
    assert "defence none, network 0: right 0 %" in chooser.picture().words


def test_a_batch_of_several_images_of_each_class_is_laid_out_by_class(digits):
    real = dd.baselines.real_images(digits, images_per_class_and_batch=3, batches=2)
    pictures, labels = show.table(real)
    assert pictures.shape[:2] == (6, 10) and labels == list(range(10))
    assert torch.equal(pictures[1, 4], real.images[0, 3 * 4 + 1]) and torch.equal(pictures[5, 9], real.images[1, 29])
    shuffled = replace(real, labels=real.labels.flip(1))
    assert show.table(shuffled)[0].shape[:2] == (2, 30)


def test_a_pool_is_filled_from_the_command_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("DDLITE_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(sys, "argv", ["ddlite"])
    call = ["pretrain", "--pool", "2", "--pretraining-epochs", "1", "--output", str(tmp_path / "pool")]
    cli.main(call)
    settings = dd.profiles.adaptation("quick", pool=2, pretraining_epochs=1)
    pool = settings.starts(settings.load(), seed=0)
    scores = [dd.accuracy(network, pool.source.test) for network in pool.networks("training", 2)]
    about = read_json(tmp_path / "pool.json")
    assert about["scores"] == scores and about["pool"] == pool.describe() and "2 networks" in capsys.readouterr().out
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "data").rglob("training-*.safetensors")}
    cli.main(call)
    assert len(made) == 2 and all(path.stat().st_mtime_ns == at for path, at in made.items()), "all was there"
    with pytest.raises(SystemExit):
        cli.main([*call, "--experiment", "fixed"])
    with pytest.raises(SystemExit, match="no pool of networks"):
        cli.main([*call, "--known"])
