"""What the assignments check answers with (`checks`; `a1` to `a5`, one call a task), and how they are graded (`grade`)."""

from ddlite.course.checks import (
    alone,
    check,
    demand,
    equal,
    example,
    follows,
    shuffled,
    small,
    teachers_seed,
    telling,
)
from ddlite.course.witness import keys_of, watching

__all__ = ["alone", "check", "demand", "equal", "example", "follows", "keys_of", "shuffled", "small", "teachers_seed",
           "telling", "watching"]
