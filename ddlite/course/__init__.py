"""What the assignments check answers with (`checks`), and how they are graded (`grade`, `guard`)."""

from ddlite.course.checks import check, demand, example, follows, small, teachers_seed, without

__all__ = ["check", "demand", "example", "follows", "small", "teachers_seed", "without"]
