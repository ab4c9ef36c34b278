"""The outer loop: improve a distilled set by the gradient through the training, step after step (algorithm 1)."""

import contextlib
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, partial

import torch

from ddlite import unroll
from ddlite.data import Data
from ddlite.distilled import DistilledSet
from ddlite.engines import adjoint, chain
from ddlite.engines.captured import Captured
from ddlite.machinery import adam, ranks
from ddlite.machinery.checkpoint import Checkpoint
from ddlite.machinery.files import fingerprint
from ddlite.pools import PoolStart

ENGINES = ("plain", "adjoint", "chain")
SYNCHRONOUS = ("cpu",)  # devices that do what they are told at once; a GPU is told far ahead, and should not be waited for
LARGE = 5_000_000  # gradient steps x weights from which on the graph of a whole training is not kept (100 MB and more)
COLUMNS = 2**20  # numbers in a convolution's largest matrix of columns up to which a chain is faster than autograd


@dataclass(frozen=True)
class State:
    """How far a distillation has come; one is yielded after every outer step.

    Attributes:
        outer_step, outer_steps: this one, counted from 1, and how many there will be.
        score: the validation score of `distilled` where it was measured at this step, else None.
        best: the set with the best validation score so far, the one to keep.
        best_score: that score.
        loss: the goal's loss on this step's real batch, before the update.
        distilled: the set as it is now: an average over the last iterates, which jumps less than they do.

    The last two wait for the device, and only when they are asked for: a GPU that is not asked goes on. There, a divergence is
    noticed at the next look (validation or checkpoint); until then, `loss` stays at it, and `distilled` at the set before it.
    """

    outer_step: int
    outer_steps: int
    score: float | None
    best: DistilledSet
    best_score: float
    _loss: torch.Tensor
    _distilled: Callable

    @property
    def loss(self):
        return self._loss.item()

    @cached_property
    def distilled(self):
        return self._distilled()


class Diverged(ArithmeticError):
    """The loss or its gradient became infinite or NaN. `state` is the last `State` before it was noticed, or None; its `best`
    and `distilled` are good."""

    def __init__(self, message, state):
        super().__init__(message)
        self.state = state


def distill(dset, start, goal, outer_steps, seed=0, networks=1, learning_rate=0.05, step_size_rate=0.4, decay=0.05,
            batch_size=256, clip=0.5, average=0.998, validate_every=100, validation_networks=8, engine=None, checkpoint=None,
            checkpoint_every=100):
    """Learn a distilled set by unrolled gradient descent.

    Args:
        dset: the `DistilledSet` to begin with; it is left as it was.
        start: where each training starts, a `FixedStart`, `RandomStart` or `PoolStart`.
        goal: what the trained network should do, e.g. `Fit(data)`.
        outer_steps: updates of the distilled set.
        seed: of the real batches, drawn on the CPU.
        networks: networks in each outer step, all trained on the set and scored on the same real batch; the meta-gradient is
            their mean. A random start draws fresh ones at every step; a fixed start has but one. Where
            `torch.distributed` is initialised, each process takes its share of them.
        learning_rate: of the outer optimiser (Adam, betas 0.5 and 0.999 as in the paper's code), for images and
            learned labels; it falls to 0 along half a cosine.
        step_size_rate: step sizes (and a momentum) learn at this multiple of the learning rate (the paper: 1). They are
            few, and the training is more sensitive to them than to any pixel.
        decay: of the pixels, as in AdamW (the paper: 0). Without it, the noise in the meta-gradient piles up in the images;
            the larger they are, the less stable is the training on them.
        batch_size: real training images in each outer step.
        clip: the norm of the whole meta-gradient is cut down to this. Not in the paper; without it learning is much
            slower, because a few outer steps have gradients many times larger than the rest.
        average: weight of the past in the running average of the iterates.
        validate_every: outer steps between two looks at the validation images.
        validation_networks: how many networks are trained for such a look; always the same ones.
        engine: "plain" (`unroll.meta_gradient`), "adjoint" (`adjoint.meta_gradient`: the same numbers, slower, far less
            memory) or "chain" (the adjoint with derivatives written out: faster on few images, for networks like LeNet, see
            `chain.of`; made for a CPU). By default chain where it fits, else plain, unless the training is long or the network
            large.
        checkpoint: a file in which the distillation is kept, every `checkpoint_every` outer steps and when the generator is
            closed between two of them (`states.close()`; a loop over `distill(...)` itself closes it when it is left); if the
            file is there already, the distillation goes on from it, on a CPU with the very numbers it would have had.

    Returns a generator of `State`, one for each outer step. It computes only when asked for the next one, so that leaving
    the loop stops it.

    Raises ValueError for settings, a set or a checkpoint that do not fit, and, while running, `Diverged`, or MemoryError with
    the settings that lower what is needed.
    """
    settings = {"outer_steps": outer_steps, "seed": seed, "networks": networks, "learning_rate": learning_rate,
                "step_size_rate": step_size_rate, "decay": decay, "batch_size": batch_size, "clip": clip, "average": average,
                "validate_every": validate_every, "validation_networks": validation_networks}
    if min(outer_steps, networks, batch_size, validate_every, validation_networks, checkpoint_every) < 1:
        raise ValueError("outer_steps, networks, batch_size, validate_every, validation_networks and checkpoint_every must "
                         "be 1 or more.")
    last_ones = start.networks("training", networks, first=(outer_steps - 1) * networks)  # are there as many?
    if (processes := ranks.here()[1]) > (fewest := len(last_ones)):
        raise ValueError(f"{processes} processes for {fewest} network(s) in each outer step: start no more processes than "
                         "that, or set networks higher (a fixed start has but one).")
    if engine not in (None, *ENGINES):
        raise ValueError(f"There is no engine {engine!r}. Known: {', '.join(ENGINES)}.")
    if engine == "chain":
        chain.of(start.networks("validation", 1)[0])  # raises where it is none
    if not (learning_rate > 0 and step_size_rate > 0 and clip > 0 and decay >= 0 and 0 <= average < 1):
        raise ValueError("learning_rate, step_size_rate and clip must be positive, decay 0 or more, and average at least 0 "
                         "and less than 1.")
    if tuple(dset.images.shape[2:]) != goal.data.shape or dset.classes != goal.data.classes:
        raise ValueError(f"The set has images {tuple(dset.images.shape[2:])} of {len(dset.classes)} classes, the goal's data "
                         f"{goal.data.shape} of {len(goal.data.classes)}: begin with DistilledSet.noise(data, ...).")
    dset.check_split(goal.data.train)
    _check_start(start, goal.data)
    dset = replace(dset, goal=goal.name, start=start.describe(), initial=None).to(goal.data.train.images.device)
    learned, keep = Learned(dset, settings, engine), None
    if checkpoint is not None:
        keep = Checkpoint(checkpoint, checkpoint_every, {**settings, "start": dset.start, "data": goal.data.fingerprint,
                                                         "layers": repr(start.networks("validation")[0]),
                                                         "goal": goal.name, "set": fingerprint(*dset.tensors().values()),
                                                         "normalisation": [*dset.mean, *dset.std],
                                                         "classes": list(dset.classes)})
    return _loop(dset, start, goal, settings, learned, keep)


