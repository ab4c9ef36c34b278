"""The outer loop: it learns, it is reproducible, it keeps the best, and it stops in words."""

import dataclasses
import inspect
import json
import os
import signal
import subprocess
import sys
import time

import pytest
import torch
from conftest import ROOT, made_up

import ddlite as dd
from ddlite.cli import bench, wait
from ddlite.cli.main import main
from ddlite.goals import chunk, in_chunks
from ddlite.machinery.files import load_tensors


def problem(seed=0, **noise):
    data = made_up(n=240)
    start, goal = dd.FixedStart(dd.initialise(dd.LeNet(), seed)), dd.Fit(data)
    return dd.DistilledSet.noise(data, **{"step_size": 0.1, "passes": 2, "seed": seed, **noise}), start, goal


def test_it_learns_what_it_says(digits):
    """Quick settings cut to a tenth: far above guessing, and the report agrees with training by hand."""
    settings = dd.profiles.fixed("quick", outer_steps=70)
    start, goal = dd.FixedStart(dd.initialise(dd.SmallLeNet(digits.shape), 0)), dd.Fit(digits)
    *_, state = dd.distill(settings.noise(digits, 0), start, goal, seed=0, **settings.outer())
    report = dd.evaluate(state.best, start.networks(), goal, digits.test)
    assert report.mean > 50 and report.before < 25 and report.std is None and len(report.scores[0]) == 4
    [network] = start.networks()
    assert dd.accuracy(state.best.train(network), digits.test) == report.mean


def test_same_seed_same_set_other_seed_other_set():
    sets = [list(dd.distill(*problem(), outer_steps=3, seed=seed))[-1].distilled for seed in (0, 0, 1)]
    assert torch.equal(sets[0].images, sets[1].images) and not torch.equal(sets[0].images, sets[2].images)


def test_the_input_is_left_as_it_was():
    dset, start, goal = problem()
    before = dset.images.clone()
    list(dd.distill(dset, start, goal, outer_steps=2))
    assert torch.equal(dset.images, before) and dset.start is None


def test_states_of_the_past_stay_as_they_were():
    states = list(dd.distill(*problem(), outer_steps=4, validate_every=2))
    assert [s.outer_step for s in states] == [1, 2, 3, 4] and [s.score is None for s in states] == [True, False, True, False]
    assert not torch.equal(states[0].distilled.images, states[3].distilled.images)


def test_best_is_the_best_validation_score():
    dset, start, goal = problem()
    states = list(dd.distill(dset, start, goal, outer_steps=30, validate_every=3))
    scores = [s.score for s in states if s.score is not None]
    assert states[-1].best_score >= max(scores)
    [network] = start.networks()
    assert dd.accuracy(states[-1].best.train(network), goal.data.validation) == states[-1].best_score


def test_learned_labels_stay_distributions_and_move():
    dset, start, goal = problem(learn_labels=True)
    *_, state = dd.distill(dset, start, goal, outer_steps=5)
    labels = state.distilled.labels
    torch.testing.assert_close(labels.sum(-1), torch.ones(1, 10))
    assert labels.min() >= 0 and (labels - dset.labels).abs().max() > 1e-3


def test_step_sizes_stay_positive():
    *_, state = dd.distill(*problem(step_size=0.001), outer_steps=10, learning_rate=1.0)
    assert state.distilled.step_sizes.min() > 0


@pytest.mark.parametrize("noise", [{}, {"momentum": 0.3, "learn_labels": True}])
def test_divergence_is_told_and_the_best_is_kept(noise):
    dset, start, goal = problem(**noise)
    states = []
    with pytest.raises(dd.Diverged, match=r"outer step \d+: loss .* step sizes .*smaller learning_rate") as caught:
        for state in dd.distill(dset, start, goal, outer_steps=50, learning_rate=1e6, validate_every=1):
            states.append(state)
    assert caught.value.state is states[-1]
    assert torch.isfinite(caught.value.state.best.images).all() and torch.isfinite(caught.value.state.best.step_sizes).all()


