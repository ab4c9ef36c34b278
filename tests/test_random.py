"""Random starts: networks that never meet, honest reports, baselines under the same steps, protocol B."""

import json
import math
import statistics
import sys
import warnings

import pytest
import torch
from conftest import made_up
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

import ddlite as dd
from ddlite.batches import draw
from ddlite.networks import INITS
from ddlite.starts import ROLES, network_seed


class OwnNet(nn.Module):
    """A reader's network, with a parameter of its own that no initialisation knows."""

    def __init__(self, shape, classes):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(1))
        self.linear = nn.Linear(math.prod(shape), classes)

    def forward(self, images):
        return self.linear(images.flatten(1)) * self.scale


def weights(network):
    return torch.cat([weight.detach().flatten() for weight in network.parameters()])


@given(one=st.tuples(st.sampled_from(ROLES), st.integers(0, 1023), st.integers(0, 2**20 - 1)),
       other=st.tuples(st.sampled_from(ROLES), st.integers(0, 1023), st.integers(0, 2**20 - 1)))
def test_seeds_cannot_meet(one, other):
    """Different networks have seeds that differ in the 32 bits that PyTorch's CPU generator heeds; it ignores the others."""
    assert (network_seed(*one) == network_seed(*other)) == (one == other) and 0 <= network_seed(*one) < 2**32
    assert torch.equal(*(torch.rand(2, generator=torch.Generator().manual_seed(seed)) for seed in (5, 5 + 2**32)))


def test_networks_of_all_roles_differ_and_come_again(tiny):
    start = dd.RandomStart(OwnNet, tiny, init="pytorch")
    drawn = [weights(network) for role in ROLES for network in start.networks(role, 3)]
    drawn += [weights(network) for network in dd.RandomStart(OwnNet, tiny, init="pytorch", seed=1).networks("training", 3)]
    assert len(torch.stack(drawn).unique(dim=0)) == 12
    assert torch.equal(weights(start.networks("training", 3)[1:][0]), drawn[1])
    again = start.networks("validation", 2, first=1)
    assert len(again) == 2 and torch.equal(weights(again[0]), drawn[4]) and torch.equal(weights(again[1]), drawn[5])


def test_drawing_leaves_the_global_generator_alone(tiny):
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    list(dd.RandomStart(OwnNet, tiny, init="pytorch").networks("held-out", 2))
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize("init, fan_in, fan_out", [("xavier-normal", 1, 1), ("xavier-uniform", 1, 1), ("kaiming-normal", 1, 0)])
def test_laws_have_the_variance_they_should(init, fan_in, fan_out):
    """Xavier: 2 / (fan in + fan out). Kaiming for ReLUs: 2 / fan in."""
    network = dd.initialise(nn.Sequential(nn.Conv2d(8, 32, 5), nn.Linear(300, 500)), 0, init)
    for layer, inputs, outputs in ((network[0], 8 * 25, 32 * 25), (network[1], 300, 500)):
        expected = 2 / (fan_in * inputs + fan_out * outputs)
        assert layer.weight.var().item() == pytest.approx(expected, rel=0.1) and layer.bias.abs().max() == 0


def test_orthogonal_and_pytorch_laws(tiny):
    rows = dd.initialise(nn.Linear(40, 10), 0, "orthogonal").weight
    torch.testing.assert_close(rows @ rows.T, torch.eye(10), atol=1e-5, rtol=0)
    network = dd.RandomStart(lambda shape, classes: nn.Sequential(nn.Flatten(), nn.Linear(64, classes)), tiny,
                             init="pytorch").networks()[0]
    assert network[1].bias.abs().max() > 0 and network[1].weight.abs().max() <= 1 / 8  # uniform in +- 1 / sqrt(fan in)


