"""How fast it is: each configuration done the plain way and ddlite's, in turn, in one run; medians, and their ratio.

Ratios, because machines are shared and noisy and absolute times drift. The letters are configurations of the paper, with its
outer batch of 1024: a (one network, 3 steps on ten images), b1 (fresh networks, 30 steps), c (AlexCifarNet, 30 steps).
"""

import statistics
import time

import torch

from ddlite import adjoint, unroll
from ddlite.data import load
from ddlite.distilled import DistilledSet
from ddlite.evaluate import evaluate
from ddlite.goals import Fit
from ddlite.networks import AlexCifarNet, LeNet
from ddlite.starts import RandomStart


def outer_step(make, data, batches, batch=1024):
    """The meta-gradient of one outer step: the plain reference with the real batch as it comes, and what `distill` does."""
    network = RandomStart(make, data).networks("training")[0].to(data.train.images.device)
    dset, which = DistilledSet.noise(data, batches=batches, passes=3), torch.arange(batch) % len(data.train)
    images, labels = data.train.images[which], data.train.labels[which]
    large = 3 * batches * sum(weight.numel() for weight in network.parameters()) > 5_000_000

    def run(engine, images):
        return engine(unroll.loss_of(network), Fit(data).loss_of(network, images, labels), unroll.weights_of(network),
                      dset.images, dset.labels, dset.step_sizes)

    ours = adjoint.meta_gradient if large else unroll.meta_gradient
    last = images.to(memory_format=torch.channels_last)
    return lambda: run(unroll.meta_gradient, images), lambda: run(ours, last)


def held_out(data, number=4):
    """Training held-out LeNets on 30 steps and scoring them on the test images: a plain loop, and `evaluate`."""
    start, dset = RandomStart(LeNet, data), DistilledSet.noise(data, batches=10, passes=3)

    def loop():
        for network in start.networks("held-out", number):
            trained = dset.train(network)
            with torch.no_grad():
                for images, labels in zip(data.test.images.split(1000), data.test.labels.split(1000)):
                    (trained(images).argmax(1) == labels).sum().item()

    return loop, lambda: evaluate(dset, start.networks("held-out", number), Fit(data), data.test, [3])


CONFIGS = {
    "a": lambda device: outer_step(LeNet, load("mnist", device=device), batches=1),
    "b1": lambda device: outer_step(LeNet, load("mnist", device=device), batches=10),
    "c": lambda device: outer_step(AlexCifarNet, load("cifar10.npz", device=device), batches=10),
    "held-out": lambda device: held_out(load("mnist", device=device)),
}


def rows(configs, repeats, device):
    """One dict for each configuration: `config`, `plain_s` and `ddlite_s` (median seconds), `speedup`, `repeats`, `threads`."""
    for name in configs:
        ways = CONFIGS[name](device)
        seconds = [[], []]
        for turn in range(repeats + 1):
            for way, taken in zip(ways, seconds):
                began = time.perf_counter()
                way()
                if torch.device(device).type == "cuda":
                    torch.cuda.synchronize()
                if turn:  # the first turn warms up
                    taken.append(time.perf_counter() - began)
        plain, ours = map(statistics.median, seconds)
        yield {"config": name, "plain_s": plain, "ddlite_s": ours, "speedup": plain / ours, "repeats": repeats,
               "threads": torch.get_num_threads()}
