"""Networks that already know something: pools of pre-trained networks, as a place where training starts."""

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F

from ddlite import unroll
from ddlite.data import Data
from ddlite.machinery import adam, arguments, ranks, threads
from ddlite.machinery.files import fingerprint, load_tensors, save_tensors
from ddlite.machinery.progress import slowly
from ddlite.starts import RandomStart, network_seed
from ddlite.unrollable import copied, gradients_on, takes


class PoolStart:
    """Pre-trained networks: their kind and their training are known, their weights are not (section 3.4 of the paper).

    Training networks are a pool of `size`, gone through in order, again and again; validation and held-out networks are
    pre-trained alike from seeds of their own. A network is pre-trained when it is first asked for (`fill` does so with a
    progress bar), and kept.

    Args:
        make, init, seed: as for `RandomStart`: how the networks are built, and drawn before pre-training.
        source: the `Data` to pre-train on, of the same shape as the data that learning will be about.
        size: training networks in the pool.
        folder: where pre-trained networks are kept, each in a file of its own, so that a pool that was interrupted goes on
            where it stopped; by default they are kept in memory. Each pool has a folder of its own in there, named after
            all that decides its weights but the code of `forward`, so that no network of a pool with other settings is ever
            taken for one of these.
        epochs, learning_rate, halve_every, batch_size: of the pre-training, see `pretrain`.

    Raises ValueError as `RandomStart` does, for settings that are none, for a file in the folder that is damaged or belongs to
    another pool, and, when a network is asked for, if its pre-training diverged.
    """

    buffers = None  # as for `RandomStart`

    def __init__(self, make: Callable[..., nn.Module], source: Data, size: int = 200, init: str = "xavier-normal",
                 seed: int = 0, folder: str | Path | None = None, **schedule: float):
        unknown = set(schedule) - set(SCHEDULE)
        if unknown:
            raise ValueError(f"There is no setting {', '.join(sorted(unknown))}. Known: {', '.join(SCHEDULE)}.")
        self.schedule = _schedule(**{**SCHEDULE, **schedule})
        self.fresh, self.source, self.size = RandomStart(make, source, init, seed), source, arguments.whole("size", size, 1)
        self._kept = {}
        [first] = self.fresh.networks("training")  # networks of one class may differ in layers, and in how they are drawn
        # "law" was the first edition's word for init: pools that lie on a disk are still known by it.
        described = {"law" if key == "init" else key: value for key, value in self.describe().items()}
        self._identity = {**described, "mean": list(source.mean), "std": list(source.std), "shape": list(source.shape),
                          "layers": repr(first), "drawn": fingerprint(*first.parameters())}
        if drawn := [tensor for name, tensor in first.state_dict().items() if name not in dict(first.named_parameters())]:
            self._identity["buffers"] = fingerprint(*drawn)
        del self._identity["size"]  # a larger pool has the same first networks
        mark = fingerprint(torch.tensor(list(repr(self._identity).encode())))
        name = re.sub(r'[\\/:*?"<>|\x00-\x1f]', "_", f"{source.name}-{self._identity['network']}")  # no way out of the folder
        self.folder = None if folder is None else Path(folder).expanduser() / f"{name}-{mark}"

    def __repr__(self):
        return f"PoolStart({self.size} of {self.fresh!r}, pre-trained on {self.source.name!r})"

    def networks(self, role: str = "held-out", number: int = 1, first: int = 0) -> Sequence[nn.Module]:
        """Networks number `first`, `first` + 1, ... of a role, a sequence; numbers of the training role go round the pool.

        Raises ValueError for an unknown role or too large a number.
        """
        number, first = arguments.whole("number", number), arguments.whole("first", first)
        indices = [k % self.size if role == "training" else k for k in range(first, first + number)]
        for index in indices:
            network_seed(role, self.fresh.seed, index)  # raises
        return _Pretrained(self, [(role, index) for index in indices])

    def fill(self, **numbers: int) -> "PoolStart":
        """Pre-train what is missing, with a progress bar: the training pool, and as many of other roles as are asked for.

        With a folder, several processes (`torchrun`) share the work.

        Args:
            validation, held_out: how many networks.

        Returns itself.
        """
        wanted = [*self.networks("training", self.size).places]
        for role, number in numbers.items():
            wanted += self.networks(role.replace("_", "-"), number).places
        for place in slowly(ranks.share(wanted), "pre-training", shown=ranks.here()[0] == 0):
            self.network(*place)
        ranks.total(torch.zeros(1))  # wait for the others' shares
        return self

    def network(self, role: str, index: int) -> nn.Module:
        """One network: from memory, from its file, or pre-trained now."""
        [network] = self.fresh.networks(role, first=index)
        kept, about = self._kept.get((role, index)), {**self._identity, "role": role, "index": index}
        path = self.folder and self.folder / f"{role}-{index:06}.safetensors"
        if path and path.exists():
            kept, found = load_tensors(path)
            if found != about or not _fits(kept, network):
                raise ValueError(f"{path} belongs to another pool, or was changed: remove it, and it will be trained again.")
        if kept is None:
            seed = network_seed(role, self.fresh.seed, index)
            trained = pretrain(network.to(self.source.train.images.device), self.source, seed, **self.schedule)
            kept = {name: tensor.detach().cpu() for name, tensor in _numbers(trained).items()}
            if path:
                save_tensors(path, kept, about)
            else:
                self._kept[role, index] = kept
        with gradients_on(), torch.no_grad():
            for name, tensor in _numbers(network).items():
                if name in kept:  # the first edition's files hold no buffers, which `make` draws
                    tensor.copy_(kept[name])
        return network

    def describe(self) -> dict:
        """What a distilled set has to know of its start, as a JSON-able dict (see `DistilledSet.start`)."""
        return {**self.fresh.describe(), "kind": "pool", "source": self.source.name, "size": self.size,
                "source_fingerprint": self.source.fingerprint, "schedule": self.schedule}