def test_starts_refuse_in_words(tiny):
    one = dd.MLP(tiny.shape, 3)
    with pytest.raises(ValueError, match="must build a new network at each call"):
        dd.RandomStart(lambda shape, classes: one, tiny)
    with pytest.raises(ValueError, match="no rule for layer .*use init='pytorch'"):
        dd.RandomStart(OwnNet, tiny)
    with pytest.raises(ValueError, match="Known: xavier-normal, .*orthogonal"):
        dd.RandomStart(dd.MLP, tiny, init="he")
    with pytest.raises(ValueError, match="There is no role 'test'"):
        dd.RandomStart(dd.MLP, tiny).networks("test")
    with pytest.raises(ValueError, match="from 0 to 1,023"):
        dd.RandomStart(dd.MLP, tiny, seed=1024)
    with pytest.raises(ValueError, match="BatchNorm"):
        dd.RandomStart(lambda shape, classes: nn.Sequential(nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(64, 3)), tiny)
    assert set(INITS) == {"xavier-normal", "xavier-uniform", "kaiming-normal", "orthogonal"}


def random_problem(tiny, **noise):
    start, goal = dd.RandomStart(dd.MLP, tiny), dd.Fit(tiny)
    return dd.DistilledSet.noise(tiny, **{"step_size": 0.1, "batches": 2, "passes": 2, **noise}), start, goal


def test_a_random_start_distils_and_beats_class_means(digits):
    """Quick settings of notebook 02, cut short: held-out networks that learning never saw."""
    settings = dd.profiles.random("quick", outer_steps=60)
    start, goal = settings.starts(digits, 0), dd.Fit(digits)
    *_, state = dd.distill(settings.noise(digits, 0), start, goal, seed=0, **settings.outer())
    report = dd.evaluate(state.best, start.networks("held-out", 5), goal, digits.test)
    means, _ = dd.baselines.with_best_step_size(dd.baselines.class_means(digits), start, goal, passes=(1, 3, 5))
    assert report.mean > dd.evaluate(means, start.networks("held-out", 5), goal, digits.test, [means.passes]).mean + 3
    assert state.best.start["kind"] == "random" and state.best.start["init"] == "xavier-normal" and report.std > 0


def test_the_mean_over_networks_is_the_meta_gradient_of_each(tiny):
    """Two networks in an outer step: loss and update are those of the mean of both."""
    dset, start, goal = random_problem(tiny)
    both = next(dd.distill(dset, start, goal, outer_steps=1, networks=2, seed=3))
    network = start.networks("training", 2)
    images, labels = draw(tiny, 256, torch.Generator().manual_seed(3))
    values, gradients = zip(*(dd.meta_gradient(dd.loss_of(one), goal.loss_of(one, images, labels), dd.weights_of(one),
                                               dset.images, dset.labels, dset.step_sizes) for one in network))
    assert both.loss == pytest.approx(statistics.mean(value.item() for value in values), rel=1e-6)
    mean = (gradients[0]["images"] + gradients[1]["images"]) / 2
    moved = both.distilled.images - 0.9975 * dset.images  # decay 0.05 x rate 0.05; Adam's first step has the gradient's sign
    large = mean.abs() > mean.abs().median()
    assert ((moved < 0) == (mean > 0))[large].float().mean() > 0.99


def test_momentum_is_learned_saved_and_used(tiny, tmp_path):
    dset, start, goal = random_problem(tiny, momentum=0.5)
    *_, state = dd.distill(dset, start, goal, outer_steps=5)
    assert 0 < state.distilled.momentum < 1 and state.distilled.momentum != 0.5
    state.distilled.save(tmp_path / "momentum.safetensors")
    again = dd.DistilledSet.load(tmp_path / "momentum.safetensors")
    assert again.momentum == state.distilled.momentum
    network = start.networks()[0]
    plain = torch.optim.SGD(network.parameters(), lr=1, momentum=again.momentum.item())
    trained = again.train(network)
    for images, labels, step_size in again.gradient_steps():
        plain.param_groups[0]["lr"] = step_size.item()
        plain.zero_grad()
        nn.functional.cross_entropy(network(images), labels).backward()
        plain.step()
    torch.testing.assert_close(weights(trained), weights(network), atol=1e-5, rtol=1e-4)


