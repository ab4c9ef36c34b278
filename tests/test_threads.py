"""Several threads on a busy machine: what is ours computes with one, and whoever asked for more is told."""

import subprocess
import sys

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


@pytest.mark.parametrize("busy, cores, warned", [(1, 4, False), (2, 4, True), (0, 2, False), (None, 2, False)])
def test_a_crowd_is_told_with_the_way_out(busy, cores, warned, three_threads, monkeypatch, recwarn):
    monkeypatch.setattr(threads, "others", lambda: busy)
    monkeypatch.setattr(threads.os, "cpu_count", lambda: cores)
    threads.warn_if_crowded()
    assert [("torch.set_num_threads(1)" in str(one.message)) for one in recwarn] == [True] * warned


def test_learning_and_pretraining_say_so(three_threads, monkeypatch):
    data = dd.load("digits", size=8)
    monkeypatch.setattr(threads, "others", lambda: 99)
    with pytest.warns(UserWarning, match="99 other thread"):
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
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(out.stdout) == wanted and torch.get_num_threads() == before
