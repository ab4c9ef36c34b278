"""What a GPU needs of the outer loop, tried on a CPU that is treated like one: no waiting, and one record of every step."""

import contextlib
import warnings
from types import SimpleNamespace

import pytest
import torch
from conftest import made_up
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import ddlite as dd
from ddlite.engines import choose
from ddlite.engines.captured import TRIES, Captured

pytestmark = pytest.mark.filterwarnings("error")


class Record(TorchDispatchMode):
    """What a CUDA graph does, on a CPU: every operation once more, on the same places in memory, without the Python."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        out = function(*args, **(kwargs or {}))
        self.calls.append((function, args, kwargs or {}, out))
        return out

    def replay(self):
        with torch.no_grad():
            for function, args, kwargs, out in self.calls:
                for place, now in zip(tree_leaves(out), tree_leaves(function(*args, **kwargs))):
                    if place is not None and place.data_ptr() != now.data_ptr():  # else a view, or in place
                        place.copy_(now)


@pytest.fixture
def recorded(monkeypatch):
    """Treats the CPU like a GPU; gives the list of the records made."""
    made, stream = [], SimpleNamespace(wait_stream=lambda other: None)

    def new():
        made.append(Record())
        return made[-1]

    monkeypatch.setattr(choose, "SYNCHRONOUS", ())
    for name, fake in {"Stream": lambda: stream, "current_stream": lambda: stream, "CUDAGraph": new,
                       "stream": lambda stream: contextlib.nullcontext(), "device": lambda device: contextlib.nullcontext(),
                       "graph": lambda graph, stream: graph}.items():
        monkeypatch.setattr(torch.cuda, name, fake)
    return made


def problem(data=None, goal=None, start=None, **noise):
    data = data or made_up(n=240)
    start = start or dd.FixedStart(dd.initialise(dd.LeNet(data.shape), 0))
    return dd.DistilledSet.noise(data, **{"step_size": 0.05, "passes": 2, **noise}), start, goal or dd.Fit(data)


def tiny(make):
    """A problem of 10x10 pixels with everything that can be learned, from random starts."""
    data = made_up((1, 10, 10), n=240)
    return problem(data, start=dd.RandomStart(make, data), batches=2, learn_labels=True, momentum=0.3)


class Buffered(dd.MLP):
    """Each network with its own buffer, as a normalisation of the input would be."""

    def __init__(self, shape, classes):
        super().__init__(shape, classes)
        self.register_buffer("scale", torch.rand(()) + 0.5)

    def forward(self, images):
        return super().forward(images * self.scale)


@pytest.mark.parametrize("engine", ["plain", "adjoint"])
@pytest.mark.parametrize("make", [problem, lambda: tiny(dd.MLP), lambda: tiny(Buffered),
                                  lambda: problem(goal=dd.Attack(made_up(n=240), 0, 1), images_per_class_and_batch=2,
                                                  passes=1)],
                         ids=["fixed", "random", "buffers", "attack"])
def test_a_recorded_step_learns_the_same(recorded, monkeypatch, make, engine):
    settings = {"outer_steps": 5, "networks": 2, "batch_size": 150, "validate_every": 5, "engine": engine}
    *_, state = dd.distill(*make(), **settings)
    assert len(recorded) == 1 and recorded[0].calls
    monkeypatch.setattr(choose, "SYNCHRONOUS", ("cpu",))
    *_, plainly = dd.distill(*make(), **settings)
    assert len(recorded) == 1 and state.loss == pytest.approx(plainly.loss, rel=1e-5)
    for name, tensor in plainly.distilled.tensors().items():
        torch.testing.assert_close(state.distilled.tensors()[name], tensor, rtol=1e-4, atol=1e-5)


def test_between_two_looks_nothing_waits_for_the_device(recorded):
    states = dd.distill(*problem(), outer_steps=9, validate_every=9)
    for _ in range(3):  # the look at the beginning, and the two comparisons with the record
        next(states)
    with Record() as watch:
        passed = [next(states) for _ in range(4)]
    waits = {torch.ops.aten._local_scalar_dense.default, torch.ops.aten.nonzero.default, torch.ops.aten.equal.default}
    assert not waits & {call[0] for call in watch.calls} and len(watch.calls) > 100
    with Record() as watch:
        passed[0].loss, passed[0].distilled
    assert waits & {call[0] for call in watch.calls}


def test_networks_that_are_kept_stay_as_they_are(recorded):
    networks, captured = [torch.nn.Linear(3, 2) for _ in range(4)], Captured(function)
    before = [[weight.clone() for weight in network.parameters()] for network in networks]
    inputs = torch.ones(1, 3)
    for network in networks:
        for one, other in zip(captured(network, None, inputs), function(network, None, inputs)):
            torch.testing.assert_close(one, other)
    assert all(torch.equal(weight, was) for network, weights in zip(networks, before)
               for weight, was in zip(network.parameters(), weights))


def test_divergence_is_found_at_the_next_look_and_nothing_bad_is_learned(recorded, tmp_path, monkeypatch):
    """Some steps later than on a CPU, the same step is named, and the set is the one before it."""
    settings, file = {"outer_steps": 60, "learning_rate": 1e6}, tmp_path / "checkpoint.safetensors"
    with pytest.raises(dd.Diverged, match=r"outer step (\d+): loss") as late:
        for state in dd.distill(*problem(), **settings, validate_every=60, checkpoint=file, checkpoint_every=40):
            assert torch.isfinite(state.distilled.images).all()
    monkeypatch.setattr(choose, "SYNCHRONOUS", ("cpu",))
    with pytest.raises(dd.Diverged) as at_once:
        list(dd.distill(*problem(), **settings, validate_every=60))
    step = at_once.value.state.outer_step
    assert f"outer step {step + 1}:" in str(at_once.value) and f"outer step {step + 1}:" in str(late.value)
    assert late.value.state.outer_step > step and not file.exists()
    torch.testing.assert_close(late.value.state.distilled.step_sizes, at_once.value.state.distilled.step_sizes)


@pytest.mark.parametrize("leave", [lambda states: states.close(), lambda states: states.throw(KeyboardInterrupt)])
def test_leaving_after_a_divergence_keeps_no_checkpoint_of_it(recorded, tmp_path, leave):
    states = dd.distill(*problem(), outer_steps=60, learning_rate=1e6, validate_every=60, checkpoint=tmp_path / "c.safetensors")
    for _ in range(39):
        next(states)
    with contextlib.suppress(KeyboardInterrupt):
        leave(states)
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_on_a_gpu_the_same_is_learned_and_nothing_waits(monkeypatch):
    gpu, here = made_up(n=240).to("cuda"), problem()
    states = dd.distill(*problem(gpu), outer_steps=9, validate_every=9)
    for _ in range(3):
        next(states)
    torch.cuda.set_sync_debug_mode("error")
    for _ in range(5):
        next(states)
    torch.cuda.set_sync_debug_mode("default")
    *_, state = states
    *_, on_cpu = dd.distill(*here, outer_steps=9, validate_every=9)
    torch.testing.assert_close(state.distilled.images.cpu(), on_cpu.distilled.images, rtol=1e-2, atol=1e-2)


def function(network, goal, x):
    return [network(x).sum(), (network(x) ** 2).sum()]


def test_where_nothing_can_be_captured_a_warning_says_so_and_the_step_is_taken():
    if torch.cuda.is_available():
        pytest.skip("needs a machine without CUDA")
    network, captured = torch.nn.Linear(3, 2), Captured(function)
    with pytest.warns(UserWarning, match="not captured in a CUDA graph .*slower"):
        captured(network, None, torch.ones(1, 3))
    other = torch.nn.Linear(3, 2)
    assert captured(other, None, torch.ones(1, 3)) == function(other, None, torch.ones(1, 3))  # and no second warning


@pytest.mark.parametrize("wrong_at", [1, 2])
def test_a_record_with_other_numbers_is_not_used(recorded, wrong_at, monkeypatch):
    network, captured, replays, replay = torch.nn.Linear(3, 2), Captured(function), [], Record.replay

    def spoilt(record):
        replay(record)
        replays.append(record)
        if len(replays) >= wrong_at:
            for *_, out in record.calls:
                out.mul_(2) if isinstance(out, torch.Tensor) and out.dim() == 0 else None

    monkeypatch.setattr(Record, "replay", lambda record: torch.no_grad()(spoilt)(record))
    with pytest.warns(UserWarning, match="other numbers"):
        for k in range(3):
            inputs = torch.full((1, 3), float(k + 1))
            assert captured(network, None, inputs) == function(network, None, inputs)
    assert len(replays) == wrong_at - 1 + TRIES


@pytest.mark.parametrize("wild", [1, 12, 1000])
def test_a_step_that_does_not_agree_with_itself_is_compared_later(recorded, wild):
    """For so many calls it gives other numbers each time: with few, the record is used in the end."""
    network, calls, wildness = torch.nn.Linear(3, 2), [], torch.ones(())

    def wildly(network, goal, x):
        calls.append(x)
        if len(calls) > wild:
            wildness.zero_()
        return [network(x).sum() * (1 + wildness * torch.rand(8))]  # eight, so that no two calls agree by chance

    captured, told = Captured(wildly), []
    for _ in range(30):
        with warnings.catch_warnings(record=True) as words:
            warnings.simplefilter("always")
            captured(network, None, torch.ones(1, 3))
        told += words
    asked = len(calls)
    captured(network, None, torch.ones(1, 3))
    if wild < 1000:
        assert not told and len(calls) == asked  # the record is used
    else:
        assert len(told) == 1 and "other numbers at each call" in str(told[0].message) and len(calls) == asked + 1
