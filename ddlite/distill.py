"""The outer loop: improve a distilled set by the gradient through the training, step after step (algorithm 1)."""

import math
from dataclasses import dataclass, replace

import torch

from ddlite import unroll
from ddlite.data import Data
from ddlite.distilled import DistilledSet


@dataclass(frozen=True)
class State:
    """How far a distillation has come; one is yielded after every outer step.

    Attributes:
        outer_step, outer_steps: this one, counted from 1, and how many there will be.
        loss: the goal's loss on this step's real batch, before the update.
        distilled: the set as it is now: an average over the last iterates, which jumps less than they do.
        score: its validation score where it was measured at this step, else None.
        best: the set with the best validation score so far, the one to keep.
        best_score: that score.
    """

    outer_step: int
    outer_steps: int
    loss: float
    distilled: DistilledSet
    score: float | None
    best: DistilledSet
    best_score: float


class Diverged(ArithmeticError):
    """The loss or its gradient became infinite or NaN. `state` is the last good `State` (None at the first step)."""

    def __init__(self, message, state):
        super().__init__(message)
        self.state = state


def distill(dset, start, goal, outer_steps, seed=0, learning_rate=0.05, step_size_rate=0.4, decay=0.05, batch_size=256,
            clip=0.5, average=0.998, validate_every=100):
    """Learn a distilled set by unrolled gradient descent.

    Args:
        dset: the `DistilledSet` to begin with; it is left as it was.
        start: where each training starts, e.g. a `FixedStart`.
        goal: what the trained network should do, e.g. `Fit(data)`.
        outer_steps: updates of the distilled set.
        seed: of the real batches, drawn on the CPU.
        learning_rate: of the outer optimiser (Adam, betas 0.5 and 0.999 as in the paper's code), for images and
            learned labels; it falls to 0 along half a cosine.
        step_size_rate: step sizes learn at this multiple of the learning rate (the paper: 1). They are few, and the
            training is more sensitive to them than to any pixel.
        decay: of the pixels, as in AdamW (the paper: 0). Without it, the noise in the meta-gradient piles up in the images;
            the larger they are, the less stable is the training on them.
        batch_size: real training images in each outer step.
        clip: the norm of the whole meta-gradient is cut down to this. Not in the paper; without it learning is much
            slower, because a few outer steps have gradients many times larger than the rest.
        average: weight of the past in the running average of the iterates.
        validate_every: outer steps between two looks at the validation images.

    Returns a generator of `State`, one for each outer step. It computes only when asked for the next one, so that leaving
    the loop stops it.

    Raises ValueError for settings or a set that do not fit, and, while running, `Diverged`.
    """
    if min(outer_steps, batch_size, validate_every) < 1:
        raise ValueError("outer_steps, batch_size and validate_every must be 1 or more.")
    if not (learning_rate > 0 and step_size_rate > 0 and clip > 0 and decay >= 0 and 0 <= average < 1):
        raise ValueError("learning_rate, step_size_rate and clip must be positive, decay 0 or more, and average at least 0 "
                         "and less than 1.")
    if tuple(dset.images.shape[2:]) != goal.data.shape or dset.classes != goal.data.classes:
        raise ValueError(f"The set has images {tuple(dset.images.shape[2:])} of {len(dset.classes)} classes, the goal's data "
                         f"{goal.data.shape} of {len(goal.data.classes)}: begin with DistilledSet.noise(data, ...).")
    dset.check_split(goal.data.train)
    dset = replace(dset, goal=goal.name, start=start.describe(), initial=None)
    rates = {"images": learning_rate, "step sizes": learning_rate * step_size_rate, "labels": learning_rate}
    return _loop(dset, start, goal, outer_steps, seed, rates, decay, batch_size, clip, average, validate_every)


