"""Lesson 7: the tangent kernel against networks, slow loops and differences; KIP, and what it refuses."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch

import ddlite as dd
from ddlite import results
from ddlite.cli import apart
from ddlite.cli.main import main
from ddlite.gallery import dc, idc, kernel, kip
from ddlite.machinery.files import fingerprint_of_file, read_json


@pytest.fixture(scope="module")
def digits():
    return dd.load("digits", size=8)


def drawn(n=6, d=9, seed=0):
    return torch.randn(n, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def slow(x, z, depth, b):
    """The recursion for one pair of vectors, in plain Python."""
    def dot(u, v):
        return 2 * sum(p * q for p, q in zip(u, v)) / len(u) + b * b

    s, qx, qz = dot(x, z), dot(x, x), dot(z, z)
    t = s
    for _ in range(depth):
        c = max(-1.0, min(1.0, s / math.sqrt(qx * qz)))
        a = math.acos(c)
        e = math.sqrt(qx * qz) * (math.sin(a) + (math.pi - a) * c) / (2 * math.pi)
        s = 2 * e + b * b
        t = s + 2 * (math.pi - a) / (2 * math.pi) * t
        qx, qz = qx + b * b, qz + b * b
    return s, t


@pytest.mark.parametrize("depth", [0, 1, 2, 5])
@pytest.mark.parametrize("bias", [0.1, 0.7])
def test_the_kernel_is_that_of_a_slow_double_loop(depth, bias):
    x, z = drawn(4), drawn(5, seed=1)
    S, T = kernel.kernels(x, z, depth, bias)
    for i in range(4):
        for j in range(5):
            s, t = slow(x[i].tolist(), z[j].tolist(), depth, bias)
            assert S[i, j].item() == pytest.approx(s, rel=1e-9) and T[i, j].item() == pytest.approx(t, rel=1e-9)
    own = kernel.tangent(x, x, depth, bias)
    assert torch.allclose(own, own.T) and torch.linalg.eigvalsh(own).min() > 0
    assert torch.allclose(own, kernel.tangent(x.reshape(4, 1, 3, 3), x.reshape(4, 1, 3, 3), depth, bias))


@pytest.mark.parametrize("depth", [1, 2])
def test_a_networks_kernel_comes_near_it_as_one_over_the_root_of_its_width(depth):
    """Mean errors over networks fall by a half where the width is four times as large; a wrong kernel stays away."""
    x = drawn(8, 12)
    x[1] = x[0] + 0.1 * x[2]  # and near neighbours
    T = kernel.tangent(x, x, depth)

    def of_networks(width):
        found = []
        for seed in range(16):
            torch.manual_seed(seed)
            found.append(kernel.empirical(kernel.Wide((1, 3, 4), 1, width, depth, centred=seed % 2 == 0).double(), x, x))
        return found

    def error(found, wanted=T):
        return torch.stack([(each - wanted).norm() / wanted.norm() for each in found]).mean().item()

    widest = of_networks(512)
    errors = [error(of_networks(32)), error(of_networks(128)), error(widest)]
    slope = math.log(errors[2] / errors[0]) / math.log(16)
    assert errors[2] < 0.15 and -0.7 < slope < -0.3
    S, _ = kernel.kernels(x, x, depth)
    wrong = {"no second term": S, "S of the layer before": kernel.tangent(x, x, depth - 1), "not divided by d": 12 * T,
             "a layer more": kernel.tangent(x, x, depth + 1)}
    for name, other in wrong.items():
        assert error(widest, other) > 2 * errors[2], name


def test_a_fresh_networks_answers_have_the_covariance_s():
    x = drawn(3, 12)
    S, _ = kernel.kernels(x, x, 2)
    torch.manual_seed(0)
    answers = torch.cat([kernel.Wide((1, 3, 4), 400, 200, 2, centred=False).double()(x.reshape(3, 1, 3, 4)).detach()
                         for _ in range(10)], 1)
    assert torch.allclose(answers @ answers.T / answers.shape[1], S, rtol=0.12, atol=0.05)
    assert kernel.Wide((1, 3, 4), 2)(x.float()).abs().max() == 0  # f - f₀ begins at zero


@pytest.mark.parametrize("depth", [1, 3])
def test_the_gradient_of_the_objective_is_that_of_differences(depth):
    x, support, targets, y = drawn(20), drawn(5, seed=1), drawn(5, 3, seed=2), drawn(20, 3, seed=3)

    def loss(support, targets):
        given = kernel.regress(kernel.tangent(x, support, depth), kernel.tangent(support, support, depth), targets)
        return (given - y).square().mean() / 2

    free = support.clone().requires_grad_(), targets.clone().requires_grad_()
    found = torch.autograd.grad(loss(*free), free)
    for which in (0, 1):
        nudge = [torch.zeros_like(support), torch.zeros_like(targets)]
        nudge[which] = 1e-6 * drawn(*nudge[which].shape, seed=4)
        ends = [loss(support + sign * nudge[0], targets + sign * nudge[1]) for sign in (1, -1)]
        assert (found[which] * nudge[which]).sum().item() == pytest.approx(((ends[0] - ends[1]) / 2).item(), rel=1e-5)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_equal_and_opposite_inputs_have_a_kernel_and_a_finite_gradient(dtype):
    """arccos has no derivative at 1 and -1: on the diagonal, where the angle is constant, none is wanted."""
    one = drawn(1).to(dtype)
    x = torch.cat([one, one, 3 * one, -one, one * (1 + 1e-7), drawn(1, seed=1).to(dtype)]).requires_grad_()
    for depth in (1, 4):
        for bias in (0.1, 0.0):
            T = kernel.tangent(x, x, depth, bias)
            [gradient] = torch.autograd.grad(T.sum(), x)
            assert T.isfinite().all() and gradient.isfinite().all()
            assert torch.allclose(T[0, 0], T[1, 0], rtol=1e-3) and torch.allclose(T[0], T[1], rtol=1e-3)
    y = drawn(3, seed=2).to(dtype).requires_grad_()
    own = kernel.tangent(y, y, 2).diagonal()  # it depends on the lengths alone
    [gradient] = torch.autograd.grad(own.sum(), y)
    step = 1e-3 * y.detach()
    ends = [kernel.tangent(y.detach() + sign * step, y.detach() + sign * step, 2).diagonal().sum() for sign in (1, -1)]
    assert (gradient * step).sum().item() == pytest.approx(((ends[0] - ends[1]) / 2).item(), rel=1e-2)


def test_regression_is_the_end_of_a_training_on_squares(digits):
    """A linear kernel's answers are those of gradient descent on squares from zero, run to the end."""
    x, labels = (tensor[:15] for tensor in (digits.train.images.double(), digits.train.labels))
    y = kip.targets_of(labels, 10)
    rows = torch.cat([x.flatten(1) * (2 / 64) ** 0.5, torch.full((15, 1), 0.1, dtype=torch.float64)], 1)
    weight = torch.zeros(65, 10, dtype=torch.float64)
    for _ in range(40_000):
        weight -= 0.02 * rows.T @ (rows @ weight - y)
    z = digits.test.images[:7].double()
    ends = torch.cat([z.flatten(1) * (2 / 64) ** 0.5, torch.full((7, 1), 0.1, dtype=torch.float64)], 1) @ weight
    linear = partial(kernel.tangent, depth=0)
    assert torch.allclose(kernel.regress(linear(z, x), linear(x, x), y, 0), ends, atol=2e-2)


