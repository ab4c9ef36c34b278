"""Where training starts: one known network, or networks initialised afresh each time."""

import inspect
import warnings
from collections.abc import Callable, Sequence

import torch
from torch import nn

from ddlite.data import Data, need_data
from ddlite.machinery import arguments
from ddlite.machinery.files import fingerprint
from ddlite.networks import initialise
from ddlite.unrollable import check, copied, gradients_on, not_finite

ROLES = ("training", "validation", "held-out")


class FixedStart:
    """One known network: every training begins at the same weights (section 3.2 of the paper).

    Args:
        network: an `nn.Module`; a copy is kept. Its results are one number, without a spread. Frozen weights
            (`requires_grad=False`) are not trained, but belong to the network, and so do its buffers.

    Raises ValueError for a network that cannot be unrolled through (BatchNorm in training mode, active dropout), as far as its
    layers tell; for what only its calls tell, see `unrollable.check`. Also for weights that are NaN or infinite.
    """

    source = None  # it was pre-trained on nothing that is known

    def __init__(self, network: nn.Module):
        if words := not_finite(check(network)):
            raise ValueError(words)
        self.network = copied(network)

    def __repr__(self):
        return f"FixedStart({_named(self.network)})"

    def networks(self, role: str = "held-out", number: int = 1, first: int = 0) -> list[nn.Module]:
        """The one network, in a list, whatever the role ("training", "validation", "held-out") and the number asked for."""
        _check_numbers(role, number, first)
        return [copied(self.network)]

    @property
    def buffers(self):
        """The network's numbers that are no weights, by name (a dict): random features, masks, statistics of a BatchNorm."""
        return {name: buffer.detach().clone() for name, buffer in self.network.named_buffers()}

    def describe(self) -> dict:
        """What a distilled set has to know of its start, as a JSON-able dict (see `DistilledSet.start`)."""
        about = {**describe("fixed", self.network), "fingerprint": fingerprint(*self.network.parameters())}
        return {**about, "buffers": fingerprint(*self.buffers.values())} if self.buffers else about


class RandomStart:
    """Networks initialised at random: every training begins at other weights (section 3.3 of the paper).

    Args:
        make: what builds a network, called as `make(shape, classes)`: a class such as `LeNet`, or a function of yours.
        data: the `Data` that the networks are to classify; it gives shape and number of classes.
        init: the initialisation, see `initialise`; or "pytorch": as `make` and its layers draw weights by themselves.
        seed: 0..1023; another seed draws other networks, in all three roles.
        law: what `init` was called in the first edition.

    Training, validation and held-out networks come from seeds that cannot meet: role, seed and number of the network
    each have bits of their own (`network_seed`).

    Raises ValueError for a network that cannot be unrolled through or that the initialisation does not cover, and for a `make`
    that cannot be called so, returns the same network twice, or draws by another generator than PyTorch's.
    """

    source = buffers = None  # pre-trained on nothing; and what `make` draws is drawn again from the seed

    def __init__(self, make: Callable[..., nn.Module], data: Data, init: str = "xavier-normal", seed: int = 0,
                 law: str | None = None):
        _check_make(make)
        need_data(data)
        self.make, self.shape, self.classes, self.init = make, data.shape, len(data.classes), law or init
        self.seed = arguments.seed(seed, most=2**10 - 1)
        self._example, other = (self.networks("training")[0] for _ in range(2))  # built twice
        check(self._example)
        ours, theirs = ((*network.parameters(), *network.buffers()) for network in (self._example, other))
        if {id(weight) for weight in ours} & {id(weight) for weight in theirs}:
            raise ValueError("make(shape, classes) returned the same weights twice: it must build a new network at each call.")
        if fingerprint(*ours) != fingerprint(*theirs):
            raise ValueError("make(shape, classes) built two different networks from one seed: let it draw random numbers by "
                             "PyTorch's own generator alone, as in torch.randn(...), and not by numpy's or Python's.")

    def __repr__(self):
        return f"RandomStart({_named(self._example)}, init={self.init!r}, seed={self.seed})"

    def networks(self, role: str = "held-out", number: int = 1, first: int = 0) -> Sequence[nn.Module]:
        """Networks number `first`, `first` + 1, ... of a role, a sequence; each is built when it is asked for.

        The same numbers are the same weights, every time. Raises ValueError for an unknown role or too large a number.
        """
        number, first = _check_numbers(role, number, first)
        return _Draws(self, [network_seed(role, self.seed, index) for index in range(first, first + number)])

    def build(self, seed: int) -> nn.Module:
        """The network that a seed of 32 bits stands for."""
        # What make draws comes from PyTorch's global generator: put it back.
        with torch.random.fork_rng(devices=[]), gradients_on():
            torch.default_generator.manual_seed(seed)
            network = self.make(self.shape, self.classes)
            if not isinstance(network, nn.Module):
                raise ValueError(f"make(shape, classes) gave a {type(network).__name__}: a network, an nn.Module, is needed.")
            return network if self.init == "pytorch" else initialise(network, seed, self.init)

    def describe(self) -> dict:
        """What a distilled set has to know of its start, as a JSON-able dict (see `DistilledSet.start`)."""
        return {**describe("random", self._example), "init": self.init, "seed": self.seed}