def _check_start(start, data):
    """Refuse networks that do not take the data's images, give other numbers of logits, or were taught other classes."""
    [network], image = start.networks("validation", 1), data.train.images[:1]
    name, wanted = type(network).__name__, f"images {data.shape} of {len(data.classes)} classes"
    try:
        with torch.no_grad():
            logits = network.to(image.device)(image)
    except RuntimeError as cause:
        raise ValueError(f"The start's {name} does not take {wanted} ({str(cause).splitlines()[0]}): build it for them, and "
                         "pre-train it on a source of the same shape: load(..., size=, channels=).") from cause
    if logits.shape != (1, len(data.classes)):
        raise ValueError(f"The start's {name} gives {tuple(logits.shape)} for one image, and {wanted} need "
                         f"(1, {len(data.classes)}).")
    theirs = start.source.classes if isinstance(start, PoolStart) else data.classes
    if theirs != data.classes:
        raise ValueError(f"The pool was pre-trained on the classes {', '.join(theirs)}, the goal's data have "
                         f"{', '.join(data.classes)}: source and target must have the same classes in the same order.")


def _loop(dset, start, goal, settings, learned, keep):
    batches, state = torch.Generator().manual_seed(settings["seed"]), None
    outer_steps, number, among = settings["outer_steps"], settings["networks"], settings["validation_networks"]
    found = keep and ranks.from_first(keep.read)
    if found:
        first, best_score = found.outer_step, found.best_score
        best = replace(dset, **found.part("best")).to(dset.images.device)
        learned.restore(found)
        batches.set_state(found.tensors["batches"])
        state = State(first, outer_steps, None, best, best_score, torch.tensor(found.loss), learned.snapshot())
        if first == outer_steps:  # nothing is left to do
            yield state
    else:
        with _enough_memory(0):
            first, best_score, best = 0, validate(dset, start, goal, among), dset

    before = batches.get_state()
    try:
        for outer_step in range(first + 1, outer_steps + 1):
            images, labels = draw(goal.data, settings["batch_size"], batches)
            networks = start.networks("training", number, first=(outer_step - 1) * number)
            with _enough_memory(outer_step):
                loss, gradients = learned.meta_gradient(networks, goal, images, labels)
            learned.step(loss, gradients, (1 + math.cos(math.pi * (outer_step - 1) / outer_steps)) / 2)
            validates = outer_step % settings["validate_every"] == 0 or outer_step == outer_steps
            keeps = keep and (outer_step % keep.every == 0 or outer_step == outer_steps)
            # To look at the loss is to wait for a GPU: there, only where its numbers are wanted anyway.
            if validates or keeps or images.device.type in SYNCHRONOUS:
                learned.check(state)

            score, snapshot = None, learned.snapshot()
            if validates:
                current = snapshot()
                with _enough_memory(outer_step):
                    score = validate(current, start, goal, among)
                if score > best_score:
                    best, best_score = current, score
            before = batches.get_state()
            state = State(outer_step, outer_steps, score, best, best_score, learned.last[1], snapshot)
            if keeps:
                keep.write(state, learned, batches)
            yield state
    except GeneratorExit:  # the loop was left, between two steps; perhaps long ago, and another has gone on in the meantime
        if keep and learned.finite() and ((there := keep.read()) is None or there.outer_step < state.outer_step):
            keep.write(state, learned, batches)
        raise
    except KeyboardInterrupt:  # in the middle of a step: keep what was there before it, if nothing has changed yet
        if keep and state and learned.steps == state.outer_step and learned.finite():
            batches.set_state(before)
            keep.write(state, learned, batches)
        raise