def test_the_ridge_is_relative_and_targets_are_centred(digits):
    """What accuracy does not see: (K + λ tr K / n · I)⁻¹ row by row, and one-hot labels less 1/classes."""
    K, y = 7 * kernel.tangent(drawn(5), drawn(5)), drawn(5, 3, seed=1)
    solved, mean = kernel.regress(torch.eye(5, dtype=torch.float64), K, y, 0.3), sum(K[i, i] for i in range(5)) / 5
    assert torch.allclose(K @ solved + 0.3 * mean * solved, y)
    assert kip.targets_of(torch.tensor([2, 0]), 4).tolist() == [[-0.25, -0.25, 0.75, -0.25], [0.75, -0.25, -0.25, -0.25]]
    learned = torch.tensor([[0.5, 3.0]])
    assert kip.targets_of(learned, 2).tolist() == [[0.0, 2.5]] and kip.targets_of(learned, 2).dtype == torch.float64
    real = dd.DistilledSet.real(digits)
    images, labels = real.examples()
    between, own = (kernel.tangent(x.double(), images.double(), 2) for x in (digits.test.images[:9], images))
    wanted = between @ torch.linalg.solve(own + 1e-3 * own.trace() / 10 * torch.eye(10), kip.targets_of(labels, 10))
    assert torch.allclose(kip.answers(real, digits.test.images[:9], 2, 1e-3), wanted)


