"""The outer loop: improve a distilled set by the gradient through the training, step after step (algorithm 1)."""

import contextlib
import copy
import math
from collections.abc import Callable, Generator
from dataclasses import asdict, dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch

from ddlite.distilled import DistilledSet
from ddlite.engines import chain, choose
from ddlite.learned import Diverged, Learned
from ddlite.machinery import ranks, threads
from ddlite.machinery.arguments import whole
from ddlite.machinery.checkpoint import Checkpoint
from ddlite.machinery.files import fingerprint
from ddlite.unrollable import check, gradients_on
from ddlite.valid import check_distributions, check_nouns, checked_settings


@dataclass(frozen=True)
class State:
    """How far a distillation has come; one is yielded after every outer step.

    Attributes:
        outer_step, outer_steps: this one, counted from 1, and how many there will be.
        score: the validation score of `distilled` where it was measured at this step, else None.
        best: the set with the best validation score so far, the one to keep.
        best_score: that score.
        score_is, loss_is: in words, what is scored and what the loss is.
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
    score_is: str
    loss_is: str
    _loss: torch.Tensor
    _distilled: Callable

    @property
    def loss(self) -> float:
        return self._loss.item()

    @cached_property
    def distilled(self) -> DistilledSet:
        with gradients_on():  # under torch.inference_mode() it could not be trained on
            return self._distilled()

    def __getstate__(self):  # to pickle it: what waits for the device is there by then
        return {**vars(self), "_loss": self._loss.cpu(), "_distilled": partial(copy.copy, self.distilled)}


@gradients_on()
def distill(dset: DistilledSet, start: Any, goal: Any, outer_steps: int, seed: int = 0, networks: int = 1,
            learning_rate: float = 0.05, step_size_rate: float = 0.4, decay: float = 0.05, batch_size: int = 256,
            clip: float = 0.5, average: float = 0.998, validate_every: int = 100, validation_networks: int = 8,
            engine: str | None = None, checkpoint: str | Path | None = None, checkpoint_every: int = 100) -> Generator[State]:
    """Learn a distilled set by unrolled gradient descent.

    Args:
        dset: the `DistilledSet` to begin with; it is left as it was.
        start: where each training starts, a `FixedStart`, `RandomStart` or `PoolStart`, or what has their `networks`,
            `describe` and `source`. One that changes as learning goes on also has `follow(dset)`, called after each outer step
            with the set as it is then, and `carried()` and `carry(tensors)`, for checkpoints.
        goal: what the trained network should do, e.g. `Fit(data)`. It says how its gradient is got: through a training
            (`trains`), or by a `meta_gradient(network, real, images, labels, step_sizes, momentum)` of its own, which returns
            the loss and a dict of gradients as `unroll.meta_gradient` does (no entry: zero); `real` is what its `draw` gave.
            One that changes as learning goes on has `at(outer_step)`, which gives the goal of that step.
        outer_steps: updates of the distilled set.
        seed: of the real batches, drawn on the CPU.
        networks: networks in each outer step, all trained on the set and scored on the same real batch; the meta-gradient is
            their mean. A random start draws fresh ones at every step; a fixed start has only one. Where
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
    check_nouns(dset, start, goal)
    if dset.labels.is_floating_point():
        check_distributions(dset.labels)  # all goals take cross-entropies, also of a set that is for squares
    settings = checked_settings({
        "outer_steps": outer_steps, "seed": seed, "networks": networks, "learning_rate": learning_rate,
        "step_size_rate": step_size_rate, "decay": decay, "batch_size": batch_size, "clip": clip, "average": average,
        "validate_every": validate_every, "validation_networks": validation_networks})
    outer_steps, networks = settings["outer_steps"], settings["networks"]
    checkpoint_every = whole("checkpoint_every", checkpoint_every, 1)
    last_ones = start.networks("training", networks, first=(outer_steps - 1) * networks)  # are there as many?
    if (processes := ranks.here()[1]) > (fewest := len(last_ones)):
        raise ValueError(f"{processes} processes for {fewest} network(s) in each outer step: start no more processes than "
                         "that, or set networks higher (a fixed start has only one).")
    if engine not in (None, *choose.ENGINES):
        raise ValueError(f"There is no engine {engine!r}. Known: {', '.join(choose.ENGINES)}.")
    if not goal.trains and engine is not None:
        raise ValueError(f"{goal} differentiates through no training, so that it needs no engine: leave engine=None.")
    if goal.trains and dset.step_sizes is None:
        raise ValueError(f"{goal} differentiates through a training by gradient steps, and this set has no step sizes: give it "
                         "some (noise(..., step_size=)).")
    if engine == "chain":
        chain.of(start.networks("validation", 1)[0])  # raises where it is none
    if tuple(dset.images.shape[2:]) != goal.data.shape or dset.classes != goal.data.classes:
        raise ValueError(f"The set has images {tuple(dset.images.shape[2:])} of {len(dset.classes)} classes, the goal's data "
                         f"{goal.data.shape} of {len(goal.data.classes)}: begin with DistilledSet.noise(data, ...).")
    dset.check_split(goal.data.train)
    _check_start(start, goal.data)
    dset = replace(dset, goal=goal.name, start=start.describe(), initial=None, buffers=getattr(start, "buffers", None))
    dset = dset.to(goal.data.train.images.device)
    carries = start if hasattr(start, "carried") else None
    learned, keep = Learned(dset, settings, engine, goal.trains, carries), None
    if checkpoint is not None:
        on_cpu = goal.data.train.images.device.type == "cpu"
        keep = Checkpoint(checkpoint, checkpoint_every, {**settings, "engine": engine or "what fits",
                                                         "threads": torch.get_num_threads() if on_cpu else None,
                                                         "start": dset.start, "data": goal.data.fingerprint,
                                                         "layers": repr(start.networks("validation")[0]),
                                                         "goal": goal.name, "set": fingerprint(*dset.tensors().values()),
                                                         "normalisation": [*dset.mean, *dset.std],
                                                         "classes": list(dset.classes), "tied": dset.tied or None,
                                                         "storage": dset.stored and dset.storage.describe(),
                                                         "recipe": dset.recipe and asdict(dset.recipe)})
    return _loop(dset, start, goal, settings, learned, keep)


