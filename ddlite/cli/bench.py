"""How fast it is, and in how much memory: each configuration done the plain way and ddlite's, in turn, in one run.

Medians and their ratio, because machines are shared and noisy and absolute times drift. Memory is the peak of a process of
its own for each way, less what it had before. The pixels of the outer steps are noise, on which time and memory do not
depend, so that nothing is downloaded for them.

The configurations are the paper's, with its outer batch of 1024: a (one network, 3 steps on ten images), b1 (a random
network, 30 steps), b4 (four networks), c (AlexCifarNet, 30 steps); T=3 to T=300, a with so many steps; held-out, the scoring
of networks; and "no ...": there the plain way is ddlite's with one measure left out, to see what that one is worth.

The plain way is what a reader of the paper would write: `unroll.meta_gradient`, the real batch in one piece and as it comes,
ReLU before pooling, PyTorch's own response normalisation. ddlite's way is what `distill` does once the networks are drawn: the
engine that fits (`choose.engine_for`), and its own layers.
"""

import contextlib
import statistics
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, partial
from multiprocessing import get_context

import torch
from torch import nn
from torch.nn import functional as F

from ddlite import unroll
from ddlite.data import from_arrays
from ddlite.distilled import DistilledSet
from ddlite.engines import adjoint
from ddlite.engines.choose import engine_for
from ddlite.evaluate import evaluate
from ddlite.goals import Fit, in_chunks
from ddlite.learned import Learned, channels_last
from ddlite.networks import AlexCifarNet, LeNet
from ddlite.starts import RandomStart

STEPS = (3, 30, 100, 300)


class PlainLeNet(LeNet):
    """LeNet as it is drawn: ReLU, then pooling."""

    def forward(self, images):
        hidden = F.max_pool2d(F.relu(self.conv1(images)), 2)
        hidden = F.max_pool2d(F.relu(self.conv2(hidden)), 2).flatten(1)
        return self.linear3(F.relu(self.linear2(F.relu(self.linear1(hidden)))))


class PlainAlexCifarNet(AlexCifarNet):
    """AlexCifarNet as it is drawn: ReLU, then pooling, and PyTorch's own response normalisation."""

    def __init__(self, shape, classes):
        super().__init__(shape, classes)
        self.response = nn.LocalResponseNorm(4, alpha=0.001 / 9, beta=0.75, k=1)

    def forward(self, images):
        hidden = F.max_pool2d(F.relu(self.conv1(images)), 3, stride=2, padding=1)
        hidden = F.relu(self.conv2(self.response(hidden)))
        hidden = F.max_pool2d(self.response(hidden), 3, stride=2, padding=1).flatten(1)
        return self.linear3(F.relu(self.linear2(F.relu(self.linear1(hidden)))))


