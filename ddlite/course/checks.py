"""What the assignments check answers with: comparisons that know the common mistakes, and what an answer may not call.

A course of your own uses it so: draw an example (`telling`), call the answer (`alone`, `witness.watching`), `check` what it
returns. The checks of the assignments, `a1` to `a5`, are examples of all of it.
"""

import contextlib
import importlib
import inspect
import math
import os
import sys
from dataclasses import replace

import torch
from torch import nn

from ddlite import distilled, unroll

WORKING = ("unroll", "engines.adjoint", "engines.chain", "engines.captured", "learned", "distill", "evaluate", "pools",
           "scratch", "baselines")  # ddlite's files that train, differentiate through a training, or distil
ALLOWED = {"weights_of", "with_weights", "put_weights", "outputs_of", "loss_of"}  # what losses and networks are made of


def check(mine, wanted, mistakes=None, what="The result", tolerance=1e-4):
    """Compare an answer with the right one, and say what is wrong where they differ.

    Args:
        mine: a number, a tensor, or a list or tuple of them.
        wanted: the right answer, of the same form.
        mistakes: {words: what a common mistake would give}; the words are said, as a guess, where the answer is just that.
        what: what is compared, the beginning of a sentence.
        tolerance: relative to the largest number wanted.

    Raises AssertionError, with words that help, unless the answer is right.

    >>> check(-2.0, 2.0, {"The sign is reversed.": -2.0})
    Traceback (most recent call last):
    AssertionError: The result is wrong. This looks as if: The sign is reversed.
    >>> check(torch.tensor([1.0, 2.0]), torch.tensor([1.0, 2.5]), what="The mean")
    Traceback (most recent call last):
    AssertionError: The mean is wrong: [1.0, 2.0], but [1.0, 2.5] is right.
    """
    demand(mine is not None, f"{what} is None: does your function return it?")
    if isinstance(wanted, (list, tuple)):
        mine = list(mine) if getattr(mine, "ndim", None) == 1 else mine  # numbers in one tensor or array are as good
        demand(isinstance(mine, (list, tuple)) and len(mine) == len(wanted),
               f"{what} must be {len(wanted)} things, in a tuple or list; it is {_in_words(mine)}.")
    if not equal(mine, wanted, tolerance):
        guesses = [words for words, wrong in (mistakes or {}).items() if equal(mine, wrong, tolerance)]
        demand(not guesses, f"{what} is wrong. This looks as if: {' Or: '.join(guesses)}")
    if isinstance(wanted, (list, tuple)):
        for number, (one, other) in enumerate(zip(mine, wanted), start=1):
            check(one, other, what=f"{what}, number {number},", tolerance=tolerance)
        return
    wanted = torch.as_tensor(wanted)
    try:
        mine = _plain(mine)
    except (TypeError, ValueError, RuntimeError):
        raise AssertionError(f"{what} must be numbers; it is {_in_words(mine)}.") from None
    demand(mine.shape == wanted.shape, f"{what} has the shape {tuple(mine.shape)}; it must be {tuple(wanted.shape)}.")
    demand(torch.isfinite(mine).all(), f"{what} holds NaN or infinity: is a step size far too large?")
    demand(equal(mine, wanted, tolerance), f"{what} is wrong: {_in_words(mine)}, but {_in_words(wanted)} is right.")


def demand(holds, words):
    """Raise AssertionError with these words unless something holds: `assert`, without what tools add to its message.

    >>> demand(1 + 1 == 3, "Sums need a second look.")
    Traceback (most recent call last):
    AssertionError: Sums need a second look.
    """
    if not holds:
        raise AssertionError(words)


def equal(mine, wanted, tolerance=1e-4):
    """Whether two numbers, tensors, or lists of them agree, relative to the largest number wanted."""
    if isinstance(wanted, (list, tuple)):
        return (isinstance(mine, (list, tuple)) and len(mine) == len(wanted)
                and all(equal(one, other, tolerance) for one, other in zip(mine, wanted)))
    try:
        mine, wanted = _plain(mine), _plain(wanted)
    except (TypeError, ValueError, RuntimeError):
        return False
    if mine.shape != wanted.shape or mine.numel() == 0:
        return mine.shape == wanted.shape
    return bool((mine - wanted).abs().max() <= tolerance * max(wanted.abs().max().item(), 1e-12))


def _plain(value):
    """A tensor of the numbers, in double precision, whose arithmetic is PyTorch's and no subclass's."""
    with torch._C.DisableTorchFunctionSubclass():
        return torch.Tensor.as_subclass(torch.as_tensor(value), torch.Tensor).detach().double()


def telling(draw, seed, tolerance=1e-2):
    """An example in which no known mistake gives the right answer by chance, so that marks do not depend on the seed.

    Args:
        draw: `draw(seed)` gives an example: (what the answer is called with, the right answer, mistakes as for `check`).
        seed: the first to try.
        tolerance: a mistake that comes closer to the right answer than this, relative to it, tells nothing.

    Returns the first example that tells. Raises RuntimeError where 1,000 seeds give none.
    """
    for attempt in range(1000):
        example = given, right, mistakes = draw(seed + 7919 * attempt)
        if not any(equal(wrong, right, tolerance) for wrong in mistakes.values()):
            return example
    raise RuntimeError("In none of 1,000 examples do all known mistakes differ from the right answer.")


def follows(value, source, words):
    """Raise AssertionError with these words unless a tensor depends, for autograd, on another."""
    value = value.sum() if isinstance(value, torch.Tensor) else sum(one.sum() for one in value)
    [gradient] = torch.autograd.grad(value, source, retain_graph=True, allow_unused=True) if value.requires_grad else [None]
    demand(gradient is not None, words)


