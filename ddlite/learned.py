"""The free numbers behind a distilled set: what they stand for, their meta-gradient, and Adam for them."""

import contextlib
import math

import torch

from ddlite import unroll
from ddlite.batches import sent
from ddlite.engines import chain, choose
from ddlite.engines.captured import Captured
from ddlite.machinery import adam, ranks
from ddlite.unrollable import gradients_on, not_finite


class Diverged(ArithmeticError):
    """The loss or its gradient became infinite or NaN. `state` is the last `State` before it was noticed, or None; its `best`
    and `distilled` are good."""

    def __init__(self, message, state):
        super().__init__(message)
        self.state = state


class Learned:
    """The free numbers behind a distilled set, and Adam for them.

    Free: what the images are stored as, step sizes that stay positive, labels that sum to 1, a momentum that stays in 0..1.

    `last` says of the last outer step its number, its loss and the norm of its meta-gradient, on the device. Where these are
    not finite, it stays at that step, and so do the set and its average (Adam's moments do not).
    """

    def __init__(self, dset, settings, engine=None, capture=True, carries=None):
        self._dset, self._settings, rate = dset, settings, settings["learning_rate"]
        self._engine, self._chosen, self.carries = engine, [], carries
        self._captured = Captured(self._of_one) if capture and dset.images.device.type not in choose.SYNCHRONOUS else None
        slow = rate * settings["step_size_rate"]
        self._stored = tuple(dset.numbers())
        self._rates = {"step_sizes": slow, "labels": rate, "momentum": slow,
                       **dict.fromkeys(self._stored, rate * dset.storage.rate)}
        self._decays = self._stored if dset.storage.decay else ()
        free = {name: channels_last(tensor) for name, tensor in dset.numbers().items()}
        if dset.step_sizes is not None:
            free["step_sizes"] = _inverse_softplus(dset.step_sizes[:1] if dset.tied else dset.step_sizes)
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
        mean = {name: tensor.clone() for name, tensor in self.mean.items()}
        return lambda: self._dset.with_tensors(self._constrained(mean))

    @gradients_on()
    def meta_gradient(self, networks, goal, images, labels, generator=None):
        """The mean over networks of the goal's loss, and its gradients with respect to the free numbers (a list).

        What the decoding of images draws at random comes from the generator.
        """
        tensors, sums = self._constrained(self.free), None
        stored = {name: tensors.pop(name) for name in self._stored}
        decoded = self._dset.storage.decode(stored, self._dset.storage.draw(generator))
        tensors = {"images": channels_last(decoded), **tensors}  # what the training is done with
        for network in ranks.share(networks):
            for weight in (*network.parameters(), *network.buffers()):
                weight.data = sent(weight.data, images.device)
            parts = (self._captured or self._of_one)(network, goal, images, labels, *tensors.values())
            sums = parts if sums is None else [so_far + more for so_far, more in zip(sums, parts)]
        loss, *means = (ranks.total(each) / len(networks) for each in sums)
        return loss, torch.autograd.grad(list(tensors.values()), list(self.free.values()), means)  # and what it was made of

    def _of_one(self, network, goal, images, labels, *tensors):
        learned = dict(zip(["images", *(name for name in self.free if name not in self._stored)], tensors))
        given = {"labels": self._dset.labels, "step_sizes": None, "momentum": None, **learned}
        if goal.trains:
            losses = unroll.loss_of(network), goal.loss_of(network, images, labels)
            loss, gradients = self._meta_gradient(network)(*losses, unroll.weights_of(network), **given)
        else:
            loss, gradients = goal.meta_gradient(network, (images, labels), **given)
        return [loss, *(gradients[name] if name in gradients else torch.zeros_like(learned[name]) for name in learned)]

    def _meta_gradient(self, network):
        """The engine for a network; found anew only where the network looks unlike the last few."""
        looks = chain.looks(network)
        for known, engine in self._chosen:
            with contextlib.suppress(RuntimeError):  # attributes that cannot be compared, such as tensors
                if known == looks:
                    return engine
        engine = choose.engine_for(network, self._dset, self._engine)
        self._chosen = [(looks, engine), *self._chosen[:7]]
        return engine

    def _constrained(self, free):
        """What free numbers stand for: positive step sizes, labels that sum to 1, a momentum less than 1; the rest as it is."""
        steps = None if self._dset.step_sizes is None else len(self._dset.step_sizes)
        make = {"step_sizes": lambda size: torch.nn.functional.softplus(size).expand(steps),
                "labels": lambda logits: logits.softmax(-1), "momentum": lambda logit: logit.sigmoid().clamp(max=1 - 2**-24)}
        return {name: make.get(name, torch.clone)(tensor) for name, tensor in free.items()}

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
                new = free * (1 - rate * self._settings["decay"] if name in self._decays else 1) - change
                free.copy_(torch.where(fine, new, free))
                self.mean[name].copy_(torch.where(fine, self.mean[name].lerp(free, 1 - past), self.mean[name]))

    def _fine(self):
        return self.last.isfinite().all()

    def finite(self):
        """Whether all losses and gradients so far were finite."""
        return self._fine().item()

    def check(self, state, networks, images):
        """Raise `Diverged` with a `State` if a loss or a gradient was not finite.

        Networks and real images of this outer step tell whether a network makes NaN by itself.
        """
        number, loss, norm = self.last.tolist()
        if not (math.isfinite(loss) and math.isfinite(norm)):
            advice = not_finite(networks[0], images) or "Try a smaller learning_rate or a smaller initial step_size."
            sizes = self._constrained(self.mean).get("step_sizes", ())[:10]
            raise Diverged(f"Distillation diverged at outer step {number:.0f}: loss {loss:.3g}, norm of the meta-gradient "
                           f"{norm:.3g}, step sizes {', '.join(f'{size:.3g}' for size in sizes)}. "
                           f"{'The last good set is in state.best of this exception. ' if state else ''}"
                           f"{advice}", state)

    def parts(self):
        """All that the next step depends on, for a checkpoint: {part: {name: tensor}}."""
        carried = {"carried": self.carries.carried()} if self.carries else {}
        return {"free": self.free, "mean": self.mean, "first": self.first, "second": self.second, **carried}

    def restore(self, found):
        """Go on from a checkpoint."""
        self.steps = found.outer_step
        for part in ("free", "mean", "first", "second"):
            for name, tensor in getattr(self, part).items():
                tensor.data.copy_(found.part(part)[name])
        if self.carries:
            self.carries.carry(found.part("carried"))


def _inverse_softplus(positive):
    positive = positive.clamp(min=1e-8)
    return positive + torch.log(-torch.expm1(-positive))


def channels_last(images):
    """The same images (batches, n, C, H, W), laid out in memory as `draw` lays out real ones; other tensors as they are."""
    return images.movedim(2, -1).contiguous().movedim(-1, 2) if images.dim() == 5 else images
