"""Adam, written out: the first step of a `torch.optim` optimiser imports PyTorch's compiler, which takes seconds and a quarter
of the memory of a small notebook."""

import torch

BETAS = 0.5, 0.999  # of the paper's code


def update(gradient, first, second, number, rate):
    """What Adam subtracts from a tensor at its step `number`, counted from 1 (Kingma and Ba 2015, algorithm 1).

    `first` and `second`, the running means of gradients and of their squares (zeros to begin with), are changed in place.
    """
    beta, beta2 = BETAS
    first.lerp_(gradient, 1 - beta)
    second.lerp_(gradient**2, 1 - beta2)
    return rate * (first / (1 - beta**number)) / ((second / (1 - beta2**number)).sqrt() + 1e-8)


class Adam:
    """Numbers that learn, {name: tensor}, with their moments, for a loop that is written in the open.

    `free` are the numbers, which require a gradient; `parts` and `restore` are for checkpoints.
    """

    def __init__(self, free):
        self.free = {name: tensor.detach().clone().requires_grad_() for name, tensor in free.items()}
        self.first, self.second = ({name: torch.zeros_like(tensor) for name, tensor in self.free.items()} for _ in range(2))
        self.steps = 0

    def step(self, gradients, rate):
        """One step against gradients, a list in the order of `free`."""
        self.steps += 1
        with torch.no_grad():
            for (name, tensor), gradient in zip(self.free.items(), gradients, strict=True):
                tensor -= update(gradient, self.first[name], self.second[name], self.steps, rate)

    def finite(self):
        """Whether all numbers are, in single precision, too: no NaN, no infinity."""
        return all(bool(tensor.float().isfinite().all()) for tensor in self.free.values())

    def begin(self, free):
        """Other numbers of the same names and shapes, without a past."""
        self.restore({**Adam(free).parts()})
        return self

    def parts(self):
        """All that the next step depends on: {name: tensor}."""
        parts = ("free", self.free), ("first", self.first), ("second", self.second)
        kept = {f"{part}.{name}": tensor for part, tensors in parts for name, tensor in tensors.items()}
        return {**kept, "steps": torch.tensor(self.steps)}

    def restore(self, kept):
        """Go on from what `parts` gave."""
        for name, tensor in self.parts().items():
            tensor.data.copy_(kept[name])
        self.steps = int(kept["steps"])