@contextlib.contextmanager
def alone(answer, *specifications, autograd=True, off=None):
    """Take away what would do an answer's work while it runs, under whatever name the answer has it.

    Args:
        answer: the function that is to do its work itself.
        specifications: the names, beside it in the notebook, of slow functions that say what it shall compute.
        autograd: whether it may use PyTorch's.
        off: functions of ddlite; these alone are taken away, where an answer may use the others.

    ddlite's functions that train, differentiate through a training or distil raise AssertionError meanwhile. So does a copy
    of such a function: from its file or source, or from the module, loaded once more.
    """
    modules = [importlib.import_module(f"ddlite.{name}") for name in WORKING]
    owners = modules + [value for module in modules for value in vars(module).values()
                        if inspect.isclass(value) and value.__module__ == module.__name__]
    functions = [inspect.unwrap(value) for owner in owners for name, value in vars(owner).items()
                 if inspect.isfunction(value) and value.__module__ in {module.__name__ for module in modules}
                 and name not in ALLOWED and not name.startswith("__")]
    functions += [inspect.unwrap(distilled.DistilledSet.train)]
    functions = functions if off is None else [inspect.unwrap(one) for one in off]
    functions += [own for name in specifications if inspect.isfunction(own := getattr(answer, "__globals__", {}).get(name))
                  and own is not answer]
    slopes = [] if autograd else [inspect.unwrap(value) for owner in (
        torch.autograd, torch.autograd.functional, torch.autograd.forward_ad, torch.func) for value in vars(owner).values()
        if inspect.isfunction(value) and value.__module__.startswith(("torch.autograd", "torch._functorch"))]

    def refuse(*_, **__):
        raise AssertionError("Write it yourself: neither ddlite's functions nor the slow specification may do it for you.")

    def refuse_autograd(*_, **__):
        raise AssertionError("Compute the formulas: PyTorch's autograd is switched off here.")

    exchanged = {id(each): (each, each.__code__, new.__code__) for many, new in ((functions, refuse), (slopes, refuse_autograd))
                 for each in many if not each.__code__.co_freevars}
    copies = {_likeness(each.__code__): words for many, words in ((functions, refuse), (slopes, refuse_autograd))
              for each in many}
    before, met, caught = sys.getprofile(), {}, []

    def note(frame, event, _):
        code = frame.f_code
        if event == "call" and id(code) not in met:
            met[id(code)] = code
            if _likeness(code) in copies:
                caught.append(copies[_likeness(code)])
                caught[0]()

    try:
        for function, _, new in exchanged.values():
            function.__code__ = new
        sys.setprofile(note)
        yield
    finally:
        sys.setprofile(before)
        for function, code, _ in exchanged.values():
            function.__code__ = code
    for words in caught[:1]:  # whoever was refused and went on all the same
        words()


def _likeness(code):
    """What two functions have in common that were made of the same lines."""
    return code.co_code, code.co_names, code.co_varnames


def example(seed, batches=2, passes=2):
    """A small training to try answers on, drawn from a seed.

    Returns what `ddlite.train` and `ddlite.meta_gradient` want, in float64: the loss of a network with 23 weights and two
    outputs, its weights, images (batches, 3, 1, 2, 2), labels (batches, 3), other ones in each batch, step sizes
    (batches * passes,).
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 2))
        images = torch.randn(batches, 3, 1, 2, 2, dtype=torch.float64)
        step_sizes = 0.1 + torch.rand(batches * passes, dtype=torch.float64)
    network.double()
    labels = torch.tensor([[0, 1, 1], [1, 0, 1], [1, 1, 0], [0, 0, 1]])[torch.arange(batches) % 4]
    return unroll.loss_of(network), unroll.weights_of(network), images, labels, step_sizes


def shuffled(dset, generator):
    """The same set, each batch in another order, so that labels of one batch are wrong for another."""
    orders = [torch.randperm(dset.labels.shape[1], generator=generator) for _ in range(dset.batches)]
    return replace(dset, images=torch.stack([images[order] for images, order in zip(dset.images, orders)]),
                   labels=torch.stack([labels[order] for labels, order in zip(dset.labels, orders)]))


def small(shape, classes):
    """A network with one hidden layer of 64: a training of hundreds of outer steps on 8x8 digits takes seconds."""
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 64), nn.ReLU(), nn.Linear(64, classes))


def teachers_seed():
    """What hidden tests draw their examples from: a number that the teacher sets (`python -m ddlite grade --seed`), else 0.

    PyTorch takes seeds below 2**64 and heeds 32 bits of them: any longer number is as good, and gives one below 2**31.
    """
    return int(os.environ.get("DDLITE_TEACHERS_SEED", 0)) % (2**31 - 1)


def _in_words(value):
    if isinstance(value, torch.Tensor):
        value = value.detach().double()
        if value.numel() <= 5:
            return str([round(one, 4) for one in value.flatten().tolist()] if value.dim() else round(value.item(), 6))
        return f"a tensor with the mean {value.mean():.4g} and the largest number {value.abs().max():.4g}"
    if isinstance(value, (list, tuple)):
        return f"a {type(value).__name__} of {len(value)}"
    return f"a {type(value).__name__}" if not isinstance(value, (int, float)) else f"{value:.6g}"


__all__ = ["alone", "check", "demand", "equal", "example", "follows", "shuffled", "small", "teachers_seed", "telling"]