def _check_start(start, data):
    """Refuse networks that cannot be unrolled through, do not take the data's images, or were taught other classes."""
    [network] = start.networks("validation", 1)
    check(network.to(data.train.images.device), data.train.images, len(data.classes), twice=True)
    source = getattr(start, "source", None)  # what its networks already know
    if source is not None and source.classes != data.classes:
        theirs = source.classes
        raise ValueError(f"The pool was pre-trained on the classes {', '.join(theirs)}, the goal's data have "
                         f"{', '.join(data.classes)}: source and target must have the same classes in the same order.")


@torch.inference_mode(False)  # gradients are on, whatever the caller has switched off
def _loop(dset, start, goal, settings, learned, keep):
    threads.warn_if_crowded()
    batches, state = torch.Generator().manual_seed(settings["seed"]), None
    words = goal.score_is + (f", protocol {dset.protocol}" if dset.recipe else ""), goal.loss_is
    outer_steps, number, among = settings["outer_steps"], settings["networks"], settings["validation_networks"]
    found = keep and ranks.from_first(keep.read)
    if found:
        first, best_score = found.outer_step, found.best_score
        try:
            best = dset.with_tensors(found.part("best")).to(dset.images.device)
            learned.restore(found)
            batches.set_state(found.tensors["batches"])
        except (KeyError, RuntimeError, TypeError) as cause:
            raise ValueError(f"{keep.path} lacks numbers of this distillation ({str(cause).splitlines()[0]}): remove it to "
                             "begin anew.") from cause
        state = State(first, outer_steps, None, best, best_score, *words, torch.tensor(found.loss), learned.snapshot())
        if first == outer_steps:  # nothing is left to do
            yield state
    else:
        with _enough_memory(0):
            first, best_score, best = 0, validate(dset, start, goal, among), dset

    before = batches.get_state()
    try:
        for outer_step in range(first + 1, outer_steps + 1):
            now = goal.at(outer_step) if hasattr(goal, "at") else goal
            images, labels = now.draw(settings["batch_size"], batches)
            networks = start.networks("training", number, first=(outer_step - 1) * number)
            with _enough_memory(outer_step):
                loss, gradients = learned.meta_gradient(networks, now, images, labels, batches)
            learned.step(loss, gradients, (1 + math.cos(math.pi * (outer_step - 1) / outer_steps)) / 2)
            validates = outer_step % settings["validate_every"] == 0 or outer_step == outer_steps
            keeps = keep and (outer_step % keep.every == 0 or outer_step == outer_steps)
            # To look at the loss is to wait for a GPU: there, only where its numbers are wanted anyway.
            if validates or keeps or images.device.type in choose.SYNCHRONOUS:
                learned.check(state, networks, images)

            score, snapshot = None, learned.snapshot()
            if learned.carries:
                learned.carries.follow(snapshot())
            if validates:
                threads.warn_if_crowded()  # by now, other work may have begun
                current = snapshot()
                with _enough_memory(outer_step):
                    score = validate(current, start, goal, among)
                if score > best_score:
                    best, best_score = current, score
            before = batches.get_state()
            state = State(outer_step, outer_steps, score, best, best_score, *words, learned.last[1], snapshot)
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
                          "no graphs of past gradient steps, or lower images_per_class_and_batch, or batch_size "
                          "(large ones go in chunks already).") from cause


def validate(dset: DistilledSet, start: Any, goal: Any, number: int = 8) -> float:
    """The mean score of validation networks on the validation images, after training on the set."""
    networks = start.networks("validation", number)
    scores = [goal.score(dset.train(network.to(dset.images.device), own_weights=True), goal.data.validation)
              for network in ranks.share(networks)]
    return ranks.total(torch.tensor(sum(scores), dtype=torch.float64)).item() / len(networks)


# `import ddlite.distill as it` gives the function, which has the file's name in `ddlite`; so it has what is public here, too.
distill.State, distill.Diverged, distill.validate = State, Diverged, validate
