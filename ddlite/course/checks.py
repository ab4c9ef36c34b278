"""What the assignments check answers with: a comparison that knows the common mistakes."""

import contextlib
import math
import os

import torch
from torch import nn

import ddlite
from ddlite import unroll


def check(mine, wanted, mistakes=None, what="The result", tolerance=1e-4):
    """Compare an answer with the right one, and say what is wrong where they differ.

    Args:
        mine: a number, a tensor, or a list or tuple of them.
        wanted: the right answer, of the same form.
        mistakes: {words: what a common mistake would give}; the words are said where the answer is just that.
        what: what is compared, the beginning of a sentence.
        tolerance: relative to the largest number wanted.

    Raises AssertionError, with words that help, unless the answer is right.

    >>> check(-2.0, 2.0, {"The sign is reversed.": -2.0})
    Traceback (most recent call last):
    AssertionError: The sign is reversed.
    >>> check(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]), what="The mean")
    Traceback (most recent call last):
    AssertionError: The mean is wrong: [1.0, 2.0], but [1.0, 2.5] is right.
    """
    demand(mine is not None, f"{what} is None: does your function return it?")
    if isinstance(wanted, (list, tuple)):
        demand(isinstance(mine, (list, tuple)) and len(mine) == len(wanted),
               f"{what} must be {len(wanted)} things, in a tuple or list; it is {_in_words(mine)}.")
    for words, wrong in ({} if _equal(mine, wanted, tolerance) else mistakes or {}).items():
        demand(not _equal(mine, wrong, tolerance), words)
    if isinstance(wanted, (list, tuple)):
        for number, (one, other) in enumerate(zip(mine, wanted), start=1):
            check(one, other, what=f"{what}, number {number},", tolerance=tolerance)
        return
    wanted = torch.as_tensor(wanted)
    try:
        mine = torch.as_tensor(mine)
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"{what} must be numbers; it is {_in_words(mine)}.") from None
    demand(mine.shape == wanted.shape, f"{what} has the shape {tuple(mine.shape)}; it must be {tuple(wanted.shape)}.")
    demand(torch.isfinite(mine).all(), f"{what} holds NaN or infinity: is a step size far too large?")
    demand(_equal(mine, wanted, tolerance), f"{what} is wrong: {_in_words(mine)}, but {_in_words(wanted)} is right.")


def demand(holds, words):
    """Raise AssertionError with these words unless something holds: `assert`, without what tools add to its message.

    >>> demand(1 + 1 == 3, "Sums need a second look.")
    Traceback (most recent call last):
    AssertionError: Sums need a second look.
    """
    if not holds:
        raise AssertionError(words)


def follows(value, source, words):
    """Raise AssertionError with these words unless a tensor depends, for autograd, on another."""
    value = value.sum() if isinstance(value, torch.Tensor) else sum(one.sum() for one in value)
    [gradient] = torch.autograd.grad(value, source, retain_graph=True, allow_unused=True) if value.requires_grad else [None]
    demand(gradient is not None, words)


@contextlib.contextmanager
def without(*names):
    """Take functions away from `ddlite` while an answer runs that is to do their work itself."""
    kept = {name: getattr(ddlite, name) for name in names}

    def missing(*_, **__):
        raise AssertionError(f"Write it yourself: what ddlite's {' and '.join(names)} do is the task.")

    try:
        for name in names:
            setattr(ddlite, name, missing)
        yield
    finally:
        for name, function in kept.items():
            setattr(ddlite, name, function)


def example(seed, batches=2, passes=2):
    """A small training to try answers on, drawn from a seed.

    Returns what `ddlite.train` and `ddlite.meta_gradient` want, in float64: the loss of a network with 23 weights and two
    outputs, its weights, images (batches, 3, 1, 2, 2), labels (batches, 3), step sizes (batches * passes,).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
        images = torch.randn(batches, 3, 1, 2, 2, dtype=torch.float64)
        step_sizes = 0.1 + torch.rand(batches * passes, dtype=torch.float64)
    network.double()
    labels = torch.tensor([0, 1, 1]).repeat(batches, 1)
    return unroll.loss_of(network), unroll.weights_of(network), images, labels, step_sizes


def small(shape, classes):
    """A network with one hidden layer of 64: a training of hundreds of outer steps on 8x8 digits takes seconds."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 64), nn.ReLU(), nn.Linear(64, classes))


def teachers_seed():
    """What hidden tests draw their examples from: a number that the teacher sets (`python -m ddlite grade --seed`), else 0."""
    return int(os.environ.get("DDLITE_TEACHERS_SEED", 0))


def _equal(mine, wanted, tolerance):
    if isinstance(wanted, (list, tuple)):
        return (isinstance(mine, (list, tuple)) and len(mine) == len(wanted)
                and all(_equal(one, other, tolerance) for one, other in zip(mine, wanted)))
    try:
        mine, wanted = (torch.as_tensor(value).detach().double() for value in (mine, wanted))
    except (TypeError, ValueError, RuntimeError):
        return False
    if mine.shape != wanted.shape or mine.numel() == 0:
        return mine.shape == wanted.shape
    return bool((mine - wanted).abs().max() <= tolerance * max(wanted.abs().max().item(), 1e-12))


def _in_words(value):
    if isinstance(value, torch.Tensor) and value.numel() <= 5:
        value = value.detach().double()
        return str([round(one, 4) for one in value.flatten().tolist()] if value.dim() else round(value.item(), 6))
    if isinstance(value, torch.Tensor):
        return f"a tensor with the mean {value.detach().double().mean():.4g} and the largest number {value.abs().max():.4g}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}" if not isinstance(value, (int, float)) else f"{value:.6g}"
