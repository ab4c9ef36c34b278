"""Several threads on a busy machine: what is ours computes with one, and whoever asked for more is told."""

import subprocess
import sys
import warnings

import pytest
import torch
from conftest import ROOT

import ddlite as dd
from ddlite.machinery import threads


@pytest.fixture
def three_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("busy, there, granted, words", [
    (1, 4, 4, None), (2, 4, 4, "other work takes some of the machine's 4 cores"), (0, 3, 3, None), (None, 3, 3, None),
    (0, 16, 2, "may use 2 of the machine's 16 cores"), (13, 16, 4, None), (14, 16, 4, "other work")])
def test_a_crowd_is_told_with_the_way_out(busy, there, granted, words, three_threads, monkeypatch, recwarn):
    monkeypatch.setattr(threads, "others", lambda: busy)
    monkeypatch.setattr(threads, "cores", lambda: granted)
    monkeypatch.setattr(threads.os, "cpu_count", lambda: there)
    threads.warn_if_crowded()
    told = [str(one.message) for one in recwarn]
    assert len(told) == bool(words) and all(words in one and "torch.set_num_threads(1)" in one for one in told)


@pytest.mark.parametrize("text, granted", [("max 100000", 64), ("100000 100000", 1), ("250000 100000", 2), ("50000 100000", 1),
                                           ("9900000 100000", 64), ("nonsense", 64), (None, 64)])
def test_a_container_may_grant_fewer_cores_than_it_shows(text, granted, monkeypatch, tmp_path):
    monkeypatch.setattr(threads.os, "sched_getaffinity", lambda process: set(range(64)), raising=False)
    monkeypatch.setattr(threads, "QUOTA", tmp_path / "cpu.max")
    if text:
        (tmp_path / "cpu.max").write_text(text + "\n")
    assert threads.cores() == granted


def test_work_that_begins_later_is_told_once(three_threads, monkeypatch):
    """At the next validation, and not at each that follows."""
    data, busy = dd.load("digits", size=8), iter([0] + [5] * 9)
    monkeypatch.setattr(threads, "cores", lambda: 4)
    monkeypatch.setattr(threads.os, "cpu_count", lambda: 4)
    monkeypatch.setattr(threads, "others", lambda: next(busy))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("default")
        told = [len(seen) for _ in dd.distill(dd.DistilledSet.noise(data), dd.RandomStart(dd.MLP, data), dd.Fit(data), 5,
                                              validation_networks=1, validate_every=2)]
    assert told == [0, 1, 1, 1, 1]


def test_learning_and_pretraining_say_so(three_threads, monkeypatch):
    data = dd.load("digits", size=8)
    monkeypatch.setattr(threads, "others", lambda: 99)
    monkeypatch.setattr(threads, "cores", lambda: 3)
    with pytest.warns(UserWarning, match="other work"):
        next(dd.distill(dd.DistilledSet.noise(data), dd.RandomStart(dd.MLP, data), dd.Fit(data), 1, validation_networks=1))
    with pytest.warns(UserWarning, match="many times slower"):
        dd.pretrain(dd.MLP(data.shape), data, epochs=1)


def test_one_thread_never_warns(monkeypatch, recwarn):
    monkeypatch.setattr(threads, "others", lambda: 99)
    threads.warn_if_crowded()
    assert torch.get_num_threads() == 1 and not recwarn.list


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells")
def test_a_busy_process_is_seen():
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        assert max(threads.others(20) for _ in range(10)) >= 1
    finally:
        busy.kill()
        busy.wait()


@pytest.mark.parametrize("environment, option, wanted", [({}, (), 1), ({"OMP_NUM_THREADS": "2"}, (), 2), ({}, ("3",), 3)])
def test_the_command_line_computes_with_one(environment, option, wanted, monkeypatch):
    before = torch.get_num_threads()
    code = (f"from ddlite.machinery import threads; import torch; threads.settle({', '.join(option)}); "
            "print(torch.get_num_threads())")
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(out.stdout) == wanted and torch.get_num_threads() == before
