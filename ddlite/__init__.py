"""ddlite: dataset distillation (Wang, Zhu, Torralba, Efros 2018), small enough to read in an evening.

Three nouns carry it: where training *starts*, the *goal* that the trained network should reach, and what is learned,
the *distilled set*. `ddlite.show` (still pictures) and `ddlite.live` (the interactive panel) are imported by themselves.
"""

import importlib
import sys
import types
from importlib.util import find_spec
from typing import TYPE_CHECKING

__version__ = "0.1.0"

if TYPE_CHECKING:
    from ddlite.public import *  # noqa: F403


class _Package(types.ModuleType):
    """Imports what is asked for when it is asked for: PyTorch takes seconds, and `ddlite --help` should not wait for it."""

    def __getattr__(self, name):
        if name.startswith("_") and name != "__all__":
            raise AttributeError(f"module 'ddlite' has no attribute {name!r}")
        if find_spec(f"ddlite.{name}"):
            importlib.import_module(f"ddlite.{name}")
            return vars(self).get(name, sys.modules[f"ddlite.{name}"])
        return getattr(importlib.import_module("ddlite.public"), name)

    def __setattr__(self, name, value):
        # The functions `distill` and `evaluate` have the names of their files: in `ddlite`, the name means the function.
        if name in ("distill", "evaluate") and isinstance(value, types.ModuleType):
            value = getattr(value, name)
        super().__setattr__(name, value)

    def __dir__(self):
        return sorted({*vars(self), *self.__all__})


sys.modules[__name__].__class__ = _Package
