"""Interrupted work resumes: to the bit, after being killed at any moment, and never from a file that is not its own."""

import copy
import multiprocessing
import os
import random
import signal

import pytest
import torch
from conftest import made_up

import ddlite as dd
from ddlite.learned import Learned
from ddlite.machinery.files import load_tensors, save_tensors


def problem():
    data = made_up((1, 8, 8), classes=3, n=60)
    start, goal = dd.RandomStart(dd.MLP, data), dd.Fit(data)
    dset = dd.DistilledSet.noise(data, batches=2, passes=2, step_size=0.1, learn_labels=True, momentum=0.3)
    return dset, start, goal


def states(path=None, outer_steps=12, **changes):
    settings = {"networks": 2, "validate_every": 3, "validation_networks": 1, "checkpoint_every": 2, **changes}
    return dd.distill(*problem(), outer_steps=outer_steps, checkpoint=path, **settings)


def equal(one, other):
    return all(torch.equal(a, b) for name in ("distilled", "best")
               for a, b in zip(getattr(one, name).tensors().values(), getattr(other, name).tensors().values(), strict=True)) \
        and (one.outer_step, one.loss, one.best_score) == (other.outer_step, other.loss, other.best_score)


def test_left_and_taken_up_again_it_is_the_same(tmp_path):
    """Left after 5 steps (the checkpoint is of step 4, then of 5), taken up, left again, taken up: the same to the bit."""
    *_, whole = states()
    path, seen = tmp_path / "it.safetensors", []
    for leave_at in (5, 9, None):
        running = states(path)
        for state in running:
            seen.append(state.outer_step)
            if state.outer_step == leave_at:
                break
        running.close()
    assert seen == list(range(1, 13)) and equal(state, whole)
    [again] = states(path)  # nothing is left to do: the last state once more
    assert equal(again, whole)


def test_one_that_was_left_long_ago_does_not_undo_what_another_kept(tmp_path):
    path = tmp_path / "it.safetensors"
    first = states(path)
    for _ in range(5):
        next(first)
    *_, last = states(path)
    first.close()
    [again] = states(path)
    assert again.outer_step == 12 and equal(again, last)


def work(path, outer_steps):
    torch.set_num_threads(1)
    for _ in states(path, outer_steps, checkpoint_every=3):
        pass


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills processes as POSIX does")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_killed_at_random_moments_nothing_is_lost(tmp_path):
    """SIGKILL at twenty random moments and more; each time the file is whole, and at the end the result is the same."""
    outer_steps, path = 250, tmp_path / "it.safetensors"
    *_, whole = states(None, outer_steps)
    chance, kills = random.Random(0), 0
    fork = multiprocessing.get_context("fork")
    while kills < 20:  # a fast machine comes to the end before it was killed so often, and begins again
        path.unlink(missing_ok=True)
        reached, ended = 0, False
        while not ended:
            process = fork.Process(target=work, args=(path, outer_steps))
            process.start()
            process.join(chance.uniform(0.02, 0.4) if kills < 22 else None)
            process.kill()
            process.join()
            ended = process.exitcode == 0
            kills += process.exitcode == -signal.SIGKILL
            if path.exists():
                _, about = load_tensors(path)  # raises if it is half-written
                assert about["outer_step"] >= reached and (about["outer_step"] % 3 == 0 or about["outer_step"] == outer_steps)
                reached = about["outer_step"]
        [last] = states(path, outer_steps)
        assert equal(last, whole), kills


@pytest.mark.parametrize("change, words", [({"learning_rate": 0.1}, "learning_rate 0.05 there, 0.1 here"),
                                           ({"seed": 1}, "seed 0 there, 1 here"), ({"outer_steps": 20}, "outer_steps 12")])
def test_another_distillation_is_refused(tmp_path, change, words):
    path = tmp_path / "it.safetensors"
    next(states(path, checkpoint_every=1))
    with pytest.raises(ValueError, match=f"another distillation .*{words}"):
        next(states(path, **change))


def test_other_networks_versions_and_damage_are_refused(tmp_path):
    path = tmp_path / "it.safetensors"
    next(states(path, checkpoint_every=1))
    dset, _, goal = problem()
    other = dd.RandomStart(dd.MLP, goal.data, init="orthogonal")
    with pytest.raises(ValueError, match="another distillation .*start"):
        next(dd.distill(dset, other, goal, 12, networks=2, validate_every=3, validation_networks=1, checkpoint=path))
    shifted = made_up((1, 8, 8), classes=3, n=60, mean=(0.1,), std=(1.0,))  # the same pixels, normalised otherwise
    _, start, _ = problem()
    with pytest.raises(ValueError, match="another distillation .*normalisation"):
        next(dd.distill(dd.DistilledSet.noise(shifted), start, dd.Fit(shifted), 12, networks=2, validate_every=3,
                        validation_networks=1, checkpoint=path))
    for activation in (torch.nn.ReLU(), torch.nn.Tanh()):  # the same weights, another function
        layers = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3), activation)
        start = dd.RandomStart(lambda *_, layers=layers: copy.deepcopy(layers), goal.data)
        running = dd.distill(dset, start, goal, 12, validate_every=3, validation_networks=1, checkpoint=tmp_path / "own",
                             checkpoint_every=1)
        if isinstance(activation, torch.nn.ReLU):
            next(running)
    with pytest.raises(ValueError, match="another distillation .*layers"):
        next(running)
    tensors, about = load_tensors(path)
    save_tensors(tmp_path / "new.safetensors", tensors, {**about, "checkpoint": 99})
    with pytest.raises(ValueError, match="version 99, known: 1.*remove it"):
        next(states(tmp_path / "new.safetensors"))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match="truncated"):
        next(states(path))


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "it.safetensors"
    running = states(path, checkpoint_every=1)
    next(running)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device.*make room"):
        next(running)
    assert path.read_bytes() == before and [file.name for file in tmp_path.iterdir()] == [path.name]


def test_interrupted_in_the_middle_of_a_step_nothing_is_lost(tmp_path, monkeypatch):
    *_, whole = states(None)
    path, learn, calls = tmp_path / "it.safetensors", Learned.meta_gradient, []

    def interrupted(*arguments):
        calls.append(1)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return learn(*arguments)

    monkeypatch.setattr(Learned, "meta_gradient", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(states(path, checkpoint_every=1000))
    assert load_tensors(path)[1]["outer_step"] == 5
    *_, last = states(path)
    assert equal(last, whole) and len(calls) == 6 + 7


def test_interrupted_between_two_steps_nothing_is_lost(tmp_path):
    """A signal is noticed as soon as the loop goes on, before its next step."""
    *_, whole = states(None)
    path = tmp_path / "it.safetensors"
    running = states(path, checkpoint_every=1000)
    for _ in range(5):
        next(running)
    with pytest.raises(KeyboardInterrupt):
        running.throw(KeyboardInterrupt)
    *_, last = states(path)
    assert equal(last, whole)


def test_engines_by_name_and_by_size():
    plain, adjoint = (next(states(engine=engine)) for engine in ("plain", "adjoint"))
    torch.testing.assert_close(plain.distilled.images, adjoint.distilled.images, rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="Known: plain, adjoint, chain"):
        states(engine="fast")