@contextlib.contextmanager
def _enough_memory(outer_step):
    try:
        yield
    except RuntimeError as cause:  # a GPU's torch.OutOfMemoryError is one; a CPU's has no class of its own
        if not any(words in str(cause) for words in ("out of memory", "can't allocate memory", "not enough memory")):
            raise
        raise MemoryError(f"Out of memory at outer step {outer_step}. Set engine='adjoint' (--engine adjoint), which keeps "
                          "no graphs of past gradient steps, or lower images_per_class, or batch_size "
                          "(large ones go in chunks already).") from cause


def draw(data: Data, batch_size, generator):
    """A batch of real training images and labels, drawn with replacement; the same ones on every device."""
    which = _sent(torch.randint(len(data.train), (batch_size,), generator=generator), data.train.images.device)
    # Channels last in memory: the same numbers, and convolution and pooling of a real batch are faster on a CPU.
    return data.train.images[which].to(memory_format=torch.channels_last), data.train.labels[which]


def _sent(tensor, device):
    """The tensor on a device. A GPU is not waited for: a copy from pinned memory is queued like everything else."""
    queued = device.type == "cuda" and tensor.device.type == "cpu"
    return tensor.pin_memory().to(device, non_blocking=True) if queued else tensor.to(device)


def channels_last(images):
    """The same images (batches, n, C, H, W), laid out in memory as `draw` lays out real ones."""
    return images.movedim(2, -1).contiguous().movedim(-1, 2)


def validate(dset, start, goal, number=8):
    """The mean score of validation networks on the validation images, after training on the set."""
    networks = start.networks("validation", number)
    scores = [goal.score(dset.train(network.to(dset.images.device), own_weights=True), goal.data.validation)
              for network in ranks.share(networks)]
    return ranks.total(torch.tensor(sum(scores), dtype=torch.float64)).item() / len(networks)


def engine_for(network, dset, engine=None):
    """The function that computes meta-gradients for a network on a distilled set: an engine by its name, or what fits."""
    weights, images, device = list(network.parameters()), dset.images, dset.images.device
    chained, keep = None, len(dset.step_sizes) * sum(weight.numel() for weight in weights) <= LARGE
    if engine == "chain" or (engine is None and device.type in SYNCHRONOUS):  # elsewhere nothing is gained
        try:
            chained = chain.of(network)
            _check_chain(chained, network, images[0], dset.labels[0])
        except ValueError:
            if engine:
                raise
            chained = None
    if chained and (engine or images.shape[1] * chained.columns(weights, images.shape[2:]) <= COLUMNS):
        return partial(adjoint.meta_gradient, derivatives=chained.derivatives, keep=keep)
    return unroll.meta_gradient if engine == "plain" or (engine is None and keep) else adjoint.meta_gradient


def _check_chain(chained, network, images, labels):
    """Refuse a chain that is not what its network does, however that came about."""
    weights = unroll.weights_of(network)
    expected = torch.autograd.grad(unroll.loss_of(network)(weights, images, labels), weights)
    for ours, theirs in zip(chained.derivatives(weights, images, labels)[0], expected):
        if not torch.allclose(ours, theirs, rtol=1e-3, atol=1e-3 * theirs.abs().max().item(), equal_nan=True):
            raise ValueError(f"The gradient of {type(network).__name__} is not that of the chain that its code was read as.")


class Learned:
    """The free numbers behind a distilled set, and Adam for them.

    Free: images as they are, step sizes that stay positive, labels that sum to 1, a momentum that stays in 0..1.

    `last` says of the last outer step its number, its loss and the norm of its meta-gradient, on the device. Where these are
    not finite, it stays at that step, and so do the set and its average (Adam's moments do not).
    """

    def __init__(self, dset, settings, engine=None, capture=True):
        self._dset, self._settings, rate = dset, settings, settings["learning_rate"]
        self._engine, self._chosen = engine, None
        self._captured = Captured(self._of_one) if capture and dset.images.device.type not in SYNCHRONOUS else None
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
                weight.data = _sent(weight.data, images.device)
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
            self._chosen = looks, engine_for(network, self._dset, self._engine)
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
