"""Where grading was in the first edition. It is in `ddlite.course.grade`."""

from ddlite.course.grade import grade

__all__ = ["grade"]