class _Pretrained(Sequence):
    def __init__(self, pool, places):
        self.pool, self.places = pool, places  # (role, number) of each

    def __len__(self):
        return len(self.places)

    def __getitem__(self, which):
        places = self.places[which]
        return _Pretrained(self.pool, places) if isinstance(which, slice) else self.pool.network(*places)


def pretrain(network: nn.Module, data: Data, seed: int = 0, *, epochs: int = 40, learning_rate: float = 2e-4,
             halve_every: int = 20, batch_size: int = 1024) -> nn.Module:
    """Train a network on real images as the paper trains its pools: Adam (betas 0.5 and 0.999), the rate halved now and then.

    Args:
        network: any `nn.Module`, left as it was; frozen weights (`requires_grad=False`) stay as they are in the copy, too.
        data: a `Data`; all of `data.train` is gone through in each epoch.
        seed: of the order of the images.
        epochs, learning_rate, halve_every: by default the paper's for MNIST; every `halve_every` epochs the rate is halved.
        batch_size: images in each step.

    Returns a trained copy. Raises ValueError for settings that are none, for a network that does not take the images, and if
    the training diverged.
    """
    _schedule(epochs, learning_rate, halve_every, batch_size)
    threads.warn_if_crowded()
    with gradients_on():
        trained, split = copied(network), data.train
        takes(trained, split.images, len(data.classes))
        weights, outputs = unroll.weights_of(trained), unroll.outputs_of(trained)
        first, second = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
        generator, number, began = torch.Generator().manual_seed(arguments.seed(seed)), 0, None
        for epoch in range(epochs):
            rate, losses = learning_rate / 2 ** (epoch // halve_every), []
            for which in torch.randperm(len(split), generator=generator).to(split.images.device).split(batch_size):
                images = split.images[which].to(memory_format=torch.channels_last)
                loss = F.cross_entropy(outputs(weights, images), split.labels[which])
                gradients = torch.autograd.grad(loss, weights, materialize_grads=True)
                losses.append(loss.detach())
                number += 1
                with torch.no_grad():
                    for weight, gradient, *moments in zip(weights, gradients, first, second):
                        weight.sub_(adam.update(gradient, *moments, number, rate))
            began = losses[0] if began is None else began
        ended, guessing = torch.stack(losses).mean().item(), math.log(len(data.classes))
        if not (ended < 2 * max(began.item(), guessing) and all(weight.isfinite().all() for weight in weights)):
            raise ValueError(f"The pre-training of this {type(network).__name__} on {data.name!r} diverged: its loss was "
                             f"{began.item():.3g} at first and is {ended:.3g} now. Lower learning_rate, {learning_rate:g}.")
        return unroll.put_weights(trained, weights)


SCHEDULE = pretrain.__kwdefaults__


def _schedule(epochs, learning_rate, halve_every, batch_size):
    """The settings of a pre-training, by name. Raises ValueError for one that is none."""
    arguments.number("learning_rate", learning_rate, above=0)
    return {"epochs": arguments.whole("epochs", epochs, 1), "learning_rate": learning_rate,
            "halve_every": arguments.whole("halve_every", halve_every, 1),
            "batch_size": arguments.whole("batch_size", batch_size, 1)}


def _fits(kept, network):
    """Whether tensors by name are all weights of a network, with its buffers or (in files of the first edition) without."""
    own = _numbers(network)
    return dict(network.named_parameters()).keys() <= kept.keys() <= own.keys() and all(
        (kept[name].shape, kept[name].dtype) == (own[name].shape, own[name].dtype) for name in kept)


def _numbers(network):
    """All weights and buffers of a network, by name."""
    return {**dict(network.named_parameters()), **dict(network.named_buffers())}