def test_a_set_is_learned_and_reads_better_than_its_beginning(digits):
    real = dd.DistilledSet.real(digits, seed=1)
    states = list(kip.distill(real, digits, 150, batch_size=200, validate_every=50, seed=1))
    assert [state.outer_step for state in states] == list(range(1, 151)) and isinstance(states[-1], dd.State)
    assert [state.outer_step for state in states if state.score is not None] == [50, 100, 150]
    best = states[-1].best
    assert kip.read(best, digits.test).mean > max(85, kip.read(real, digits.test).mean + 15)
    assert best.recipe == kip.RECIPE and best.protocol == "B" and "kernel of depth 1" in repr(best) and states[-1].loss < 0.03
    assert states[-1].best_score == kip.read(best, digits.validation).mean and "kernel" in states[-1].score_is
    assert best.start["shapes"]["weights.0"] == [1024, 64] and dd.goals.named(best.goal, digits).name == "fit"


def test_it_goes_on_from_a_checkpoint_with_the_same_numbers(digits, tmp_path):
    real = dd.DistilledSet.real(digits)
    settings = {"outer_steps": 8, "batch_size": 50, "validate_every": 3, "learn_labels": True}
    *_, whole = kip.distill(real, digits, **settings)
    states = kip.distill(real, digits, **settings, checkpoint=tmp_path / "it.safetensors")
    for _ in range(4):
        next(states)
    states.close()
    *_, resumed = kip.distill(real, digits, **settings, checkpoint=tmp_path / "it.safetensors")
    assert resumed.distilled == whole.distilled and resumed.best == whole.best and resumed.best_score == whole.best_score
    with pytest.raises(ValueError, match="another distillation"):
        next(kip.distill(real, digits, **{**settings, "seed": 1}, checkpoint=tmp_path / "it.safetensors"))


def test_learned_labels_are_targets_and_no_cross_entropy_takes_them(digits, tmp_path):
    *_, state = kip.distill(dd.DistilledSet.real(digits), digits, 60, batch_size=100, learn_labels=True, validate_every=30)
    dset, network = state.distilled, dd.MLP(digits.shape)
    assert (dset.labels.sum(-1) - 1).abs().max() > 1e-3 and dset.floats == 640 + 100
    dset.save(tmp_path / "it.safetensors")
    assert dd.DistilledSet.load(tmp_path / "it.safetensors") == dset
    dset.train(kip.wide(digits, width=8).networks()[0])  # squares
    images, labels = dset.examples()
    for call in (lambda: replace(dset, recipe=dd.Recipe(epochs=1)),
                 lambda: replace(dset, recipe=None, step_sizes=torch.ones(1)),
                 lambda: replace(dset, step_sizes=torch.ones(1)),  # protocol A takes cross-entropies
                 lambda: dd.distill(dset, dd.RandomStart(dd.MLP, digits), dc.Match(digits, by_class=False), 2),
                 lambda: dd.train_from_scratch(images, labels, network),
                 lambda: dd.train_from_scratch(images, kip.targets_of(labels, 10).float(), network)):
        with pytest.raises(ValueError, match="no distributions: .*argmax"):
            call()
    with pytest.raises(ValueError, match="NaN"):
        dd.train_from_scratch(images, labels * math.nan, network, loss="squares")


def test_any_set_can_be_the_beginning(digits, tmp_path):
    """Stored otherwise, in batches, or learned for one network whose weights it carries: its images become pixels."""
    network = dd.MLP(digits.shape)
    carried = dd.DistilledSet.noise(digits, passes=1, learn_labels=True)
    *_, state = dd.distill(carried, dd.FixedStart(network), dd.Fit(digits), 2, validate_every=2)
    state.best.save(tmp_path / "carried.safetensors", list(network.parameters()))
    for first in (dd.DistilledSet.real(digits, storage=idc.Patches(2)), dd.DistilledSet.noise(digits, 2, 2),
                  dd.DistilledSet.load(tmp_path / "carried.safetensors")):
        *_, state = kip.distill(first, digits, 2, batch_size=50, validate_every=2)
        images = first.examples()[0]
        assert state.distilled.images[0].shape == images.shape and not torch.equal(state.distilled.images[0], images)
        state.best.save(tmp_path / "it.safetensors")
        assert dd.DistilledSet.load(tmp_path / "it.safetensors") == state.best
        assert torch.equal(kip.solve_labels(first, digits, number=100).images[0], images)


def test_labels_can_be_solved_for(digits):
    """They are the least squares: no other targets do better on the same images."""
    real = dd.DistilledSet.real(digits, seed=3)
    solved = kip.solve_labels(real, digits, number=400)
    assert torch.equal(solved.images, real.images)
    assert kip.read(solved, digits.test).mean > kip.read(real, digits.test).mean
    x, labels = dd.batches.draw_by_class(digits, 40, torch.Generator().manual_seed(0))
    y = kip.targets_of(labels, 10)

    def loss(dset):
        return (kip.answers(dset, x) - y).square().mean().item()

    assert loss(solved) < loss(real)
    for seed in range(3):
        other = replace(solved, labels=solved.labels + 0.01 * drawn(10, 10, seed=seed).float())
        assert loss(other) > loss(solved)


