"""Several processes under torchrun compute what one does; where one dies, the others end and the work is kept."""

import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
import torch
from conftest import ROOT

import ddlite as dd
from ddlite.machinery import ranks
from ddlite.machinery.files import load_tensors

SIZE = ["--start", "random", "--batches", "2", "--networks", "3", "--validate-every", "3", "--held-out", "5"]
TORCHRUN = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "--"]


def ddlite(*words, launcher=(), **environment):
    return subprocess.Popen([sys.executable, *(launcher or ["-m"]), "ddlite", *words], cwd=ROOT, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1", **environment})


def distill(output, *more, launcher=()):
    return ddlite("distill", *SIZE, *more, "--output", output, launcher=launcher)


def finish(process):
    words = process.communicate(timeout=300)
    return process.returncode, *words


def test_alone_nothing_happens():
    networks, number = [object(), object()], torch.tensor(2.0)
    assert ranks.here() == (0, 1) and ranks.share(networks) is networks and ranks.total(number) is number
    with ranks.joined("cpu") as device:
        assert device == "cpu" and ranks.here() == (0, 1) and ranks.gathered(networks) is networks


def test_two_processes_compute_what_one_does(tmp_path):
    """Three networks for two processes: shares of two and one. The same set up to rounding, and the same words, once."""
    runs = [distill(tmp_path / name, "--outer-steps", "6", launcher=launcher)
            for name, launcher in (("one", ()), ("two", TORCHRUN))]
    (code, out, _), (code_of_two, out_of_two, errors) = map(finish, runs)
    assert code == 0 and code_of_two == 0, errors
    assert out_of_two.replace("two.safetensors", "one.safetensors") == out
    one, two = (dd.DistilledSet.load(tmp_path / f"{name}.safetensors") for name in ("one", "two"))
    for ours, theirs in zip(one.tensors().values(), two.tensors().values(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)
    about, about_two = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("one", "two"))
    assert about_two["scores"] == pytest.approx(about["scores"], abs=0.5) and len(about_two["scores"]) == 5
    assert about_two["command"].startswith("python -m ddlite distill") and about_two["command"].endswith("--processes 2")


def test_two_processes_begin_anew_where_asked_to(tmp_path):
    checkpoint = tmp_path / "it-seed0-checkpoint.safetensors"
    checkpoint.write_bytes(b"of an earlier run")
    code, _, errors = finish(distill(tmp_path / "it", "--outer-steps", "4", "--no-resume", launcher=TORCHRUN))
    assert code == 0 and (tmp_path / "it.safetensors").is_file() and not checkpoint.exists(), errors


def test_two_processes_share_the_pre_training(tmp_path):
    """The same networks, to the bit, as one process trains; the first process alone writes what was measured."""
    words = ["pretrain", "--experiment", "attack", "--pool", "3", "--pretraining-epochs", "1"]
    runs = [ddlite(*words, "--output", tmp_path / f"{name}-scores", launcher=launcher, DDLITE_DATA=str(tmp_path / name))
            for name, launcher in (("one", ()), ("two", TORCHRUN))]
    (code, out, errors), (code_of_two, out_of_two, errors_of_two) = map(finish, runs)
    assert (code, code_of_two) == (0, 0), errors + errors_of_two
    assert out_of_two.replace(str(tmp_path / "two"), str(tmp_path / "one")) == out
    one, two = ({file.name: load_tensors(file)[0] for file in (tmp_path / name / "pools").rglob("training-*.safetensors")}
                for name in ("one", "two"))
    assert len(one) == 3 and one.keys() == two.keys()
    for name, tensors in one.items():
        assert all(torch.equal(tensor, two[name][key]) for key, tensor in tensors.items())


def test_more_processes_than_networks_are_refused(tmp_path):
    code, _, errors = finish(distill(tmp_path / "out", "--networks", "1", launcher=TORCHRUN))
    assert code != 0 and "ddlite: 2 processes for 1 network(s) in each outer step" in errors
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name == "nt", reason="kills processes as POSIX does")
@pytest.mark.parametrize("sign", [signal.SIGKILL, signal.SIGTERM])
def test_a_process_that_dies_ends_the_run_and_the_same_command_goes_on(tmp_path, sign):
    """The second process is killed, or torchrun told to end: the checkpoint is whole, and the work is taken up from it."""
    checkpoint, more = tmp_path / "out-seed0-checkpoint.safetensors", ("--outer-steps", "150")
    running, end = distill(tmp_path / "out", *more, launcher=TORCHRUN), time.monotonic() + 200
    while time.monotonic() < end and not checkpoint.exists() and running.poll() is None:
        time.sleep(0.05)
    workers = psutil.Process(running.pid).children()
    if sign == signal.SIGTERM:
        running.terminate()
    else:
        next(worker for worker in workers if worker.environ()["RANK"] == "1").kill()
    code, _, errors = finish(running)
    assert code != 0 and "goes on from" in errors, errors
    assert not psutil.wait_procs(workers, timeout=300)[1]
    reached = load_tensors(checkpoint)[1]["outer_step"]  # raises if it is half-written
    assert 100 <= reached < 150
    code, out, errors = finish(distill(tmp_path / "out", *more))  # with however many processes
    assert code == 0 and "chosen on validation" in out, errors
    assert json.loads((tmp_path / "out.json").read_text())["seconds"] is None  # it had begun before