@pytest.mark.parametrize("change", [{"outer_steps": 0}, {"batch_size": 0}, {"learning_rate": 0}, {"average": 1}, {"clip": -1}])
def test_impossible_settings(change):
    with pytest.raises(ValueError, match="is needed"):
        dd.distill(*problem(), **{"outer_steps": 1, **change})


def test_out_of_memory_names_the_settings_that_lower_it():
    dset, start, goal = problem()

    class Greedy(dd.Fit):
        def loss_of(self, network, images, labels):
            return lambda weights: weights[0].sum() + torch.empty(2**50).sum()

    with pytest.raises(MemoryError, match="outer step 1.*engine='adjoint'.*images_per_class_and_batch.*batch_size"):
        next(dd.distill(dset, start, Greedy(goal.data), outer_steps=1))
    goal.score = lambda *_: torch.empty(2**50)
    with pytest.raises(MemoryError, match="outer step 0"):  # the first look at the validation images
        next(dd.distill(dset, start, goal, outer_steps=1))


def test_other_errors_stay_what_they_are():
    dset, start, goal = problem()
    goal.loss_of = lambda *_: lambda weights: weights[0] @ weights[0]
    with pytest.raises(RuntimeError):
        next(dd.distill(dset, start, goal, outer_steps=1))


@pytest.mark.parametrize("number", [1, 256, 257, 700])
def test_a_real_batch_in_chunks_has_the_same_loss_and_gradient(number):
    """However many images: value and meta-gradient as with the whole batch at once, to 1e-10 in float64."""
    network, generator = dd.initialise(dd.MLP((1, 4, 4), 3), 0).double(), torch.Generator().manual_seed(0)
    images = torch.randn(number, 1, 4, 4, generator=generator, dtype=torch.float64)
    labels = torch.randint(3, (number,), generator=generator)
    inner = torch.randn(2, 3, 1, 4, 4, generator=generator, dtype=torch.float64), torch.arange(3).repeat(2, 1), \
        torch.full((4,), 0.1, dtype=torch.float64)
    loss = dd.loss_of(network)
    for engine in (dd.meta_gradient, dd.adjoint.meta_gradient):
        value, gradients = engine(loss, in_chunks(loss, images, labels, at_once=128), dd.weights_of(network), *inner)
        whole, expected = engine(loss, lambda weights: loss(weights, images, labels), dd.weights_of(network), *inner)
        torch.testing.assert_close(value, whole, rtol=1e-10, atol=1e-12)
        for name, gradient in gradients.items():
            torch.testing.assert_close(gradient, expected[name], rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("number, shape, expected", [(1024, (1, 28, 28), 256), (1024, (3, 32, 32), 79), (256, (1, 28, 28), 256),
                                                     (335, (1, 28, 28), 168), (5, (1, 28, 28), 5), (64, (3, 224, 224), 32)])
def test_a_chunk_is_an_equal_part_that_memory_can_hold(number, shape, expected):
    assert chunk(torch.empty(number, *shape, device="meta")) == expected


def test_response_norm_is_torchs_own():
    """Values, first and second derivatives, where the squares are large enough to matter."""
    ours, theirs = dd.networks.ResponseNorm(8).double(), torch.nn.LocalResponseNorm(4, alpha=0.001 / 9, beta=0.75, k=1)
    hidden = (100 * torch.randn(2, 8, 3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).requires_grad_()
    values = []
    for norm in (ours, theirs):
        out = norm(hidden)
        [first] = torch.autograd.grad((out**2).sum(), hidden, create_graph=True)
        values.append((out, first, *torch.autograd.grad((first**2).sum(), hidden)))
    assert (values[0][0] - hidden).abs().max() > 10
    for one, other in zip(*values, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)


def test_a_set_for_other_data_is_refused_at_once():
    dset, start, _ = problem()
    with pytest.raises(ValueError, match="begin with DistilledSet.noise"):
        dd.distill(dset, start, dd.Fit(made_up((3, 32, 32))), outer_steps=1)


def test_a_generator_computes_only_when_asked():
    states = dd.distill(*problem(), outer_steps=10**9)
    assert inspect.isgenerator(states) and next(states).outer_step == 1
    states.close()


@pytest.mark.parametrize("kind", ["fixed", "random"])
def test_alexcifarnet_with_ten_batches(kind):
    """The CIFAR-10 code path, on made-up pictures: 100 images, 10 x 3 steps."""
    data = made_up((3, 32, 32))
    settings = dd.profiles.of(kind, "full-cifar10", batch_size=16, outer_steps=1, networks=1, validation_networks=1)
    [state] = dd.distill(settings.noise(data, 0), settings.starts(data, 0), dd.Fit(data), **settings.outer())
    assert state.distilled.images.shape == (10, 10, 3, 32, 32) and len(state.distilled.step_sizes) == 30


def test_cifar10_jpeg_path(real_root):
    data = dd.load("cifar10.npz", root=real_root)
    settings = dd.profiles.fixed("full-cifar10", batch_size=64, outer_steps=2)
    start = dd.FixedStart(dd.initialise(dd.AlexCifarNet(), 0))
    noise = settings.noise(data, 0)
    *_, state = dd.distill(noise, start, dd.Fit(data), **{**settings.outer(), "validate_every": 2})
    assert state.distilled.data == "cifar10-jpeg" and (state.distilled.images - noise.images).abs().max() > 1e-3


def test_class_means_and_real_images(digits):
    means, real = dd.baselines.class_means(digits, batches=2), dd.baselines.real_images(digits, 2, batches=3, seed=1)
    ones = digits.train.images[digits.train.labels == 1]
    torch.testing.assert_close(means.images[1, 1], ones.mean(0))
    assert real.images.shape == (3, 20, 1, 24, 24) and len(real.images.flatten(0, 1).flatten(1).unique(dim=0)) == 60
    rows = digits.train.images.flatten(1)
    for image, label in zip(real.images[2], real.labels[2], strict=True):
        where = (rows == image.flatten()).all(1).nonzero()
        assert digits.train.labels[where[0, 0]] == label
    with pytest.raises(ValueError, match="training images"):
        dd.baselines.real_images(digits, 1000)


def test_the_best_step_size_is_chosen_on_validation_images():
    dset, start, goal = problem()
    means = dd.baselines.class_means(goal.data, passes=2)
    chosen, scores = dd.baselines.with_best_step_size(means, start, goal, (0.01, 0.1, 1))
    best = max(scores, key=scores.get)
    assert chosen.step_sizes.tolist() == pytest.approx([best, best])
    blind = dataclasses.replace(goal.data, test=None)  # nothing but the validation images is looked at
    assert dd.baselines.with_best_step_size(chosen, start, dd.Fit(blind), (0.01, 0.1, 1))[1] == scores


def test_profiles_refuse_what_they_do_not_know():
    with pytest.raises(ValueError, match="Known: quick, laptop, full"):
        dd.profiles.fixed("fast")
    with pytest.raises(ValueError, match="Known: start, data, network, outer_steps"):
        dd.profiles.fixed("quick", steps=3)


def test_command_line(tmp_path, capsys):
    arguments = ["distill", "--outer-steps", "3", "--seeds", "0", "1", "--output", str(tmp_path / "out")]
    main(arguments)
    first = capsys.readouterr().out
    about = json.loads((tmp_path / "out.json").read_text())
    assert len(about["seeds"]) == 2 and about["configuration"]["outer_steps"] == 3
    assert dd.DistilledSet.load(tmp_path / "out.safetensors").initial is not None
    written = (tmp_path / "out-seed1.safetensors").stat().st_mtime_ns
    main(arguments)  # finished seeds are not computed again
    assert capsys.readouterr().out == first and (tmp_path / "out-seed1.safetensors").stat().st_mtime_ns == written
    main(["evaluate", str(tmp_path / "out.safetensors")])
    assert f"{about['test']:.1f} % after 3 gradient steps" in capsys.readouterr().out
    other = dd.DistilledSet.load(tmp_path / "out.safetensors")
    other.start["shapes"]["conv1.weight"] = [7, 1, 5, 5]  # a network of one's own that is called as ddlite's
    other.save(tmp_path / "own.safetensors", other.initial)
    with pytest.raises(SystemExit, match="with other layers: use ddlite.evaluate"):
        main(["evaluate", str(tmp_path / "own.safetensors")])
    main(["show", str(tmp_path / "out.safetensors"), "--output", str(tmp_path / "picture")])
    assert "labelled 0, 1, 2" in capsys.readouterr().out and (tmp_path / "picture.png").read_bytes()[:4] == b"\x89PNG"
    assert not list(tmp_path.glob("*checkpoint*"))


def test_command_line_for_random_starts(tmp_path, capsys):
    size = ["--start", "random", "--outer-steps", "3", "--batches", "2", "--held-out", "3"]
    main(["distill", *size, "--momentum", "0.3", "--learn-labels", "--output", str(tmp_path / "out")])
    about = json.loads((tmp_path / "out.json").read_text())
    assert about["networks"] == 3 and len(about["scores"]) == 3 and 0 < about["momentum"] < 1
    main(["distill", *size, "--momentum", "0.3", "--learn-labels", "--engine", "adjoint", "--output", str(tmp_path / "same")])
    one, other = (dd.DistilledSet.load(tmp_path / f"{name}.safetensors") for name in ("out", "same"))
    apart = (one.images - other.images).abs()  # Adam makes as much of a pixel's rounding as of a gradient, where that is tiny
    assert apart.mean() < 1e-5 and apart.max() < 1e-3  # in three steps a pixel moves by a tenth
    main(["distill", *size[:-1], "4", "--momentum", "0.3", "--learn-labels", "--force", "--output", str(tmp_path / "out")])
    about = json.loads((tmp_path / "out.json").read_text())
    assert about["networks"] == 4  # what was reported on three networks is not passed off as four
    capsys.readouterr()
    main(["evaluate", str(tmp_path / "out.safetensors"), "--held-out", "4"])
    assert f"{about['test']:.1f} ± {about['std']:.1f} %" in capsys.readouterr().out
    main(["baselines", *size, "--epochs", "2", "--output", str(tmp_path / "base")])
    rows = json.loads((tmp_path / "base.json").read_text())["rows"]
    assert len(rows) == 7 and len(rows["k-means"]["scores"]) == 3 and "class means" in capsys.readouterr().out


def test_the_command_line_keeps_the_last_good_set(tmp_path):
    with pytest.raises(SystemExit, match="diverged at outer step.*It was written to .*out-seed0.safetensors"):
        main(["distill", "--outer-steps", "50", "--learning-rate", "1e6", "--output", str(tmp_path / "out")])
    kept = dd.DistilledSet.load(tmp_path / "out-seed0.safetensors")
    assert torch.isfinite(kept.images).all() and kept.initial is not None


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX systems")
def test_told_to_end_it_keeps_its_place(tmp_path, capsys):
    """Told to end, `distill` writes a checkpoint and says so in one line; the same command goes on from it."""
    size = ["--start", "random", "--batches", "2", "--held-out", "2", "--validate-every", "50",
            "--output", str(tmp_path / "out")]
    checkpoint, reached = tmp_path / "out-seed0-checkpoint.safetensors", 0
    for sign in (signal.SIGTERM, signal.SIGINT):
        running = subprocess.Popen([sys.executable, "-m", "ddlite", "distill", *size, "--outer-steps", "100000"], cwd=ROOT,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        end = time.monotonic() + 300
        while time.monotonic() < end and not (checkpoint.exists() and load_tensors(checkpoint)[1]["outer_step"] > reached):
            time.sleep(0.2)
        running.send_signal(sign)
        _, words = running.communicate(timeout=300)
        assert running.returncode == 128 + sign and words.strip().endswith("the same command goes on from here."), words
        assert load_tensors(checkpoint)[1]["outer_step"] > reached
        reached = load_tensors(checkpoint)[1]["outer_step"]
    with pytest.raises(SystemExit, match="outer_steps 100000 there, 20 here"):
        main(["distill", *size, "--outer-steps", "20"])
    main(["distill", *size, "--outer-steps", "20", "--no-resume"])
    assert not checkpoint.exists() and "chosen on validation" in capsys.readouterr().out


def test_the_benchmark_prints_ratios(capsys, tmp_path):
    main(["bench", "--configs", "a", "no pooling first", "--repeats", "1", "--json", str(tmp_path / "bench.json")])
    row, measure = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert measure["config"] == "no pooling first" and row["config"] == "a"
    assert row["speedup"] == pytest.approx(row["plain_s"] / row["ddlite_s"])
    assert row["plain_over_real"] > 0 and (os.name == "nt" or row["plain_mb"] >= 0)
    assert "its own part on the real batch" in capsys.readouterr().out


def test_the_benchmark_takes_the_time_to_an_accuracy(real_root, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(wait, "GOALS", (15.0, 99.9))
    monkeypatch.setattr(wait, "OUTER_STEPS", 20)
    main(["bench", "--time-to-accuracy", "1", "--json", str(tmp_path / "bench.json"), "--goals", "15", "99.9", "--configs"])
    reached, missed = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert reached["seconds"] > 0 and reached["best"] >= 15 and missed["seconds"] is None and missed["best"] < 99.9
    assert "15.0 % of validation images after" in (out := capsys.readouterr().out) and "not reached (best" in out


def test_the_benchmark_tells_how_far_a_gpu_is_from_a_cpu(monkeypatch):
    bench.ways.cache_clear()
    monkeypatch.setitem(bench.CONFIGS, "a", lambda device: {"ddlite": lambda: (0, [torch.ones(3), torch.full((2, 2), 2.0)])})
    there = (0, [torch.full((3,), 1.5), torch.full((2, 2), 2.0)])
    assert bench.from_cpu(lambda: there, "a") == pytest.approx((3 / 4 / 19) ** 0.5)
    bench.ways.cache_clear()


def test_the_benchmark_compares_equal_things():
    """What the plain way of the benchmark computes is what ddlite's way computes."""
    for make, plain, shape in (bench.MNIST, bench.CIFAR10):
        ours, theirs = dd.initialise(make(shape), 0), plain(shape, 10)
        theirs.load_state_dict(ours.state_dict())
        images = torch.randn(3, *shape, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(ours(images), theirs(images), rtol=1e-4, atol=1e-5)
    row = [{"config": name, "ddlite_mb": mb} for name, mb in (("T=100", 10), ("T=300", 10 + 200 * 61_706 * 4 / 2**20))]
    assert bench.growth(row) == pytest.approx(1) and bench.growth(row[:1]) is None


@pytest.mark.parametrize("wrong, words", [(["--profil", "quick"], "[--profile NAME]"),
                                          (["--profile", "fast"], "full-cifar10"),
                                          (["--threads", "0"], "a whole number from 1 to"),
                                          (["--device", "cuda:77"], "use device='cpu'")])
def test_command_line_refuses(tmp_path, wrong, words):
    out = subprocess.run([sys.executable, "-m", "ddlite", "distill", "--output", tmp_path / "x", *wrong], cwd=ROOT,
                         capture_output=True, text=True, check=False)
    assert out.returncode != 0 and words in out.stderr and "Traceback" not in out.stderr


def test_import_is_light():
    script = "import sys, ddlite; print([m for m in ('ipywidgets', 'matplotlib', 'IPython') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=ROOT)
    assert out.stdout.strip() == "[]"