def test_f0_is_subtracted_and_makes_the_difference(digits):
    """The same class means, by squares in wide networks: the formula's number with f - f₀, far less without."""
    means = replace(dd.baselines.class_means(digits), recipe=replace(kip.RECIPE, epochs=200), step_sizes=None)
    reports = [dd.evaluate(means, kip.wide(digits, width=256, centred=centred).networks("held-out", 3), dd.Fit(digits),
                           digits.test, [1]) for centred in (True, False)]
    assert abs(reports[0].mean - kip.read(means, digits.test).mean) < 8 and reports[1].mean < reports[0].mean - 8


def test_a_kernels_number_shares_no_table_with_a_networks(digits):
    means = dd.baselines.class_means(digits)
    report = kip.read(means, digits.test)
    assert report.protocol == "kernel" and report.floats == 640 and "nothing trained: 1 kernel" in str(report)
    with pytest.raises(ValueError, match="several protocols"):
        dd.Comparison({"kernel": report, "steps": dd.evaluate(means, dd.RandomStart(dd.MLP, digits).networks(), dd.Fit(digits),
                                                              digits.test, [1])})
    other = replace(digits.test, mean=(0.0,), std=(1.0,))
    with pytest.raises(ValueError, match="normalised"):
        kip.read(means, other)


def test_bad_input_is_refused_in_words(digits):
    x, zero, nan = drawn(), drawn(), drawn()
    zero[3], nan[2, 1] = 0, math.nan
    real, twice = dd.DistilledSet.real(digits), torch.cat([x, x])
    own, y = kernel.tangent(x, x), drawn(6, 2)
    black = replace(real, images=real.images * (torch.arange(10) != 4)[:, None, None, None])
    for words, call in {
        "Image 4 of z has length zero": lambda: kip.read(black, digits.test),
        "Image 4 of z has length zero, .*leave it out": lambda: next(kip.distill(black, digits)),
        r"Kernels \(6, 6\) and \(6, 6\) and targets \(5, 2\) do not fit": lambda: kernel.regress(own, own, y[:5]),
        r"and \(6, 5\) and targets \(6, 2\) do not fit": lambda: kernel.regress(own, own[:, :5], y),
        r"targets \(0, 2\) do not fit": lambda: kernel.regress(own[:, :0], own[:0, :0], y[:0]),
        "all three must be float64, or all float32": lambda: kernel.regress(own, own, y.float()),
        "float16.*all float32": lambda: kernel.regress(own.half(), own.half(), y.half()),
        "targets hold NaN": lambda: kernel.regress(own, own, y * math.nan),
        "not symmetric: .*the mean of both": lambda: kernel.regress(own, own + own.triu(1), y),
        "with ridge=1e-06: .*or the function is no kernel.*e.g. 1e-05": lambda: kernel.regress(-own, -own, y),
        "not positive definite with ridge=1e-12: .*float32": lambda: kernel.regress(
            *2 * [kernel.tangent(twice.float(), twice.float())], drawn(12, 2).float(), 1e-12),
        "number=9: a whole number, 10 or more": lambda: kip.solve_labels(real, digits, number=9),
        "at_once=0": lambda: kip.read(real, digits.test, at_once=0),
        "a distilled set is needed": lambda: kip.read(real.images, digits.test),
        "a whole data set is needed": lambda: kip.distill(real, digits.train),
        "Image 3 of x has length zero": lambda: kernel.tangent(zero, x),
        "Image 3 of z has length zero": lambda: kernel.tangent(x, zero, bias=0),
        "z holds NaN": lambda: kernel.tangent(x, nan),
        "images of the same size and type": lambda: kernel.tangent(x, drawn(d=8)),
        "same size and type, normalised alike": lambda: kernel.tangent(x, x.float()),
        "a tensor of floats": lambda: kernel.tangent(x.long(), x),
        "at least one image": lambda: kernel.tangent(x[:0], x),
        "0 images and 6: at least one on each side": lambda: kernel.empirical(kernel.Wide((1, 3, 3), 1, 4), x[:0], x),
        "depth=-1": lambda: kernel.tangent(x, x, -1),
        "depth=1.5": lambda: kernel.tangent(x, x, 1.5),
        "bias=-1": lambda: kernel.tangent(x, x, bias=-1),
        "not positive definite with ridge=0: .* Set a larger ridge": lambda: kernel.regress(
            kernel.tangent(x, twice), kernel.tangent(twice, twice), drawn(12, 2), 0),
        "The kernel holds NaN or infinity: .*clamp": lambda: kernel.regress(x[:, :6], x[:, :6] * math.nan, x),
        "The kernel holds NaN or infinity: .*arccos": lambda: kip.read(
            real, digits.test, kernel=lambda x, z: torch.acos(1 + 1e-9 + 0 * x.flatten(1) @ z.flatten(1).T)),
        "The kernel holds NaN": lambda: kernel.regress(x * math.nan, torch.eye(9, dtype=torch.float64), drawn(9, 2)),
        "ridge=-1": lambda: kernel.regress(x, x, x, -1),
        "batch_size=9: a whole number, 10 or more": lambda: kip.distill(real, digits, batch_size=9),
        "learning_rate=0": lambda: kip.distill(real, digits, learning_rate=0),
        "outer_steps=0": lambda: kip.distill(real, digits, 0),
        "normalised": lambda: kip.distill(real, dd.load("digits-shifted", size=8)),
    }.items():
        with pytest.raises(ValueError, match=words):
            call()