def noise(shape, number, device):
    """A `Data` of ten classes whose pixels are noise, with so many training and test images."""
    images = torch.rand(6 * number // 5 + 60, *shape, generator=torch.Generator().manual_seed(0))  # a sixth is for validation
    labels = torch.arange(len(images)) % 10
    return from_arrays(images, labels, images[:number], labels[:number], name="noise").to(device)


def outer_step(make, plain, shape, device, batches=1, passes=3, networks=1, step_size=0.02, batch=1024):
    """The meta-gradient of one outer step in two ways, and, to judge the first by, its own part on the real batch alone."""
    data = noise(shape, batch, device)
    images, labels = data.train.images[:batch], data.train.labels[:batch]
    dset, start = DistilledSet.noise(data, batches=batches, passes=passes, step_size=step_size), RandomStart(make, data)
    drawn = [network.to(device) for network in start.networks("training", networks)]
    weights, loss = [unroll.weights_of(network) for network in drawn], unroll.loss_of(plain(shape, 10).to(device))
    dset, rates = replace(dset, start=start.describe()), {"learning_rate": 0.05, "step_size_rate": 0.4}
    learned, eager = Learned(dset, rates), Learned(dset, rates, capture=False)
    in_order = images.to(memory_format=torch.channels_last)  # as `batches.draw` gives them

    def whole(of_weights):
        return loss(of_weights, images, labels)

    return {"plain": lambda: [unroll.meta_gradient(loss, whole, each, dset.images, dset.labels, dset.step_sizes)
                              for each in weights],
            "ddlite": lambda: learned.meta_gradient(drawn, Fit(data), in_order, labels),
            "real batch": lambda: [torch.autograd.grad(whole(each), each) for each in weights],
            **({"eager": lambda: eager.meta_gradient(drawn, Fit(data), in_order, labels)} if device != "cpu" else {})}


def one_measure(left_out, device, batch=1024):
    """The loss and gradient of a real batch with one thing left out that makes it cheaper, and with all of them."""
    make, plain, shape = CIFAR10 if left_out == "response norm" else MNIST
    data, textbook, network = noise(shape, batch, device), plain(shape, 10).to(device), make(shape, 10).to(device)
    if left_out == "response norm":
        textbook = make(shape, 10).to(device)
        textbook.response = plain(shape, 10).response
    images, labels, weights = data.train.images[:batch], data.train.labels[:batch], unroll.weights_of(network)
    channels_last = images.to(memory_format=torch.channels_last)
    without = {"chunks": (network, channels_last, batch), "channels last": (network, images, None),
               "pooling first": (textbook, channels_last, None), "response norm": (textbook, channels_last, None)}

    def way(network, images, at_once):
        return lambda: in_chunks(unroll.loss_of(network), images, labels, at_once)(weights)

    return {"plain": way(*without[left_out]), "ddlite": way(network, channels_last, None)}


def distilled_channels_last(device):
    """Three gradient steps of AlexCifarNet and back, the distilled images as they come, and channels last as in `distill`."""
    network, images = AlexCifarNet().to(device), torch.randn(3, 10, 3, 32, 32, device=device)
    labels, sizes = torch.arange(10, device=device).expand(3, 10), torch.full((3,), 0.001, device=device)

    def way(images):
        return lambda: adjoint.meta_gradient(unroll.loss_of(network), lambda weights: sum((w * w).sum() for w in weights),
                                             unroll.weights_of(network), images, labels, sizes)

    return {"plain": way(images), "ddlite": way(channels_last(images))}


def chained(device):
    """Thirty gradient steps of LeNet on ten images each and back, by autograd and by derivatives written out (`chain`)."""
    network, dset = LeNet().to(device), DistilledSet.noise(noise((1, 28, 28), 10, device), batches=10, passes=3)

    def way(engine):
        meta_gradient = engine_for(network, dset, engine)
        return lambda: meta_gradient(unroll.loss_of(network), lambda weights: sum((w * w).sum() for w in weights),
                                     unroll.weights_of(network), dset.images, dset.labels, dset.step_sizes)

    return {"plain": way("plain"), "ddlite": way("chain")}


def held_out(device, number=4):
    """Training held-out LeNets on 30 steps and scoring them on 10,000 images: a plain loop, and `evaluate`."""
    data = noise((1, 28, 28), 10_000, device)
    start, dset = RandomStart(LeNet, data), DistilledSet.noise(data, batches=10, passes=3)

    def loop():
        for network in start.networks("held-out", number):
            trained = dset.train(network.to(device))
            with torch.no_grad():
                for images, labels in zip(data.test.images.split(1000), data.test.labels.split(1000)):
                    (trained(images).argmax(1) == labels).sum().item()

    return {"plain": loop, "ddlite": lambda: evaluate(dset, start.networks("held-out", number), Fit(data), data.test, [3])}


# (network, the same as the plain way has it, shape of an image)
MNIST, CIFAR10 = (LeNet, PlainLeNet, (1, 28, 28)), (AlexCifarNet, PlainAlexCifarNet, (3, 32, 32))
CONFIGS = {
    "a": partial(outer_step, *MNIST),
    "b1": partial(outer_step, *MNIST, batches=10),
    "b4": partial(outer_step, *MNIST, batches=10, networks=4),
    "c": partial(outer_step, *CIFAR10, batches=10, step_size=0.001),
    "held-out": held_out,
    **{f"no {what}": partial(one_measure, what) for what in ("chunks", "channels last", "pooling first", "response norm")},
    "no distilled channels last": distilled_channels_last,
    "no chain": chained,
    **{f"T={steps}": partial(outer_step, *MNIST, passes=steps) for steps in STEPS},
}
HALF = partial(outer_step, *MNIST, batches=10, networks=2)  # of b4


@cache
def ways(config, device):
    """The ways of a configuration, ready to be called: a process builds them once."""
    return HALF(device) if config == "half" else CONFIGS[config](device)


def rows(configs, repeats, device="cpu"):
    """One dict for each configuration, as soon as it is measured.

    `config`; `plain_s` and `ddlite_s` (median seconds) and `speedup`, their ratio; `plain_mb` and `ddlite_mb` (peak memory,
    where the system tells it); `plain_over_real`, the plain way's time in units of its own forward and backward pass on the
    real batch; `repeats`, `threads`. For b4, `two_processes_s` and `_mb` are ddlite's way in two processes of one thread
    each, both counted. On a GPU, `eager_s` is ddlite's way without a CUDA graph; for `from_cpu` see there.
    """
    # Memory first: the system counts what this process has by then towards the peak of those that it starts.
    wanted = [(name, way) for name in configs for way in ("plain", "ddlite")] + [("half", "ddlite")] * ("b4" in configs)
    memory = {(name, way): apart(peak_memory, name, way, device) for name, way in wanted}
    for name in configs:
        calls, cpu = ways(name, device), torch.device(device).type == "cpu"
        with pair() if name == "b4" and cpu else contextlib.nullcontext() as both:
            taken = seconds({**calls, "two processes": both} if both else calls, repeats, device)
        off = from_cpu(calls["ddlite"], name) if "eager" in calls else None
        ways.cache_clear()
        row = {"config": name, "plain_s": taken["plain"], "ddlite_s": taken["ddlite"],
               "speedup": taken["plain"] / taken["ddlite"],
               **{f"{way}_mb": memory[name, way] for way in ("plain", "ddlite") if memory[name, way] is not None},
               "repeats": repeats, "threads": torch.get_num_threads()}
        if "real batch" in taken:
            row["plain_over_real"] = taken["plain"] / taken["real batch"]
            row |= {"eager_s": taken["eager"], "from_cpu": off} if "eager" in taken else {}
        if "two processes" in taken:
            row["two_processes_s"], one = taken["two processes"], memory["half", "ddlite"]
            row |= {"two_processes_mb": 2 * one} if one is not None else {}
        yield row


def from_cpu(call, config):
    """The distance of a call's meta-gradient from that of the same configuration on a CPU, as a part of the latter's norm."""
    both = call, ways(config, "cpu")["ddlite"]
    ours, theirs = (torch.cat([each.double().cpu().flatten() for each in way()[1]]) for way in both)
    return ((ours - theirs).norm() / theirs.norm()).item()


def seconds(calls, repeats, device):
    """The median seconds of each of several calls, done in turn."""
    taken = {name: [] for name in calls}
    warm_up = 1 if torch.device(device).type == "cpu" else 3  # a CUDA graph is compared with the step at its first two calls
    for turn in range(repeats + warm_up):
        for name, call in calls.items():
            began = time.perf_counter()
            call()
            if torch.device(device).type == "cuda":
                torch.cuda.synchronize()
            if turn >= warm_up:
                taken[name].append(time.perf_counter() - began)
    return {name: statistics.median(times) for name, times in taken.items()}


@contextlib.contextmanager
def pair():
    """An outer step of four networks in two processes of one thread each, two networks each, as `torchrun` would do it.

    Adding up the meta-gradients (8,000 numbers for ten batches of ten MNIST images: about a millisecond) is left out.
    """
    with ProcessPoolExecutor(2, get_context("spawn"), initializer=torch.set_num_threads, initargs=(1,)) as pool:
        yield lambda: list(pool.map(take, ["half"] * 2, ["ddlite"] * 2, ["cpu"] * 2))


def take(config, way, device):
    """Take one way of a configuration, once."""
    ways(config, device)[way]()


def apart(function, *arguments):
    """The result of a function in a process of its own, with as many threads."""
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=torch.set_num_threads,
                             initargs=(torch.get_num_threads(),)) as pool:
        return pool.submit(function, *arguments).result()


def peak_memory(config, way, device):
    """By how many MiB this process, or its part of the GPU, grows at most when a way is taken, twice.

    None where the system does not tell (Windows).
    """
    call = ways(config, device)[way]
    if torch.device(device).type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        call()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    try:
        import resource
    except ImportError:
        return None
    unit = 2**20 if sys.platform == "darwin" else 2**10  # bytes there, kilobytes elsewhere
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    call()
    call()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / unit


def growth(found):
    """By how much ddlite's memory grows with each gradient step, in units of the weights; None unless T=100 and T=300 are in.

    Both take the adjoint, which keeps the weights alone.
    """
    peak = {row["config"]: row.get("ddlite_mb") for row in found}
    if peak.get("T=100") is None or peak.get("T=300") is None:
        return None
    weights = sum(weight.numel() * weight.element_size() for weight in LeNet().parameters())
    return (peak["T=300"] - peak["T=100"]) * 2**20 / 200 / weights
