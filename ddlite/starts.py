"""Where training starts: one known network, or networks initialised afresh each time."""

import copy
from collections.abc import Sequence

import torch

from ddlite import unroll
from ddlite.machinery.files import fingerprint
from ddlite.networks import check, initialise

ROLES = ("training", "validation", "held-out")


class FixedStart:
    """One known network: every training begins at the same weights (section 3.2 of the paper).

    Args:
        network: an `nn.Module`; a copy is kept. Its results are one number, without a spread.

    Raises ValueError for a network that cannot be unrolled through (BatchNorm, active dropout).
    """

    def __init__(self, network):
        self.network = copy.deepcopy(check(network))

    def networks(self, role="held-out", number=1, first=0):
        """The one network, in a list, whatever the role ("training", "validation", "held-out") and the number asked for."""
        return [copy.deepcopy(self.network)]

    def describe(self):
        """What a distilled set has to know of its start, as a JSON-able dict (see `DistilledSet.start`)."""
        return {**_describe("fixed", self.network), "fingerprint": fingerprint(*unroll.weights_of(self.network))}


class RandomStart:
    """Networks initialised at random: every training begins at other weights (section 3.3 of the paper).

    Args:
        make: what builds a network, called as `make(shape, classes)`: a class such as `LeNet`, or a function of yours.
        data: the `Data` that the networks are to classify; it gives shape and number of classes.
        init: the initialisation, see `initialise`; or "pytorch": as `make` and its layers draw weights by themselves.
        seed: 0..1023; another seed draws other networks, in all three roles.

    Training, validation and held-out networks come from seeds that cannot meet: role, seed and number of the network
    each have bits of their own (`network_seed`).

    Raises ValueError for a network that cannot be unrolled through or that the initialisation does not cover, and for a `make`
    that returns the same network twice.
    """

    def __init__(self, make, data, init="xavier-normal", seed=0):
        self.make, self.shape, self.classes, self.init, self.seed = make, data.shape, len(data.classes), init, seed
        self._example, other = self.networks("training", 2)
        if {id(weight) for weight in self._example.parameters()} & {id(weight) for weight in other.parameters()}:
            raise ValueError("make(shape, classes) returned the same weights twice: it must build a new network at each call.")
        check(self._example)

    def networks(self, role="held-out", number=1, first=0):
        """Networks number `first`, `first` + 1, ... of a role, a sequence; each is built when it is asked for.

        The same numbers are the same weights, every time. Raises ValueError for an unknown role or too large a number.
        """
        return _Draws(self, [network_seed(role, self.seed, index) for index in range(first, first + number)])

    def build(self, seed):
        """The network that a seed of 32 bits stands for."""
        with torch.random.fork_rng(devices=[]):  # what make draws comes from PyTorch's global generator: put it back
            torch.default_generator.manual_seed(seed)
            network = self.make(self.shape, self.classes)
        return network if self.init == "pytorch" else initialise(network, seed, self.init)

    def describe(self):
        """What a distilled set has to know of its start, as a JSON-able dict (see `DistilledSet.start`)."""
        return {**_describe("random", self._example), "init": self.init, "seed": self.seed}


class _Draws(Sequence):
    def __init__(self, start, seeds):
        self.start, self.seeds = start, seeds

    def __len__(self):
        return len(self.seeds)

    def __getitem__(self, index):
        return _Draws(self.start, self.seeds[index]) if isinstance(index, slice) else self.start.build(self.seeds[index])


def network_seed(role, seed, index):
    """The seed of one network: 2 bits for the role, 10 for the start's seed, 20 for the network's number.

    PyTorch's CPU generator uses the lowest 32 bits of a seed and ignores the rest, so that larger ones would meet.
    Raises ValueError for an unknown role, or a number that does not fit.

    >>> network_seed("training", 1, 0), network_seed("held-out", 0, 3)
    (1048576, 2147483651)
    """
    if role not in ROLES:
        raise ValueError(f"There is no role {role!r}. Known: {', '.join(ROLES)}.")
    if not (0 <= seed < 2**10 and 0 <= index < 2**20):
        raise ValueError(f"Seed {seed}, network number {index}: seeds go from 0 to 1023, numbers from 0 to 1,048,575.")
    return (ROLES.index(role) << 30) | (seed << 20) | index


def _describe(kind, network):
    return {"kind": kind, "network": type(network).__name__,
            "shapes": {name: list(weight.shape) for name, weight in network.named_parameters()}}