def test_nothing_is_lost_when_it_diverges(digits):
    """A rate that throws the images away ends in words, with the last good state."""
    with pytest.raises((dd.Diverged, ValueError)) as end:
        for state in kip.distill(dd.DistilledSet.real(digits), digits, 50, learning_rate=1e200, batch_size=50):
            assert all(tensor.isfinite().all() for tensor in state.best.tensors().values())
    assert "learning_rate" in str(end.value)
    one = dd.DistilledSet.real(digits)
    states = kip.distill(one, digits, 50, batch_size=50, ridge=0)
    for _ in range(3):
        kept = next(states)
    images = kept.best.images[0]
    alike = replace(one, images=images[[0, *range(9)]][None])  # two images that are the same
    with pytest.raises(ValueError, match="not positive definite with ridge=0: two are alike"):
        next(kip.distill(alike, digits, 50, batch_size=50, ridge=0))


def test_the_command_leaves_a_set_and_a_manifest(tmp_path, monkeypatch):
    monkeypatch.setattr(apart, "finite", lambda *_, **__: iter(()))  # minutes
    main(["distill", "--method", "kip", "--outer-steps", "3", "--seeds", "0", "1", "--held-out", "2", "--output",
          str(tmp_path / "it")])
    about, dset = read_json(tmp_path / "it.json"), dd.DistilledSet.load(tmp_path / "it.safetensors")
    assert len(about["seeds"]) == 2 and about["protocol"] == "kernel" and about["configuration"]["depth"] == 1
    assert kip.read(dset, dd.load("digits").test).mean == about["test"]
    main(["baselines", "--method", "kip", "--held-out", "2", "--output", str(tmp_path / "b")])
    assert list(read_json(tmp_path / "b.json")["rows"]) == ["random real", "random real, label solve", "class means"]


@pytest.mark.parametrize("name, kernels, wide", [("kip-digits-10", 94.5, 93), ("kip-mnist-10", 88.5, 80),
                                                 ("kip-mnist-100", 95.8, 86), ("kip-digits-100", 97.5, 96)])
def test_what_ships_is_what_was_measured(name, kernels, wide):
    """Three seeds each, and the set is the manifest's; it reads as the manifest says where its data are at hand."""
    about, dset = dd.manifest(f"gallery/{name}"), dd.DistilledSet.shipped(f"gallery/{name}")
    with results.resources.as_file(results.ASSETS / f"gallery/{name}.safetensors") as path:
        assert about["set"] == fingerprint_of_file(path)
    seeds = about["seeds"]
    assert len(seeds) == 3 and sum(run["test"] for run in seeds) / 3 >= kernels and "dirty" not in about["commit"]
    assert about["validation"] == max(run["validation"] for run in seeds)
    assert about["finite"]["squares, width 1024"]["mean"] >= wide
    if about["configuration"]["data"] == "digits":
        assert abs(kip.read(dset, dd.load("digits").test).mean - about["test"]) < 0.5


def test_mnist_reads_as_the_manifest_says(real_root):
    for name in ("kip-mnist-10", "kip-mnist-100"):
        report = kip.read(dd.DistilledSet.shipped(f"gallery/{name}"), dd.load("mnist", real_root).test)
        assert abs(report.mean - dd.manifest(f"gallery/{name}")["test"]) < 0.1
