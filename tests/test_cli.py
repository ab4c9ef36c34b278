"""The command line: clear words for bad input, results that cannot lie or be lost, signals, and answers without delay."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import fields, replace
from pathlib import Path

import filelock
import numpy as np
import psutil
import pytest
from conftest import ROOT

import ddlite as dd
from ddlite.cli import common, learn, parser, wait
from ddlite.cli.main import main
from ddlite.engines.choose import ENGINES
from ddlite.machinery.files import load_tensors

RUN = ["distill", "--outer-steps", "2", "--validate-every", "2", "--threads", "1", "--output"]


def tensors(path):
    """What a set's file holds; the order of the words in its header is not always the same."""
    return {name: tensor.tolist() for name, tensor in load_tensors(path)[0].items()}


def ddlite(*words, **options):
    return subprocess.Popen([sys.executable, "-m", "ddlite", *map(str, words)], cwd=ROOT, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize("words, message", [
    ("distill --output x --seeds 0 0", "0 twice"), ("distill --output x --seeds -1", "from 0 to 4,294,967,295"),
    ("distill --output x --seeds 99999999999999999999", "a whole number"), ("distill --output x --seeds 1.5", "a whole number"),
    ("distill --output x --threads 100000", "a whole number from 1"),
    ("distill --output x --threads 1000000000000", "a whole number from 1"), ("distill --output x --threads 0", "from 1"),
    ("distill --output x --passes 1000000000", "from 1 to 10,000"),
    ("distill --output x --passes 10000 --batches 10000", "gradient steps in each"),
    ("distill --output x --batch-size 1000000000000", "from 1 to 1,000,000"),
    ("distill --output x --images-per-class inf", "a number from 0"),
    ("distill --output x --images-per-class nan", "a number"),
    ("distill --output x --images-per-class 0", "images_per_class_and_batch"), ("distill --output x --halve-every 0", "from 1"),
    ("distill --output x --held-out 0", "from 1"), ("distill --output x --learning-rate nan", "a number from 0"),
    ("distill --output x --step-size -1", "a number from 0"), ("distill --output x --momentum 1", "momentum"),
    ("distill --output x --outer-steps zwei", "a whole number"), ("distill --output x --networks 0", "from 1"),
    ("distill --output x --engine fast", "plain"),
    ("distill --output x --profile quik", "Did you mean quick.*Known: quick, lap"),
    ("distill --output x --profile ''", "no profile"), ("distill --output x --start warm", "fixed"),
    ("distill --output x --data nothing", "no data set 'nothing'"), ("distill --output x --device tpu", "tpu"),
    ("distill --output x --ouput y", "unrecognized"), ("distill --output ''", "the name of a file"),
    ("distill --output folder/", "is a folder"), ("distill --output .", "is a folder"),
    ("distill --output folder", "is a folder"),
    ("distill --output ~nobody-of-that-name/x", "no such home"), ("distill", "required"),
    (f"distill --output {'n' * 300}", "at most 200 bytes"), (f"show digits-fixed-10 --output {'é' * 120}", "at most 200 bytes"),
    ("evaluate ~nobody-of-that-name/x", "no such home"), ("show ~nobody-of-that-name/x --output x", "no such home"),
    ("evaluate ''", "the name of a file"), ("bench --json ''", "the name of a file"), ("grade ''", "the name of a file"),
    ("bench --repeats 0", "from 1"), ("bench --configs z", "no configuration z. Known: a, b1"),
    ("bench --goals 7", "no goal 7"),
    ("grade folder --minutes -1", "from 0.5"), ("grade folder --gib 0", "from 1"),
    ("grade folder --gib nan", "from 1"),
    ("grade folder --jobs 0", "from 1"), ("evaluate nothing", "no file nothing"), ("evaluate folder", "folder is a folder"),
    ("evaluate digits-fixed-10 --held-out 0", "from 1"), ("evaluate digits-fixed-10 --data x.npz", "no file x.npz"),
    ("show nothing --output x", "no file nothing"), ("show digits-fixed-10 --output ''", "the name of a file"),
    ("profiles warm", "invalid choice"), ("", "required")])
def test_bad_input_is_refused_in_words(words, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    with pytest.raises(SystemExit) as end:
        main([word.strip("'") for word in words.split()])
    said = f"{end.value} {capsys.readouterr().err}".replace("\n", " ")
    assert end.value.code not in (0, None) and "Traceback" not in said
    assert re.search(message, said), said
    assert [path.name for path in tmp_path.iterdir()] == ["folder"], "nothing was written"


def test_the_parser_knows_what_the_core_knows():
    assert tuple(dd.profiles.PROFILES) == parser.EXPERIMENTS and parser.ENGINES == ENGINES
    assert parser.GOALS == wait.GOALS
    kinds = {field.name: field.type for field in fields(dd.profiles.Settings) if field.name not in ("start", "network")}
    assert {name: kind for name, (_, kind, *_) in parser.SETTINGS.items()} == kinds
    for profiles in dd.profiles.PROFILES.values():
        for settings in profiles.values():
            for name, (_, kind, _, most, _) in parser.SETTINGS.items():
                assert kind in (bool, str) or getattr(settings, name) <= most


def test_help_and_version_answer_at_once():
    """Without PyTorch: that alone is what takes seconds."""
    script = ("import sys; from ddlite.cli.main import main\ntry: main(sys.argv[1:])\nexcept SystemExit: pass\n"
              "assert not {'torch', 'numpy', 'matplotlib'} & set(sys.modules)")
    for words in (["--help"], ["--version"], ["distill", "--help"], ["grade", "--help"]):
        out = subprocess.run([sys.executable, "-c", script, *words], cwd=ROOT, capture_output=True, text=True,
                             check=True).stdout
        assert "usage: ddlite" in out or out == f"ddlite {dd.__version__}\n"
        assert words[0].startswith("-") or out.count("\n  ddlite ") == 2, "two examples"


def test_sets_and_profiles_fit_a_terminal(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    main(["sets"])
    out = capsys.readouterr().out
    assert all(name in out for name in dd.shipped()) and "attack 0 as 1" in out and max(map(len, out.splitlines())) <= 80
    main(["profiles"])
    out = capsys.readouterr().out
    assert out.count("quick:") == len(parser.EXPERIMENTS + parser.METHODS) and "outer_steps 450" in out
    assert max(map(len, out.splitlines())) <= 80


def test_a_finished_result_is_overwritten_only_by_force(tmp_path, capsys):
    main([*RUN, str(tmp_path / "a")])
    first, kept = capsys.readouterr().out, (tmp_path / "a.safetensors").read_bytes()
    main([*RUN, str(tmp_path / "a")])
    assert capsys.readouterr().out == first and not list(tmp_path.glob(".*")), "no lock is left"
    for other in (["--outer-steps", "1"], ["--engine", "adjoint"], ["--threads", "2"], ["--learning-rate", "0.2"]):
        with pytest.raises(SystemExit, match=f"finished result of other settings .*{other[0][2:].replace('-', '_')}.*--force"):
            main([*RUN, str(tmp_path / "a"), *other])
        assert (tmp_path / "a.safetensors").read_bytes() == kept
    main([*RUN, str(tmp_path / "a"), "--outer-steps", "1", "--force"])
    assert json.loads((tmp_path / "a.json").read_text())["configuration"]["outer_steps"] == 1
    (tmp_path / "foreign.safetensors").write_bytes(b"a set of mine")
    with pytest.raises(SystemExit, match="without a manifest"):
        main([*RUN, str(tmp_path / "foreign")])


def test_a_result_never_stands_beside_another_set(tmp_path, monkeypatch, capsys):
    """Killed between the set and its manifest, the earlier manifest is gone; the earlier command does not report it."""
    main([*RUN, str(tmp_path / "a")])
    right = tensors(tmp_path / "a.safetensors")
    with monkeypatch.context() as patch:
        patch.setattr(learn, "write_json", lambda *_: (_ for _ in ()).throw(OSError("killed")))
        with pytest.raises(SystemExit, match="killed"):
            main([*RUN, str(tmp_path / "a"), "--outer-steps", "1", "--force"])
    assert not list(tmp_path.glob("a*.json")) and (tmp_path / "a-seed0.safetensors").exists()
    with pytest.raises(SystemExit, match="without a manifest"):
        main([*RUN, str(tmp_path / "a")])
    main([*RUN, str(tmp_path / "a"), "--force", "--no-resume"])
    assert tensors(tmp_path / "a.safetensors") == right


def test_a_set_that_is_lost_is_made_again_and_one_that_is_another_noticed(tmp_path):
    main([*RUN, str(tmp_path / "a")])
    path = tmp_path / "a-seed0.safetensors"
    right = tensors(path)
    path.unlink()
    main([*RUN, str(tmp_path / "a")])
    assert tensors(path) == right
    path.write_bytes(b"garbage")
    with pytest.raises(SystemExit, match="belongs to another set"):
        main([*RUN, str(tmp_path / "a")])
    main([*RUN, str(tmp_path / "a"), "--force"])
    assert tensors(path) == right
    for content in ("{", "[]", "{}", '{"configuration": 3}'):
        (tmp_path / "a-seed0.json").write_text(content)
        with pytest.raises(SystemExit, match=r"a-seed0\.json"):
            main([*RUN, str(tmp_path / "a")])


def test_two_processes_do_not_write_one_result(tmp_path):
    with filelock.FileLock(tmp_path / ".a.lock"), pytest.raises(SystemExit, match="Another process is writing"):
        main([*RUN, str(tmp_path / "a")])
    holder = "import filelock, os, signal, sys; filelock.FileLock(sys.argv[1]).acquire(); os.kill(os.getpid(), signal.SIGKILL)"
    subprocess.run([sys.executable, "-c", holder, tmp_path / ".a.lock"], check=False)
    main([*RUN, str(tmp_path / "a")])  # who was killed holds no lock


def test_the_engine_belongs_to_a_checkpoint(tmp_path):
    data = dd.load("digits", size=8)
    start = dd.RandomStart(dd.MLP, data)
    settings = {"outer_steps": 4, "batch_size": 8, "validate_every": 4, "validation_networks": 1, "checkpoint_every": 1}
    noise, path = dd.DistilledSet.noise(data), tmp_path / "it.safetensors"
    next(dd.distill(noise, start, dd.Fit(data), **settings, engine="plain", checkpoint=path))
    with pytest.raises(ValueError, match="engine 'plain' there, 'adjoint' here.*remove it to begin anew"):
        next(dd.distill(noise, start, dd.Fit(data), **settings, engine="adjoint", checkpoint=path))


@pytest.mark.parametrize("network", ["distill", "Fit", "load", "nn", "nothing", ""])
def test_what_is_no_network_is_not_called(network, tmp_path):
    dset = dd.DistilledSet.shipped("digits-fixed-10")
    replace(dset, start={**dset.start, "network": network}).save(tmp_path / "a.safetensors")
    with pytest.raises(SystemExit, match="not learned for one of ddlite's networks"):
        main(["evaluate", str(tmp_path / "a.safetensors")])


def test_manifests_of_the_first_edition_are_read(tmp_path, capsys):
    """They say nothing of the set's fingerprint, the engine and the threads; their step sizes tell another set."""
    main([*RUN, str(tmp_path / "a")])
    first, manifest = capsys.readouterr().out, tmp_path / "a-seed0.json"
    about = json.loads(manifest.read_text())
    old = {key: value for key, value in about.items() if key not in ("set", "engine", "threads")}
    manifest.write_text(json.dumps(old))
    main([*RUN, str(tmp_path / "a")])
    assert capsys.readouterr().out == first
    manifest.write_text(json.dumps({**old, "step_sizes": [9, 9, 9]}))
    with pytest.raises(SystemExit, match="belongs to another set"):
        main([*RUN, str(tmp_path / "a")])


def test_baselines_and_pools_are_not_overwritten_either(tmp_path, monkeypatch):
    monkeypatch.setenv("DDLITE_DATA", str(tmp_path / "data"))
    words = ["pretrain", "--pool", "1", "--pretraining-epochs", "1", "--threads", "1", "--output", str(tmp_path / "p")]
    main(words)
    kept = (tmp_path / "p.json").read_bytes()
    main(words)
    with pytest.raises(SystemExit, match="finished result of other settings.*--force"):
        main([*words, "--pretraining-rate", "0.01"])
    assert (tmp_path / "p.json").read_bytes() == kept
    main([*words, "--pretraining-rate", "0.01", "--force"])
    assert (tmp_path / "p.json").read_bytes() != kept
    for name in ("p", "b"):
        command = words if name == "p" else ["baselines", "--threads", "1", "--output", str(tmp_path / "b")]
        with filelock.FileLock(tmp_path / f".{name}.lock"), pytest.raises(SystemExit, match="Another process is writing"):
            main(command)


def test_lines_of_progress_where_there_is_no_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(common, "EVERY", 0)
    main([*RUN, str(tmp_path / "a")])
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("seed 0: step")]
    assert "step 1 of 2, loss" in lines[0] and "step 2 of 2, validation" in lines[1]
    assert "steps/s" in lines[1] and lines[1].endswith(", 0 s left")


def test_evaluate_as_json_and_oblong_pictures(tmp_path, capsys, npz, monkeypatch):
    main(["evaluate", "digits-fixed-10", "--json"])
    about = json.loads(capsys.readouterr().out)
    assert about["set"] == "digits-fixed-10" and about["mean"] > 90 and about["scores"]
    mine = npz(shape=(24, 28), x_train=np.random.default_rng(0).integers(0, 256, (120, 24, 28), dtype=np.uint8))
    monkeypatch.setenv("HOME", str(tmp_path))
    main(["distill", "--data", str(mine), "--start", "random", "--outer-steps", "1", "--held-out", "2", "--output", "~/own"])
    main(["evaluate", "~/own.safetensors", "--data", str(mine), "--held-out", "2"])
    assert "50 test images of mine" in capsys.readouterr().out


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX systems")
@pytest.mark.parametrize("sign", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
def test_signals_write_a_checkpoint(sign, tmp_path):
    checkpoint = tmp_path / "a-seed0-checkpoint.safetensors"
    running = ddlite("distill", "--start", "random", "--outer-steps", "100000", "--output", tmp_path / "a")
    end = time.monotonic() + 200
    while time.monotonic() < end and not checkpoint.exists() and running.poll() is None:
        time.sleep(0.1)
    reached = load_tensors(checkpoint)[1]["outer_step"]
    time.sleep(0.5)
    running.send_signal(sign)
    _, words = running.communicate(timeout=300)
    assert running.returncode == 128 + sign and "goes on from here" in words and "Traceback" not in words
    assert load_tensors(checkpoint)[1]["outer_step"] > reached


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX systems")
@pytest.mark.parametrize("module", ["ddlite.cli.parser", "torch._C", "ddlite.starts", "filelock"])
def test_interrupted_in_the_first_seconds(module, tmp_path):
    """While it imports: as soon as a module is reported to have been imported."""
    words = ["-X", "importtime", "-m", "ddlite", "distill", "--outer-steps", "100000", "--output", tmp_path / "a"]
    running = subprocess.Popen([sys.executable, *map(str, words)], cwd=ROOT, stderr=subprocess.PIPE, text=True)
    seen = any(line.split("|")[-1].strip() == module for line in running.stderr)
    running.send_signal(signal.SIGINT)
    _, rest = running.communicate(timeout=300)
    assert seen and running.returncode == 130 and "Traceback" not in rest, rest


@pytest.mark.skipif(not os.path.exists("/proc"), reason="asks Linux who listens")
def test_nothing_listens_to_other_machines(tmp_path):
    running = ddlite("distill", "--start", "random", "--networks", "2", "--outer-steps", "100000", "--processes", "2",
                     "--output",
                     tmp_path / "a")
    end, checkpoint = time.monotonic() + 200, tmp_path / "a-seed0-checkpoint.safetensors"
    while time.monotonic() < end and not checkpoint.exists() and running.poll() is None:
        time.sleep(0.2)
    family = [psutil.Process(running.pid), *psutil.Process(running.pid).children(recursive=True)]
    listening = [one.laddr.ip for each in family for one in each.net_connections() if one.status == psutil.CONN_LISTEN]
    running.terminate()
    running.communicate(timeout=300)
    assert checkpoint.exists() and len(family) >= 3 and listening and set(listening) <= {"127.0.0.1", "::1"}


@pytest.mark.skipif(os.name == "nt", reason="pipes of POSIX systems")
def test_a_reader_that_has_seen_enough(tmp_path):
    read, write = os.pipe()
    os.close(read)
    running = subprocess.run([sys.executable, "-m", "ddlite", "sets"], cwd=ROOT, stdout=write, stderr=subprocess.PIPE,
                             text=True,
                             check=False)
    os.close(write)
    assert running.returncode == 141 and not running.stderr


@pytest.mark.parametrize("words", (["--source", "usps"], ["--pool", "4"], ["--known", "--experiment", "random"],
                                   ["--pretraining-epochs", "2", "--halve-every", "1"]))
def test_options_of_a_pool_are_refused_where_there_is_none(words, tmp_path):
    with pytest.raises(SystemExit, match=rf"{words[0]}.*not pre-trained.*--experiment adaptation"):
        main(["distill", *words, "--outer-steps", "1", "--output", str(tmp_path / "run")])
    assert not list(tmp_path.iterdir())


def queued(tmp_path, text):
    (tmp_path / "night.txt").write_text(text)
    return subprocess.run([sys.executable, "-m", "ddlite", "queue", "night.txt", "--nice", "0"], cwd=tmp_path, text=True,
                          capture_output=True, check=False, env={**os.environ, "PYTHONPATH": str(ROOT)})


def test_a_queue_runs_all_its_lines_and_keeps_what_is_finished(tmp_path):
    text = ("# for the night\nddlite distill --outer-steps 2 --output a\n\n"
            "distill --data no-such-data --output b   # fails, and stops no other\ndistill --outer-steps 1 --output 'c d'\n")
    first = queued(tmp_path, text)
    assert first.returncode == 1 and (tmp_path / "a.json").is_file() and (tmp_path / "c d.json").is_file()
    assert "1 of 3: ddlite distill" in first.stdout and "no-such-data" in first.stderr
    assert "1 of 3 commands failed: line 2 ended with 1" in first.stderr and "Traceback" not in first.stderr
    made = (tmp_path / "a.safetensors").stat().st_mtime_ns, (tmp_path / "a-seed0.json").stat().st_mtime_ns
    queued(tmp_path, text.splitlines()[1])
    assert made[1] == (tmp_path / "a-seed0.json").stat().st_mtime_ns


@pytest.mark.parametrize("text, words", [("", "holds no command"), ("# nothing\n", "holds no command"),
                                         ("distill --output a\ngrade handed-in", "line 2: 'grade' cannot stand in a queue"),
                                         ("distill --output a --outer-steps none", "line 1: .*a whole number from 1"),
                                         ("distill --output 'a", "line 1: No closing quotation")])
def test_a_queue_is_read_before_it_is_run(text, words, tmp_path):
    (tmp_path / "night.txt").write_text(text)
    with pytest.raises(SystemExit, match=words):
        main(["queue", str(tmp_path / "night.txt")])
    assert [file.name for file in tmp_path.iterdir()] == ["night.txt"]


@pytest.mark.skipif(os.name == "nt", reason="signals are POSIX's")
def test_a_queue_that_is_told_to_end_lets_its_command_write_a_checkpoint(tmp_path):
    (tmp_path / "night.txt").write_text("distill --outer-steps 100000 --output a\ndistill --outer-steps 1 --output b\n")
    process = subprocess.Popen([sys.executable, "-m", "ddlite", "queue", "night.txt", "--nice", "1"], cwd=tmp_path,
                               stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    until = time.monotonic() + 300
    while not list(tmp_path.glob("a-seed0-checkpoint*")) and time.monotonic() < until:
        time.sleep(0.2)
    for command in psutil.Process(process.pid).children():
        share = Path(f"/proc/{command.pid}/autogroup")
        assert command.nice() >= 1 and (not share.is_file() or share.read_text().strip().endswith("nice 1"))
    process.terminate()
    _, said = process.communicate(timeout=300)
    assert process.returncode == 128 + signal.SIGTERM and "goes on from here" in said
    assert not list(tmp_path.glob("b*")) and list(tmp_path.glob("a-seed0-checkpoint*"))
