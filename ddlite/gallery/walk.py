"""Networks that have trained a little, as places to match gradients at: on the set itself (DC, DCC), or on real data (IDC)."""

import torch

from ddlite import batches, unroll
from ddlite.machinery import arguments
from ddlite.unrollable import takes


class Walk:
    """Training networks that walk: each is matched `matches` times, with a few gradient steps before the next match.

    A start for `distill` with `networks=1`. Validation and held-out networks are those of the start it begins at. The network
    on its way is kept in checkpoints, so that a run goes on with the very numbers it would have had.

    Args:
        start: where each walk begins, e.g. a `RandomStart`.
        on: "set", the distilled images, all of them in each step; or a `Data`, `batch_size` of its training images.
        matches: outer steps with one network; 1 for untrained networks only, as in DC with one image a class.
        between: gradient steps between two of them.
        step_size, batch_size: of these steps, plain gradient descent.

    Raises ValueError for numbers that cannot be, for what is no start, and for data that its networks do not take.
    """

    def __init__(self, start, on="set", matches=10, between=5, step_size=0.05, batch_size=64):
        if not hasattr(start, "networks"):
            raise ValueError(f"A {type(start).__name__} was given as start: where the walks begin is needed, e.g. "
                             "ddlite.RandomStart(ddlite.MLP, data).")
        if not isinstance(on, str) and hasattr(on, "train"):
            takes(start.networks("validation", 1)[0], on.train.images[:1], len(on.classes))  # raises
        elif on != "set":
            raise ValueError(f"on={arguments.shown(on)}: 'set', or a Data to train on, is needed.")
        self.start, self.on, self.source, self.buffers = start, on, start.source, start.buffers
        self.matches, self.between = arguments.whole("matches", matches, 1), arguments.whole("between", between, 1)
        self.step_size = arguments.number("step_size", step_size, above=0)
        self.batch_size = arguments.whole("batch_size", batch_size, 1)
        self._network, self._number = None, 0

    def __repr__(self):
        on = "the set" if isinstance(self.on, str) else repr(self.on.name)
        return f"Walk({self.start!r}, on {on}, {self.matches} matches, {self.between} steps between)"

    def networks(self, role="held-out", number=1, first=0):
        """Training networks one at a time and in order, on their way; of the other roles, those of the start."""
        if role != "training":
            return self.start.networks(role, number, first)
        if number != 1:
            raise ValueError(f"networks={number}: a walk has one network at a time, networks=1.")
        self._number = first
        if self._network is None or first % self.matches == 0:
            [self._network] = self.start.networks("training", 1, first // self.matches)
        return [self._network]

    def follow(self, dset):
        """Go on, after an outer step: `between` gradient steps, unless the next match is another network's."""
        if (self._number + 1) % self.matches == 0:
            return
        if isinstance(self.on, str):
            steps = [(*dset.examples(), self.step_size)] * self.between
        else:
            generator = torch.Generator().manual_seed(self._number)
            steps = [(*batches.draw(self.on, self.batch_size, generator), self.step_size) for _ in range(self.between)]
        network = self._network
        weights = unroll.train(unroll.loss_of(network), unroll.weights_of(network), steps, create_graph=False)
        unroll.put_weights(network, weights)

    def carried(self):
        return self._network.state_dict()

    def carry(self, tensors):
        [self._network] = self.start.networks("training", 1)
        self._network.load_state_dict(tensors)

    def describe(self):
        """The start's own description, and the walk's."""
        walk = {"on": self.on if isinstance(self.on, str) else self.on.name, "matches": self.matches, "between": self.between,
                "step_size": self.step_size, "batch_size": self.batch_size}
        return {**self.start.describe(), "walk": walk}
