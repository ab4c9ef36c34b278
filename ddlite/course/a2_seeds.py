"""The check of assignment 2's task on seeds: no two networks may meet."""

import builtins
import copy
import inspect
import itertools
import types
from unittest import mock

import torch

import ddlite as dd
from ddlite.course.checks import demand


def seeds(my_seed, seed=0):
    """Task 3: `my_seed(role, seed, index)`, another number of 32 bits for each network, always the same one."""
    _check_memory(my_seed, seed)
    generator = torch.Generator().manual_seed(seed)
    ends = [*(2**k + more for k in range(20) for more in (-1, 0)), *range(2**20 - 300, 2**20)]
    some = sorted({*range(300), *range(0, 2**20, 1000), *ends})
    few = sorted({0, 1, 2, 1023, 1024, 2**20 - 1, *torch.randint(2**20, (10,), generator=generator).tolist()})
    # So many that, of seeds made by a hash of 32 bits or drawn at random, some meet by chance.
    drawn = [torch.randint(many, (350_000,), generator=generator).tolist() for many in (3, 2**10, 2**20)]
    named = {}
    for questions in (itertools.product(dd.starts.ROLES, (0, 1, 2, 42, 1023), some),
                      itertools.product(dd.starts.ROLES, range(1024), few),
                      zip(map(dd.starts.ROLES.__getitem__, drawn[0]), drawn[1], drawn[2])):
        _check_meetings(my_seed, questions, named)
    asked, largest = max(named.values(), key=lambda pair: pair[1])
    demand(largest < 2**32, f"my_seed{asked} is {largest}: it needs more than 32 bits.")


def _check_meetings(my_seed, questions, named):
    """Complain if two questions, or one and an earlier one, have the same answer; `named` is {seed: (question, answer)}."""
    meeting = {}
    for asked in questions:
        mine = my_seed(*asked)
        if type(mine) is not int or mine < 0:
            demand(isinstance(mine, int) and not isinstance(mine, bool),
                   f"my_seed{asked} must be an int; it is a {type(mine).__name__}.")
            demand(mine >= 0, f"my_seed{asked} is {mine}: it must not be negative.")
        other, its = named.setdefault(mine % 2**32, (asked, mine))
        if other != asked:
            meeting.setdefault([a != b for a, b in zip(asked, other)].index(True), (other, asked, its, mine))
    if meeting:
        first, second, its, mine = meeting[min(meeting)]
        same = (f"the same seed, {mine}" if its == mine else
                f"seeds that differ only above the lowest 32 bits, {its} and {mine}")
        demand(False, f"{first} and {second} get {same}: " + (
            "a network of one role is met in another, which is a leak.",
            "two experiments share a network.",
            "two networks of one role are the same.")[min(meeting)])


def _check_memory(my_seed, seed):
    """Complain of an answer that depends on when, how often, in which order or in which process it is asked."""
    again = "is another number when asked again, or in another order: no counter and no random numbers, or nobody can draw a "\
            "network twice."
    generator = torch.Generator().manual_seed(seed)
    questions = [(dd.starts.ROLES[r], s, i) for r, s, i in zip(*(torch.randint(many, (200,), generator=generator).tolist()
                                                                 for many in (3, 1024, 2**20)))]

    def no_hash(*_):
        raise AssertionError("Python's hash() of a text is another number in another process: the same question must always "
                             "have the same answer.")

    try:  # two copies, as in two processes
        copies = [_copied(my_seed, {}) for _ in range(2)]
    except Exception:  # whatever cannot be copied holds something that changes
        copies = [my_seed, my_seed]
    with mock.patch.object(builtins, "hash", no_hash):
        forwards = dict(zip(questions, [copies[0](*asked) for asked in questions]))
        for asked in reversed(questions):
            anew = "".join(list(asked[0])), *asked[1:]  # the same text, but another object, as in another process
            demand(copies[1](*anew) == forwards[asked] == my_seed(*asked), f"my_seed{asked} {again}")
    demand("__hash__" not in _names_in(_code_of(my_seed)), "Python's hash() of a text is another number in another process.")
    values = torch.tensor([forwards[asked] if isinstance(forwards[asked], int) else 0 for asked in questions]).double()
    order = torch.stack([values, torch.arange(len(values)).double()])
    demand(values.std() == 0 or torch.corrcoef(order)[0, 1].abs() < 0.5, f"my_seed{questions[0]} {again}")


def _copied(function, names):
    """A function with its own copy of all that it remembers: globals (in `names`), defaults, and what it encloses."""
    function = inspect.unwrap(function)
    for name in _names_in(function.__code__) & set(function.__globals__) - set(names):
        value = function.__globals__[name]
        names[name] = value
        if inspect.isfunction(inspect.unwrap(value)) if callable(value) else not inspect.ismodule(value):
            names[name] = _copied(value, names) if callable(value) else copy.deepcopy(value)
    cells = tuple(types.CellType(copy.deepcopy(cell.cell_contents)) for cell in function.__closure__ or ())
    names.setdefault("__builtins__", builtins)
    made = types.FunctionType(function.__code__, names, function.__name__, copy.deepcopy(function.__defaults__), cells)
    made.__dict__.update(copy.deepcopy({name: value for name, value in vars(function).items() if name != "__wrapped__"}))
    return made


def _code_of(function):
    function = inspect.unwrap(function)
    return getattr(function, "__code__", None) or getattr(type(function).__call__, "__code__", (lambda: None).__code__)


def _names_in(code):
    return {*code.co_names}.union(*(_names_in(one) for one in code.co_consts if hasattr(one, "co_names")))
