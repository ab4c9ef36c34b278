"""Networks that already know something: pools of pre-trained networks, as a place where training starts."""

import copy
from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm.auto import tqdm

from ddlite import unroll
from ddlite.machinery import adam, ranks
from ddlite.machinery.files import fingerprint, load_tensors, save_tensors
from ddlite.starts import RandomStart, network_seed


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

    Raises ValueError as `RandomStart` does, and for a file in the folder that is damaged or belongs to another pool.
    """

    def __init__(self, make, source, size=200, init="xavier-normal", seed=0, folder=None, **schedule):
        if size < 1:
            raise ValueError("size must be 1 or more.")
        self.fresh, self.source, self.size = RandomStart(make, source, init, seed), source, size
        self.schedule = {**pretrain.__kwdefaults__, **schedule}
        unknown = set(schedule) - set(pretrain.__kwdefaults__)
        if unknown:
            raise ValueError(f"There is no setting {', '.join(sorted(unknown))}. Known: {', '.join(pretrain.__kwdefaults__)}.")
        self._kept = {}
        [first] = self.fresh.networks("training")  # networks of one class may differ in layers, and in how they are drawn
        # "law" was the first edition's word for init: pools that lie on a disk are still known by it.
        described = {"law" if key == "init" else key: value for key, value in self.describe().items()}
        self._identity = {**described, "mean": list(source.mean), "std": list(source.std), "shape": list(source.shape),
                          "layers": repr(first), "drawn": fingerprint(*unroll.weights_of(first))}
        del self._identity["size"]  # a larger pool has the same first networks
        mark = fingerprint(torch.tensor(list(repr(self._identity).encode())))
        name = f"{source.name}-{self._identity['network']}-{mark}"
        self.folder = None if folder is None else Path(folder) / name

    def networks(self, role="held-out", number=1, first=0):
        """Networks number `first`, `first` + 1, ... of a role, a sequence; numbers of the training role go round the pool.

        Raises ValueError for an unknown role or too large a number.
        """
        indices = [k % self.size if role == "training" else k for k in range(first, first + number)]
        for index in indices:
            network_seed(role, self.fresh.seed, index)  # raises
        return _Pretrained(self, [(role, index) for index in indices])

    def fill(self, **numbers):
        """Pre-train what is missing, with a progress bar: the training pool, and as many of other roles as are asked for.

        With a folder, several processes (`torchrun`) share the work.

        Args:
            validation, held_out: how many networks.

        Returns itself.
        """
        wanted = [*self.networks("training", self.size).places]
        for role, number in numbers.items():
            wanted += self.networks(role.replace("_", "-"), number).places
        for place in tqdm(ranks.share(wanted), desc="pre-training", delay=2, leave=False, disable=ranks.here()[0] > 0):
            self.network(*place)
        ranks.total(torch.zeros(1))  # wait for the others' shares
        return self

    def network(self, role, index):
        """One network: from memory, from its file, or pre-trained now."""
        [network] = self.fresh.networks(role, first=index)
        names, kept = [name for name, _ in network.named_parameters()], self._kept.get((role, index))
        path = self.folder and self.folder / f"{role}-{index:06}.safetensors"
        if path and path.exists():
            tensors, about = load_tensors(path)
            if about != {**self._identity, "role": role, "index": index}:
                raise ValueError(f"{path} belongs to another pool: remove it, and it will be trained again.")
            kept = [tensors[name] for name in names]
        if kept is None:
            network = network.to(self.source.train.images.device)
            seed = network_seed(role, self.fresh.seed, index)
            kept = [weight.cpu() for weight in unroll.weights_of(pretrain(network, self.source, seed, **self.schedule))]
            if path:
                save_tensors(path, dict(zip(names, kept)), {**self._identity, "role": role, "index": index})
            else:
                self._kept[role, index] = kept
        return unroll.with_weights(network, kept)

    def describe(self):
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


def pretrain(network, data, seed=0, *, epochs=40, learning_rate=2e-4, halve_every=20, batch_size=1024):
    """Train a network on real images as the paper trains its pools: Adam (betas 0.5 and 0.999), the rate halved now and then.

    Args:
        network: any `nn.Module`, left as it was.
        data: a `Data`; all of `data.train` is gone through in each epoch.
        seed: of the order of the images.
        epochs, learning_rate, halve_every: by default the paper's for MNIST; every `halve_every` epochs the rate is halved.
        batch_size: images in each step.

    Returns a trained copy.
    """
    trained, split = copy.deepcopy(network), data.train
    weights, loss = unroll.weights_of(trained), unroll.loss_of(trained)
    first, second = ([torch.zeros_like(weight) for weight in weights] for _ in range(2))
    generator, number = torch.Generator().manual_seed(seed), 0
    for epoch in range(epochs):
        rate = learning_rate / 2 ** (epoch // halve_every)
        for which in torch.randperm(len(split), generator=generator).to(split.images.device).split(batch_size):
            images = split.images[which].to(memory_format=torch.channels_last)
            gradients = torch.autograd.grad(loss(weights, images, split.labels[which]), weights)
            number += 1
            with torch.no_grad():
                for weight, gradient, *moments in zip(weights, gradients, first, second):
                    weight.sub_(adam.update(gradient, *moments, number, rate))
    return unroll.with_weights(trained, weights)
