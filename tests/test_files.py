"""Files that cannot lie: a changed bit, a cut end or another content is refused in words, or changes nothing."""

import json
import os
import random
import subprocess
import sys

import pytest
import torch
from conftest import ROOT
from safetensors.torch import save

import ddlite as dd
from ddlite.machinery import files
from ddlite.machinery.checkpoint import Checkpoint


@pytest.fixture(scope="module")
def digits():
    return dd.load("digits", size=8)


def linear(shape, classes):
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))


@pytest.fixture(scope="module")
def kept(digits, tmp_path_factory):
    """A set, a checkpoint and a network of a pool, each with what reads it: {name: (path, read)}."""
    folder = tmp_path_factory.mktemp("files")
    start, goal = dd.FixedStart(linear(None, None)), dd.Fit(digits)
    noise = dd.DistilledSet.noise(digits, passes=2, step_size=0.1, momentum=0.5, learn_labels=True)
    settings = {"outer_steps": 2, "batch_size": 8, "validate_every": 2, "validation_networks": 1}
    *_, state = dd.distill(noise, start, goal, **settings, checkpoint=folder / "checkpoint.safetensors")
    state.best.save(folder / "set.safetensors", start.network.parameters())
    pool = dd.PoolStart(linear, digits, 1, folder=folder, epochs=1, batch_size=500)
    pool.network("training", 0)
    [network] = pool.folder.glob("*.safetensors")

    def resumed(path):
        *_, last = dd.distill(noise, start, goal, **settings, checkpoint=path)
        return files.fingerprint(*last.best.tensors().values(), *last.distilled.tensors().values())

    def pooled(path):
        network.write_bytes(path.read_bytes())
        return files.fingerprint(*pool.network("training", 0).parameters())

    def loaded(path):
        dset = dd.DistilledSet.load(path)
        return files.fingerprint(*dset.tensors().values(), *dset.initial), repr(dset)

    first = ROOT / "tests" / "files" / "format1-fixed.safetensors"
    return {"set": (folder / "set.safetensors", loaded), "checkpoint": (folder / "checkpoint.safetensors", resumed),
            "pool": (network, pooled), "first format": (first, loaded)}


@pytest.mark.parametrize("name", ["set", "checkpoint", "pool", "first format"])
def test_damage_is_refused_or_changes_nothing(name, kept, tmp_path):
    """Flipped bits, most of them where the names are, and cut ends: a ValueError that names the file, or the same numbers."""
    path, read = kept[name]
    whole, drawn, refused = path.read_bytes(), random.Random(0), 0
    header, copy, right = 8 + int.from_bytes(whole[:8], "little"), tmp_path / f"{name}.safetensors", read(path)
    for trial in range(150):
        damaged = bytearray(whole)
        if trial % 10 == 0:
            damaged = damaged[:drawn.randrange(len(whole))]
        else:
            damaged[drawn.randrange(header if trial % 3 else len(whole))] ^= 1 << drawn.randrange(8)
        copy.write_bytes(damaged)
        try:
            assert read(copy) == right, trial
        except ValueError as error:
            refused += 1
            assert ".safetensors" in str(error) and len(str(error)) < 2000, trial
        finally:
            path.write_bytes(whole) if name == "pool" else None
    assert refused > 100


def test_names_are_under_the_checksum(tmp_path):
    """In the first edition they were not: `momentum` became `lomentum`, and the set taught something else."""
    for name in ("format1-random", "format1-fixed"):
        content = (ROOT / "tests" / "files" / f"{name}.safetensors").read_bytes()
        for word, other in ((b'"momentum"', b'"lomentum"'), (b'"step_sizes"', b'"ste`_sizes"'), (b'"labels"', b'"mabels"'),
                            (b'"images"', b'"hmages"'), (b'"initial.1.bias"', b'"initial.1.cias"')):
            if word in content:
                (tmp_path / "it.safetensors").write_bytes(content.replace(word, other))
                with pytest.raises(ValueError, match="was changed|no distilled set"):
                    dd.DistilledSet.load(tmp_path / "it.safetensors")


NESTED = "[" * 100_000 + "]" * 100_000


@pytest.mark.filterwarnings("ignore:This set was made to harm")
@pytest.mark.parametrize("about", ["[]", "3", "{}", NESTED, '{"format": 2}', '{"format": 2, "start": [], "goal": 3}',
                                   '{"format": 2, "start": {"kind": "fixed"}, "goal": "fit"}', '{"format": [2]}',
                                   '{"format": 2, "start": null, "goal": null, "data": "d", "classes": 3, "mean": [0]}',
                                   '{"format": 2, "start": null, "goal": null, "recipe": {"epoch": 1}, "storage": 3}',
                                   '{"checkpoint": 1}', '{"checkpoint": 1, "identity": []}'])
def test_a_file_with_a_true_checksum_and_another_content(about, tmp_path):
    tensors, path = {"images": torch.zeros(1, 10, 1, 8, 8), "labels": torch.arange(10)[None]}, tmp_path / "it.safetensors"
    path.write_bytes(save(tensors, {"ddlite": about, "checksum2": files._checksum(tensors, about, names=True)}))
    for read in (dd.DistilledSet.load, lambda path: Checkpoint(path, 1, {"seed": 0}).read()):
        with pytest.raises(ValueError, match="it.safetensors|newer one may"):
            read(path)


def test_what_is_no_ordinary_file_is_not_read(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for path, words in ((tmp_path, "a folder"), (tmp_path / "pipe", "a pipe"), ("/dev/zero", "a device")):
        with pytest.raises(ValueError, match=words):
            dd.DistilledSet.load(path)
        with pytest.raises(ValueError, match=words):
            files.read_json(path)
    with pytest.raises(FileNotFoundError, match="There is no file"):
        dd.DistilledSet.load(tmp_path / "nothing")
    (tmp_path / "deep.json").write_text(NESTED)
    with pytest.raises(ValueError, match="no valid JSON"):
        files.read_json(tmp_path / "deep.json")


def test_a_home_folder_may_be_named_by_its_sign(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    files.write_json("~/it.json", {"a": 1})
    assert json.loads((tmp_path / "it.json").read_text()) == files.read_json("~/it.json")


def test_parts_of_killed_writers_are_swept_away(tmp_path):
    """Killed between the writing and the renaming; a living writer's part stays."""
    code = ("import os, signal, sys; from ddlite.machinery import files\n"
            "os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
            "files.write_bytes(sys.argv[1], b'half')")
    for _ in range(2):
        subprocess.run([sys.executable, "-c", code, tmp_path / "it.json"], check=False, cwd=ROOT)
    alive = tmp_path / f".it.json-{os.getppid()}-abc.part"
    alive.write_bytes(b"")
    assert len(list(tmp_path.glob(".it.json-*.part"))) >= 2
    files.write_bytes(tmp_path / "it.json", b"whole")
    assert list(tmp_path.glob(".*.part")) == [alive] and (tmp_path / "it.json").read_bytes() == b"whole"