class _Draws(Sequence):
    def __init__(self, start, seeds):
        self.start, self.seeds = start, seeds

    def __len__(self):
        return len(self.seeds)

    def __getitem__(self, index):
        return _Draws(self.start, self.seeds[index]) if isinstance(index, slice) else self.start.build(self.seeds[index])


def network_seed(role: str, seed: int, index: int) -> int:
    """The seed of one network: 2 bits for the role, 10 for the start's seed, 20 for the network's number.

    PyTorch's CPU generator uses the lowest 32 bits of a seed and ignores the rest, so that larger ones would meet.
    Raises ValueError for an unknown role, or a number that does not fit.

    >>> network_seed("training", 1, 0), network_seed("held-out", 0, 3)
    (1048576, 2147483651)
    """
    _check_numbers(role)
    seed, index = arguments.seed(seed, most=2**10 - 1), arguments.whole("number of the network", index, 0, 2**20 - 1)
    return (ROLES.index(role) << 30) | (seed << 20) | index


def describe(kind, network):
    """The kind of a start, and of its network: class name, shapes of all weights, and names of those that are frozen."""
    about = {"kind": kind, "network": type(network).__name__,
             "shapes": {name: list(weight.shape) for name, weight in network.named_parameters()}}
    frozen = [name for name, weight in network.named_parameters() if not weight.requires_grad]
    return {**about, "frozen": frozen} if frozen else about


def begin(dset, network, own_weights=False):
    """Put a network, in place, where a set's training begins: for a fixed start, at the weights and buffers it was learned for.

    Those that the set carries, or else the network's own, if they are the same. Raises ValueError for another network, or other
    weights, unless `own_weights` says that the network's own will do. Returns the network.
    """
    if dset.start is None or dset.start["kind"] != "fixed":
        return network
    about, now = dset.start, describe("fixed", network)
    if now["shapes"] != about["shapes"]:
        raise ValueError(f"This set was learned for one fixed {about['network']}; the weights of this {now['network']} have "
                         "other names or shapes. Use the same network, or a set for random starts.")
    if now.get("frozen", []) != about.get("frozen", []) and not own_weights:
        words = [", ".join(one.get("frozen", ["no weights"])) for one in (about, now)]
        raise ValueError(f"This set was learned with {words[0]} frozen, and this {now['network']} has {words[1]} frozen: set "
                         "requires_grad likewise, or try it anyway with own_weights=True.")
    numbers, buffers = list(network.parameters()), dict(network.named_buffers())
    if not own_weights:
        with torch.no_grad():
            for own, first in zip(numbers, dset.initial or numbers, strict=True):
                own.copy_(first)
            for name, first in (dset.buffers or {}).items():
                if name not in buffers or buffers[name].shape != first.shape:
                    raise ValueError(f"This set was learned for a {about['network']} with a buffer {name!r} of shape "
                                     f"{tuple(first.shape)}, which this {now['network']} has not: use the same network.")
                buffers[name].copy_(first)
    unlike = fingerprint(*numbers) != about["fingerprint"]
    if unlike or ("buffers" in about and fingerprint(*buffers.values()) != about["buffers"]):
        words = (f"This set was learned for one fixed initialisation, and this network has other "
                 f"{'weights' if unlike else 'buffers'}: expect little more than guessing.")
        if not own_weights:
            raise ValueError(f"{words} Load the initial weights, use a set for random starts, or try it anyway with "
                             "own_weights=True.")
        warnings.warn(words, stacklevel=3)
    return network


def _check_numbers(role, number=0, first=0):
    if role not in ROLES:
        raise ValueError(f"There is no role {role!r}. Known: {', '.join(ROLES)}.")
    return arguments.whole("number", number), arguments.whole("first", first)


def _check_make(make):
    """Refuse what cannot be called as make(shape, classes)."""
    if isinstance(make, nn.Module):
        raise ValueError(f"make is a network, a {type(make).__name__}, already: pass what builds one, such as the class "
                         f"{type(make).__name__} itself; a start from this very network is FixedStart(network).")
    if not callable(make):
        raise ValueError(f"make is {make!r}: a class such as LeNet, or a function make(shape, classes), is needed.")
    try:
        inspect.signature(make).bind((1, 1, 1), 1)
    except TypeError as cause:
        raise ValueError(f"make cannot be called as make(shape, classes) ({cause}): wrap it in a function of these two, such "
                         "as lambda shape, classes: MyNet(...).") from cause
    except ValueError:  # some that are written in C do not tell how they are called
        pass


def _named(network):
    return f"{type(network).__name__}, {sum(weight.numel() for weight in network.parameters()):,} weights"
