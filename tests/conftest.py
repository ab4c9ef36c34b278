"""What the tests share: small made-up data, and where real data lie."""

import os
import random
import signal
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # two threads on a busy machine can be many times slower than one

import numpy as np
import pytest
import torch

import ddlite as dd
from ddlite.machinery.threads import cores

ROOT = Path(__file__).resolve().parent.parent
collect_ignore = ["answers"]  # cells of notebooks that give the other names: no modules
torch.set_num_threads(1)
signal.signal(signal.SIGINT, signal.default_int_handler)  # under nohup or in the background of a shell they are ignored,
if hasattr(signal, "SIGHUP"):  # and what a test starts would inherit that
    signal.signal(signal.SIGHUP, signal.SIG_DFL)


def made_up(shape=(1, 28, 28), classes=10, n=120, name="made-up", names=None, **options):
    """Noise around a picture of each class: easy to tell apart."""
    generator = np.random.default_rng(0)
    pictures = generator.random((classes, *shape))
    labels = np.arange(n) % classes
    images = (0.7 * pictures[labels] + 0.3 * generator.random((n, *shape))).astype(np.float32)
    return dd.from_arrays(images, labels, images[: n // 2], labels[: n // 2], name=name, classes=names, **options)


@pytest.fixture(autouse=True)
def _same_numbers():
    """What a test draws without a seed of its own does not depend on which tests ran before it."""
    random.seed(0)
    np.random.seed(0)
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def digits():
    return dd.load("digits")


@pytest.fixture
def tiny():
    """8x8 pictures of three classes, and a network small enough for finite differences."""
    return made_up((1, 8, 8), classes=3, n=60)


@pytest.fixture
def npz(tmp_path):
    def write(shape=(28, 28), n=120, name="mine", **changes):
        generator = np.random.default_rng(0)
        arrays = {"x_train": generator.integers(0, 256, (n, *shape), dtype=np.uint8), "y_train": np.arange(n) % 10,
                  "x_test": generator.integers(0, 256, (50, *shape), dtype=np.uint8), "y_test": np.arange(50) % 10, **changes}
        np.savez(tmp_path / f"{name}.npz", **arrays)
        return tmp_path / f"{name}.npz"

    return write


@pytest.fixture(scope="session")
def real_root():
    """The data root with the real MNIST and others; tests on it are skipped where it is absent, unless they must run."""
    root = Path(os.environ.get("DDLITE_DATA", "does-not-exist"))
    if (root / "MNIST/raw/train-images-idx3-ubyte").is_file():
        return root
    if os.environ.get("DDLITE_NEED_DATA"):
        pytest.fail(f"DDLITE_NEED_DATA is set, but there is no MNIST under {root}")
    pytest.skip("no real data: set DDLITE_DATA to a folder that has MNIST")


def pytest_terminal_summary(terminalreporter):
    """Print on what machine, and what tests recorded (`record_property`): what a notebook took, for example."""
    terminalreporter.write_line(f"{cores()} cores of {os.cpu_count()}, PyTorch {torch.__version__}")
    for report in terminalreporter.stats.get("passed", []):
        for name, value in report.user_properties:
            terminalreporter.write_line(f"{name}: {value}")