def test_fewer_images_than_classes(tiny):
    dset, start, goal = random_problem(tiny, images_per_class_and_batch=2 / 3, learn_labels=True)
    assert dset.images.shape[1] == 2
    torch.testing.assert_close(dset.labels[0], torch.tensor([[0.45, 0.1, 0.45], [0.05, 0.9, 0.05]]))
    *_, state = dd.distill(dset, start, goal, outer_steps=20)
    report = dd.evaluate(state.distilled, start.networks("held-out", 3), goal, tiny.test)
    assert report.mean > 60  # three classes, two images
    with pytest.raises(ValueError, match="use learn_labels=True"):
        dd.DistilledSet.noise(tiny, images_per_class_and_batch=2 / 3)
    with pytest.raises(ValueError, match="a whole number is needed, or with learned labels"):
        dd.DistilledSet.noise(tiny, images_per_class_and_batch=4 / 3, learn_labels=True)


def test_report_says_what_it_knows(tiny):
    dset, start, goal = random_problem(tiny)
    report = dd.evaluate(dset, start.networks("held-out", 4), goal, tiny.test)
    by_hand = [dd.accuracy(dset.train(network), tiny.test) for network in start.networks("held-out", 4)]
    assert report.final == by_hand and report.mean == pytest.approx(statistics.mean(by_hand))
    assert report.std == pytest.approx(statistics.stdev(by_hand)) and [len(scores) for scores in report.scores] == [3] * 4
    counts = [(tiny.test.labels == k).sum().item() for k in range(3)]
    weighted = sum(report.per_class[name] * n for name, n in zip("012", counts)) / sum(counts)
    assert weighted == pytest.approx(report.mean, abs=1e-3)
    low, high = report.interval
    half = 3.182446 * report.std / 2  # Student's t, 3 degrees of freedom
    assert (low, high) == pytest.approx((report.mean - half, report.mean + half), abs=1e-4)
    assert "± " in str(report) and "4 networks" in str(report) and "after 4 gradient steps" in str(report)
    assert repr(report) == str(report)
    html = report._repr_html_()
    assert html.count("<tr>") == 4 and "before any step" in html and f"{report.mean:.1f}" in html
    assert json.loads(json.dumps(report.to_dict()))["max"] == max(by_hand)
    last = dd.evaluate(dset, start.networks("held-out", 4), goal, tiny.test, after=[2])
    assert last.final == report.final and last.before is None
    first = dd.evaluate(dset, start.networks("held-out", 4), goal, tiny.test, after=[1])
    assert "after 2 gradient steps" in str(first) and first.gradient_steps == 2
    with pytest.raises(ValueError, match=r"0\.\.2 can be scored"):
        dd.evaluate(dset, start.networks(), goal, tiny.test, after=[3])


