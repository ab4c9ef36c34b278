"""Experts: networks trained on real data, whose weights are remembered epoch by epoch, as places where training starts."""

from collections.abc import Callable
from pathlib import Path

import torch
from torch import nn

from ddlite import starts, unroll
from ddlite.data import Data
from ddlite.machinery import arguments
from ddlite.machinery.files import fingerprint, load_tensors, save_tensors
from ddlite.machinery.progress import slowly
from ddlite.unrollable import gradients_on


class Experts:
    """A start for `mtt.Follow`: networks on their way through a training on real data, each of which knows where it should get.

    An expert is trained by plain gradient descent on minibatches. Its weights are kept before the first epoch and after each.
    Training networks are an expert and a first epoch drawn at random. Validation and held-out networks are fresh ones.

    Args:
        make, init, seed: as for `RandomStart`: how the networks are built, and drawn.
        data: the `Data` whose training images the experts see.
        number: how many experts.
        epochs: of each expert's training.
        ahead: a network should get where its expert is so many epochs later (the paper's M).
        last: trainings on the set start after 0 to `last` epochs (the paper's T+).
        learning_rate, batch_size: of the experts' training.
        momentum: of their gradient steps, within an epoch. It makes them hard to follow (the paper: 0).
        folder: where experts are kept, each epoch in a file of its own, so that what was interrupted goes on where it stopped,
            and only what is needed is read; by default they are kept in memory.
        images: an expert sees at most so many training images, drawn anew for each (all). Fewer make an epoch, which is the
            shortest way to follow, shorter.

    Raises ValueError as `RandomStart` does; for segments that go beyond the last epoch; and, when an expert is trained or read,
    if it diverged, if its weights did not move, or if a file is damaged or belongs to other experts.
    """

    buffers = None

    def __init__(self, make: Callable[..., nn.Module], data: Data, number: int = 10, epochs: int = 10, ahead: int = 2,
                 last: int = 4, init: str = "xavier-normal", seed: int = 0, learning_rate: float = 0.05, batch_size: int = 32,
                 momentum: float = 0.0, folder: str | Path | None = None, images: int | None = None):
        self.fresh, self.source, self.seed = starts.RandomStart(make, data, init, seed), data, seed
        self.number, self.epochs = arguments.whole("number", number, 1), arguments.whole("epochs", epochs, 1)
        self.ahead, self.last = arguments.whole("ahead", ahead, 1), arguments.whole("last", last, 0)
        if last + ahead > epochs:
            raise ValueError(f"last={last} and ahead={ahead}: a training that starts after {last} epochs should get where its "
                             f"expert is after {last + ahead}, and the experts have {epochs}. Lower either, or raise epochs.")
        self.learning_rate = arguments.number("learning_rate", learning_rate, above=0)
        self.batch_size = arguments.whole("batch_size", batch_size, 1)
        self.momentum = arguments.number("momentum", momentum, least=0, below=1)
        self.images = min(len(data.train), len(data.train) if images is None else arguments.whole("images", images, 1))
        self._identity = {**self.fresh.describe(), "data": data.fingerprint, "mean": list(data.mean), "std": list(data.std),
                          "layers": repr(self.fresh.networks("training")[0]), "learning_rate": self.learning_rate,
                          "batch_size": self.batch_size, "momentum": self.momentum, "images": self.images}
        mark = fingerprint(torch.tensor(list(repr(self._identity).encode())))
        self.folder = None if folder is None else Path(folder).expanduser() / f"experts-{mark}"
        self._kept = {}

    def __repr__(self):
        return (f"Experts({self.number} of {self.fresh!r}, {self.epochs} epochs of {self.source.name!r}, {self.ahead} ahead "
                f"from 0 to {self.last})")

    def fill(self) -> "Experts":
        """Train what is missing, with a progress bar. Returns itself."""
        for index in slowly(range(self.number), "experts"):
            self.path("training", index)
        return self

    def path(self, role: str, index: int) -> list[list[torch.Tensor]]:
        """An expert's weights before the first epoch and after each: epochs + 1 lists as `unroll.weights_of` gives them."""
        return [self.checkpoint(role, index, epoch) for epoch in range(self.epochs + 1)]

    def checkpoint(self, role: str, index: int, epoch: int) -> list[torch.Tensor]:
        """An expert's weights after so many epochs: from memory, from a file, or trained now, with all that lead there."""
        [network] = self.fresh.networks(role, 1, index)
        if epoch == 0:
            return unroll.weights_of(network)
        weights = self._read(role, index, epoch, network)
        if weights is None:
            before = self.checkpoint(role, index, epoch - 1)
            weights = self._epoch(network, before, starts.network_seed(role, self.seed, index), epoch)
            self._write(role, index, epoch, weights)
        return [weight.clone() for weight in weights]

    @gradients_on()
    def _epoch(self, network, weights, seed, epoch):
        """Once through all training images that the expert sees, by plain gradient descent."""
        split, generator, loss = self.source.train, torch.Generator().manual_seed(seed), unroll.loss_of(network)
        seen = torch.arange(len(split))
        if self.images < len(split):
            seen = torch.randperm(len(split), generator=generator)[:self.images]
        for _ in range(epoch):  # each epoch has an order of its own, wherever one begins
            order = seen[torch.randperm(self.images, generator=generator)].to(split.images.device)
        steps = ((split.images[which], split.labels[which], self.learning_rate) for which in order.split(self.batch_size))
        here = [weight.to(split.images.device).detach().requires_grad_() for weight in weights]
        trained = [weight.detach().cpu() for weight in unroll.train(loss, here, steps, self.momentum or None, False)]
        moved = torch.stack([(a - b.cpu()).square().sum() for a, b in zip(trained, weights)]).sum()
        if not (moved.isfinite() and moved > 0):
            what = "did not move" if moved == 0 else "diverged"
            raise ValueError(f"The expert {what} in epoch {epoch}: {'raise' if moved == 0 else 'lower'} its learning_rate, "
                             f"{self.learning_rate:g}.")
        return trained

    def _about(self, role, index, epoch):
        return {**self._identity, "role": role, "index": index, "epoch": epoch}

    def _file(self, role, index, epoch):
        return self.folder / f"{role}-{index:06}-epoch-{epoch:03}.safetensors"

    def _read(self, role, index, epoch, network):
        if self.folder is None:
            return self._kept.get((role, index, epoch))
        path = self._file(role, index, epoch)
        if not path.exists():
            return None
        tensors, about = load_tensors(path)
        weights, wanted = [tensors.get(f"{k}") for k in range(len(tensors))], unroll.weights_of(network)
        if about != self._about(role, index, epoch) or [getattr(one, "shape", None) for one in weights] != [
                one.shape for one in wanted]:
            raise ValueError(f"{path} belongs to other experts, or was changed: remove it, and it will be trained again.")
        return weights

    def _write(self, role, index, epoch, weights):
        if self.folder is None:
            self._kept[role, index, epoch] = weights
        else:
            tensors = {f"{k}": weight for k, weight in enumerate(weights)}
            save_tensors(self._file(role, index, epoch), tensors, self._about(role, index, epoch))

    def segment(self, number: int) -> tuple[int, int]:
        """The expert and the first epoch of training network number `number`."""
        generator = torch.Generator().manual_seed(starts.network_seed("training", self.seed, number))
        return tuple(int(torch.randint(most, (), generator=generator)) for most in (self.number, self.last + 1))

    def networks(self, role="held-out", number=1, first=0):
        """Training networks at checkpoints, with the way to go (see `on_the_way`); of the other roles fresh ones."""
        if role != "training":
            return self.fresh.networks(role, number, first)
        return [self.on_the_way("training", *self.segment(index)) for index in range(first, first + number)]

    def on_the_way(self, role: str, index: int, epoch: int) -> nn.Module:
        """A network at an expert's checkpoint. Buffers hold where it should get, and the squared length of the way."""
        [network] = self.fresh.networks(role, 1, index)
        origin, target = (self.checkpoint(role, index, each) for each in (epoch, epoch + self.ahead))
        unroll.put_weights(network, origin)
        way = sum((a - b).square().sum() for a, b in zip(origin, target))
        if not way > 0:
            raise ValueError(f"The expert is after {epoch + self.ahead} epochs where it was after {epoch}: there is no way to "
                             "follow. Were the checkpoints copied?")
        for k, weight in enumerate(target):
            network.register_buffer(f"_target_{k}", weight.detach(), persistent=False)
        network.register_buffer("_way", way.detach(), persistent=False)
        return network

    def describe(self):
        """The fresh start's description, and the experts'."""
        return {**self.fresh.describe(), "experts": {"data": self.source.name, **{name: getattr(self, name) for name in (
            "number", "epochs", "ahead", "last", "learning_rate", "batch_size", "momentum", "images")}}}
