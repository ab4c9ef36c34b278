"""What numbers a caller may give, and the words where something else is given."""

import math
import operator

SEEDS = 2**32  # PyTorch's CPU generator heeds no more than 32 bits: a larger seed would draw what a smaller one does


def whole(name, value, least=0, most=None):
    """A whole number as an int: of Python, numpy or a tensor; 3.0 and 1e3 count as whole.

    Raises ValueError, naming the argument and the range, for anything else: fractions, NaN, text, None, True.

    >>> whole("passes", 3.0, least=1)
    3
    >>> whole("passes", 1.5, least=1)
    Traceback (most recent call last):
    ValueError: passes=1.5: a whole number, 1 or more, is needed.
    """
    found = _as(operator.index, value)
    if found is None:  # perhaps a whole float
        found = _as(float, value)
        found = int(found) if found is not None and math.isfinite(found) and found == int(found) else None
    if found is None or found < least or (most is not None and found > most):
        bounds = f"{least:,} or more" if most is None else f"from {least:,} to {most:,}"
        raise ValueError(f"{name}={shown(value)}: a whole number, {bounds}, is needed.")
    return found


def number(name, value, least=-math.inf, most=math.inf, above=-math.inf, below=math.inf):
    """A finite number as a float, `least` <= value <= `most` and `above` < value < `below`.

    Raises ValueError, naming the argument and the range, for anything else.
    """
    found = _as(float, value)
    if found is None or not math.isfinite(found) or not (least <= found <= most and above < found < below):
        given = {"{:g} or more": least, "more than {:g}": above, "at most {:g}": most, "less than {:g}": below}
        bounds = " and ".join(text.format(bound) for text, bound in given.items() if math.isfinite(bound))
        raise ValueError(f"{name}={shown(value)}: a finite number{f', {bounds},' if bounds else ''} is needed.")
    return found


def several(name, values, check):
    """A tuple of what `check(name, value)` returns for each, at least one. Raises ValueError for none, or no sequence."""
    values = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(values, (str, bytes)) or not hasattr(values, "__iter__") or not (values := tuple(values)):
        raise ValueError(f"{name}={shown(values)}: a list of at least one number is needed.")
    return tuple(check(name, value) for value in values)


def seed(value, name="seed", most=SEEDS - 1):
    """A seed: a whole number from 0 to `most`. Raises ValueError otherwise."""
    return whole(name, value, 0, most)


def shown(value, length=60):
    """A value as an error message shows it: short, and on one line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= length else f"{text[:length]}..."


def _as(convert, value):
    """The value as `convert` has it, or None where it is no single number; text, True and False are none."""
    if isinstance(value, (str, bytes, bool)) or "bool" in str(getattr(value, "dtype", "")):
        return None
    try:
        return convert(value)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        return None