def test_a_long_evaluation_says_so_first(tiny, monkeypatch):
    dset, start, goal = random_problem(tiny)
    networks = start.networks("held-out", 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        dd.evaluate(dset, networks, goal, tiny.test)
    monkeypatch.setattr(sys.modules["ddlite.evaluate"], "LONG", 0)
    with pytest.warns(UserWarning, match="2 networks will take about"):
        dd.evaluate(dset, networks, goal, tiny.test)


def test_centres_are_means_of_their_clusters(digits):
    sets = dd.baselines.centres(digits, images_per_class_and_batch=2, batches=3)
    assert sets.images.shape == (3, 20, 1, 24, 24)
    ones = digits.train.images[digits.train.labels == 1].flatten(1)
    mine = sets.images[:, 2:4].reshape(6, -1)
    nearest = torch.cdist(ones, mine).argmin(1)
    for k in range(6):
        torch.testing.assert_close(ones[nearest == k].mean(0), mine[k], atol=1e-3, rtol=1e-3)
    with pytest.raises(ValueError, match="training images"):
        dd.baselines.centres(digits, 1000)


def test_one_call_gives_the_row(tiny):
    goal, start = dd.Fit(tiny), dd.RandomStart(dd.MLP, tiny)
    rows = dict(dd.baselines.table(goal, start, batches=2, networks=3, draws=2, candidates=4, epochs=2, fully_trained=2))
    assert list(rows) == ["random real", "best of random", "k-means", "class means", "k-NN, random real", "k-NN, k-means",
                          "all real images"]
    assert all(len(rows[name].final) == 3 for name in list(rows)[:4]) and len(rows["k-NN, k-means"].final) == 2
    real = rows["random real"]  # of three networks, two were trained on the first draw
    means = [statistics.mean(real.final[:2]), real.final[2]]
    half = 12.7062 * statistics.stdev(means) / 2**0.5  # Student's t, 1 degree of freedom
    assert real.draws == 2 and real.interval == pytest.approx((sum(means) / 2 - half, sum(means) / 2 + half), rel=1e-4)
    assert rows["k-NN, random real"].mean > 90 and "2 draws" in str(rows["k-NN, random real"])
    assert all(0 <= score <= 100 for row in rows.values() for score in row.final)


def test_rows_for_one_network_and_for_an_attack(tiny):
    """A fixed start has one network for every draw; an attack's measures are those of all networks."""
    start, size = dd.FixedStart(dd.initialise(dd.MLP(tiny.shape, 3), 0)), {"batches": 2, "candidates": 2, "epochs": 1}
    rows = dict(dd.baselines.table(dd.Fit(tiny), start, draws=3, networks=3, fully_trained=1, **size))
    real = rows["random real"]
    assert len(real.final) == 3 and "3 draws" in str(real)
    assert sum(real.per_class.values()) / 3 == pytest.approx(real.mean)  # the classes are equally frequent
    start = dd.RandomStart(dd.MLP, tiny)
    rows = dict(dd.baselines.table(dd.Attack(tiny, 0, 1), start, draws=2, networks=4, fully_trained=1, **size))
    assert all(len(each) == 4 for each in rows["random real"].measures.values())
    assert rows["k-NN, random real"].mean < 80  # it was taught the true labels, and one in three counts as another


def test_from_scratch_is_ordinary_training(tiny):
    """Protocol B equals a plain loop with `torch.optim.SGD`; it leaves the network alone, and heeds no step sizes."""
    network = dd.initialise(dd.MLP(tiny.shape, 3), 0)
    images, labels = dd.baselines.real_images(tiny, 2).examples()
    before = weights(network)
    trained = dd.train_from_scratch(images, labels, network, epochs=10)
    assert torch.equal(weights(network), before)
    velocity = [torch.zeros_like(weight) for weight in network.parameters()]
    for epoch in range(10):
        gradients = torch.autograd.grad(nn.functional.cross_entropy(network(images), labels), list(network.parameters()))
        with torch.no_grad():
            for weight, v, gradient in zip(network.parameters(), velocity, gradients):
                v.mul_(0.9).add_(gradient + 5e-4 * weight)
                weight.sub_(v * (0.01 if epoch < 5 else 0.001))
    torch.testing.assert_close(weights(trained), weights(network), atol=1e-5, rtol=1e-4)


def test_the_rate_falls_at_half_time_whatever_the_number_of_epochs(tiny):
    """One epoch of two minibatches: the first at the whole rate, the second at a tenth."""
    network, (images, labels) = dd.initialise(dd.MLP(tiny.shape, 3), 0), dd.baselines.real_images(tiny, 2).examples()
    trained = dd.train_from_scratch(images, labels, network, epochs=1, momentum=0.0, decay=0.0, batch_size=3)
    order = torch.randperm(6, generator=torch.Generator().manual_seed(0))
    for which, rate in zip(order.split(3), (0.01, 0.001)):
        loss = nn.functional.cross_entropy(network(images[which]), labels[which])
        gradients = torch.autograd.grad(loss, list(network.parameters()))
        network = dd.unroll.with_weights(network, [w - rate * g for w, g in zip(network.parameters(), gradients)])
    torch.testing.assert_close(weights(trained), weights(network), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("make", [dd.LeNet, dd.MLP, lambda shape, classes: dd.ConvNet3(shape, classes, width=8)])
def test_from_scratch_on_any_architecture(make):
    data = made_up()
    images, labels = dd.baselines.class_means(data).examples()
    network = dd.RandomStart(make, data).networks()[0]
    assert dd.accuracy(dd.train_from_scratch(images, labels, network, epochs=60), data.test) > 80


def test_from_scratch_refuses(tiny):
    network = dd.MLP(tiny.shape, 3)
    with pytest.raises(ValueError, match="no distributions"):
        dd.train_from_scratch(tiny.train.images[:2], torch.tensor([[0.5, 0.2, 0.2], [1, 1, 0.0]]), network)
    with pytest.raises(ValueError, match="do not fit"):
        dd.train_from_scratch(tiny.train.images[:2], torch.tensor([0]), network)
