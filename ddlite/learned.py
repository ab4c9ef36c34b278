"""The free numbers behind a distilled set: what they stand for, their meta-gradient, and Adam for them."""

import math
from dataclasses import replace

import torch

from ddlite import unroll
from ddlite.batches import sent
from ddlite.engines import chain, choose
from ddlite.engines.captured import Captured
from ddlite.machinery import adam, ranks


class Diverged(ArithmeticError):
    """The loss or its gradient became infinite or NaN. `state` is the last `State` before it was noticed, or None; its `best`
    and `distilled` are good."""

    def __init__(self, message, state):
        super().__init__(message)
        self.state = state


class Learned:
    """The free numbers behind a distilled set, and Adam for them.

    Free: images as they are, step sizes that stay positive, labels that sum to 1, a momentum that stays in 0..1.

    `last` says of the last outer step its number, its loss and the norm of its meta-gradient, on the device. Where these are
    not finite, it stays at that step, and so do the set and its average (Adam's moments do not).
    """

    def __init__(self, dset, settings, engine=None, capture=True):
        self._dset, self._settings, rate = dset, settings, settings["learning_rate"]
        self._engine, self._chosen = engine, None
        self._captured = Captured(self._of_one) if capture and dset.images.device.type not in choose.SYNCHRONOUS else None
        slow = rate * settings["step_size_rate"]
        self._rates = {"images": rate, "step_sizes": slow, "labels": rate, "momentum": slow}
        free = {"images": channels_last(dset.images), "step_sizes": _inverse_softplus(dset.step_sizes)}
        if dset.labels.is_floating_point():
            free["labels"] = dset.labels.clamp(min=1e-6).log()
        if dset.momentum is not None:
            free["momentum"] = dset.momentum.clamp(1e-3, 0.999).logit()
        self.free = {name: tensor.detach().clone().requires_grad_() for name, tensor in free.items()}
        self.mean = {name: tensor.detach().clone() for name, tensor in free.items()}  # over the last iterates
        self.first = {name: torch.zeros_like(tensor) for name, tensor in free.items()}  # Adam's two moments
        self.second = {name: torch.zeros_like(tensor) for name, tensor in free.items()}
        self.steps, self.last = 0, torch.zeros(3, device=dset.images.device)

    def snapshot(self):
        """What makes the distilled set of this moment when it is called: the average over the last iterates."""
        dset, mean = self._dset, {name: tensor.clone() for name, tensor in self.mean.items()}
        return lambda: replace(dset, **_constrained(mean))

    def meta_gradient(self, networks, goal, images, labels):
        """The mean over networks of the goal's loss, and its gradients with respect to the free numbers (a list)."""
        tensors, sums = _constrained(self.free), None
        for network in ranks.share(networks):
            for weight in (*network.parameters(), *network.buffers()):
                weight.data = sent(weight.data, images.device)
            parts = (self._captured or self._of_one)(network, goal, images, labels, *tensors.values())
            sums = parts if sums is None else [so_far + more for so_far, more in zip(sums, parts)]
        loss, *means = (ranks.total(each) / len(networks) for each in sums)
        return loss, torch.autograd.grad(list(tensors.values()), list(self.free.values()), means)

    def _of_one(self, network, goal, images, labels, *tensors):
        given = {"labels": self._dset.labels, "momentum": None, **dict(zip(self.free, tensors))}
        losses = unroll.loss_of(network), goal.loss_of(network, images, labels)
        loss, gradients = self._meta_gradient(network)(*losses, unroll.weights_of(network), **given)
        return [loss, *(gradients[name] for name in self.free)]

    def _meta_gradient(self, network):
        """The engine for a network; found anew only where the network looks unlike the last one."""
        looks = chain.looks(network)
        try:
            known = self._chosen is not None and self._chosen[0] == looks
        except RuntimeError:  # attributes that cannot be compared, such as tensors
            known = False
        if not known:
            self._chosen = looks, choose.engine_for(network, self._dset, self._engine)
        return self._chosen[1]

    def step(self, loss, gradients, fraction):
        """One step of Adam (with decay as in AdamW) at a fraction of the rates, the gradients cut down to the norm allowed.

        It asks nothing of the device: whether all is finite is decided there.
        """
        self.steps += 1
        norm = torch.cat([gradient.flatten() for gradient in gradients]).norm()
        here = torch.stack([torch.full_like(norm, self.steps), loss, norm])
        self.last = torch.where(self._fine(), here, self.last)
        fine, shrink = self._fine(), (self._settings["clip"] / (norm + 1e-6)).clamp(max=1)
        past = min(self._settings["average"], self.steps / (self.steps + 10))  # the first iterates are soon forgotten
        with torch.no_grad():
            for (name, free), gradient in zip(self.free.items(), gradients):
                rate = fraction * self._rates[name]
                change = adam.update(gradient * shrink, self.first[name], self.second[name], self.steps, rate)
                new = free * (1 - rate * self._settings["decay"] if name == "images" else 1) - change
                free.copy_(torch.where(fine, new, free))
                self.mean[name].copy_(torch.where(fine, self.mean[name].lerp(free, 1 - past), self.mean[name]))

    def _fine(self):
        return self.last.isfinite().all()

    def finite(self):
        """Whether all losses and gradients so far were finite."""
        return self._fine().item()

    def check(self, state):
        """Raise `Diverged` with a `State` if a loss or a gradient was not finite."""
        number, loss, norm = self.last.tolist()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            sizes = ", ".join(f"{size:.3g}" for size in _constrained(self.mean)["step_sizes"][:10])
            raise Diverged(f"Distillation diverged at outer step {number:.0f}: loss {loss:.3g}, norm of the meta-gradient "
                           f"{norm:.3g}, step sizes {sizes}. "
                           f"{'The last good set is in state.best of this exception. ' if state else ''}"
                           "Try a smaller learning_rate or a smaller initial step_size.", state)

    def parts(self):
        """All that the next step depends on, for a checkpoint: {part: {name: tensor}}."""
        return {"free": self.free, "mean": self.mean, "first": self.first, "second": self.second}

    def restore(self, found):
        """Go on from a checkpoint."""
        self.steps = found.outer_step
        with torch.no_grad():
            for part, tensors in self.parts().items():
                for name, tensor in tensors.items():
                    tensor.copy_(found.part(part)[name])


def _constrained(free):
    """What free numbers stand for: images, positive step sizes, labels that sum to 1, a momentum less than 1."""
    make = {"images": torch.clone, "step_sizes": torch.nn.functional.softplus,
            "labels": lambda logits: logits.softmax(-1), "momentum": lambda logit: logit.sigmoid().clamp(max=1 - 2**-24)}
    return {name: make[name](tensor) for name, tensor in free.items()}


def _inverse_softplus(positive):
    positive = positive.clamp(min=1e-8)
    return positive + torch.log(-torch.expm1(-positive))


def channels_last(images):
    """The same images (batches, n, C, H, W), laid out in memory as `draw` lays out real ones."""
    return images.movedim(2, -1).contiguous().movedim(-1, 2)