def _loop(dset, start, goal, outer_steps, seed, rates, decay, batch_size, clip, average, validate_every):
    learned = _Learned(dset)
    mean_over_steps = [parameter.detach().clone() for parameter in learned.parameters]
    groups = [{"params": [parameter], "lr": rate, "weight_decay": decay if name == "images" else 0.0}
              for (name, rate), parameter in zip(rates.items(), learned.parameters)]
    adam = torch.optim.AdamW(groups, betas=(0.5, 0.999))
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(adam, outer_steps)
    batches = torch.Generator().manual_seed(seed)
    best, best_score, state = dset, validate(dset, start, goal), None

    for outer_step in range(1, outer_steps + 1):
        images, labels = draw(goal.data, batch_size, batches)
        loss, networks = 0.0, list(start.networks("training"))
        adam.zero_grad()
        for network in networks:
            loss += learned.backward(network.to(images.device), goal, images, labels, 1 / len(networks))
        norm = torch.nn.utils.clip_grad_norm_(learned.parameters, clip)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            sizes = ", ".join(f"{size:.3g}" for size in learned.dset().step_sizes[:10])
            raise Diverged(f"Distillation diverged at outer step {outer_step}: loss {loss:.3g}, norm of the meta-gradient "
                           f"{norm:.3g}, step sizes {sizes}. The last good set is in the exception's state.best. "
                           "Try a smaller learning_rate or a smaller initial step_size.", state)
        adam.step()
        cosine.step()

        past = min(average, outer_step / (outer_step + 10))  # the first iterates are soon forgotten
        for mean, parameter in zip(mean_over_steps, learned.parameters):
            mean.lerp_(parameter.detach(), 1 - past)
        current, score = learned.dset(mean_over_steps), None
        if outer_step % validate_every == 0 or outer_step == outer_steps:
            score = validate(current, start, goal)
            if score > best_score:
                best, best_score = current, score
        state = State(outer_step, outer_steps, loss, current, score, best, best_score)
        yield state


def draw(data: Data, batch_size, generator):
    """A batch of real training images and labels, drawn with replacement; the same ones on every device."""
    which = torch.randint(len(data.train), (batch_size,), generator=generator).to(data.train.images.device)
    # Channels last in memory: the same numbers, and convolution and pooling of a real batch are faster on a CPU.
    return data.train.images[which].to(memory_format=torch.channels_last), data.train.labels[which]


def validate(dset, start, goal):
    """The mean score of validation networks on the validation images, after training on the set."""
    scores = [goal.score(dset.train(network.to(dset.images.device), own_weights=True), goal.data.validation)
              for network in start.networks("validation")]
    return sum(scores) / len(scores)


class _Learned:
    """The free numbers behind a distilled set: images as they are, step sizes that stay positive, labels that sum to 1."""

    def __init__(self, dset):
        self._dset = dset
        free = [dset.images, _inverse_softplus(dset.step_sizes)]
        if dset.labels.is_floating_point():
            free.append(dset.labels.clamp(min=1e-6).log())
        self.parameters = [tensor.detach().clone().requires_grad_() for tensor in free]

    def tensors(self, parameters=None):
        images, raw, *logits = self.parameters if parameters is None else parameters
        return images, logits[0].softmax(-1) if logits else self._dset.labels, torch.nn.functional.softplus(raw)

    def dset(self, parameters=None):
        images, labels, step_sizes = (tensor.detach() for tensor in self.tensors(parameters))
        return replace(self._dset, images=images.clone(), labels=labels.clone(), step_sizes=step_sizes)

    def backward(self, network, goal, images, labels, share):
        """Add one network's share of the meta-gradient to the parameters' `.grad`; returns its share of the goal's loss."""
        outputs, mine = unroll.outputs_of(network), self.tensors()
        loss, *gradients = unroll.meta_gradient(
            unroll.loss_of(network), lambda weights: goal.loss(outputs(weights, images), labels),
            unroll.weights_of(network), *mine)
        pairs = [(tensor, share * gradient) for tensor, gradient in zip(mine, gradients) if gradient is not None]
        torch.autograd.backward(*map(list, zip(*pairs)))
        return share * loss.item()


def _inverse_softplus(positive):
    positive = positive.clamp(min=1e-8)
    return positive + torch.log(-torch.expm1(-positive))
