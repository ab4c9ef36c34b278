"""How a set's images are kept: plain pixels here; other ways are in the gallery.

A storage is any object with the members of `Pixels`. Learning changes the numbers that are stored, a dict of tensors, and
gradients are pulled back to them through `decode`. Every storage has a setting in which it is plain pixels.
"""

import importlib
import math
from importlib.util import find_spec

import torch


class Pixels:
    """The images themselves.

    Attributes:
        pictures, repeats: how many images one stored image decodes to, and how many batches one stored batch
            (1 in a storage that does not say).
        rate: the stored numbers learn at this multiple of the learning rate.
        decay: whether weight decay applies to them.
    """

    pictures, repeats, rate, decay = 1, 1, 1.0, True

    def noise(self, shape: tuple[int, ...], generator: torch.Generator) -> dict[str, torch.Tensor]:
        """Stored numbers to begin with, for images of a shape (batches, n, C, H, W), drawn from a `torch.Generator`."""
        return {"images": torch.randn(shape, generator=generator, dtype=torch.float32)}

    def encode(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Stored numbers for given images (repeats * batches, pictures * n, C, H, W), as near to them as they come."""
        return {"images": images}

    def draw(self, generator: torch.Generator) -> tuple:
        """The random numbers that `decode` uses, drawn from a `torch.Generator`: a tuple of tensors, none here."""
        return ()

    def decode(self, stored: dict[str, torch.Tensor], draw: tuple = ()) -> torch.Tensor:
        """The images (repeats * batches, pictures * n, C, H, W) that stored numbers and a draw stand for; differentiable."""
        return stored["images"]

    def describe(self) -> dict:
        """The storage as a JSON-able dict for files: its class, in the gallery "file.Class", and what it was made with."""
        return {"kind": "Pixels"}

    def __repr__(self):
        return "Pixels()"


PIXELS = Pixels()  # it has no state: one serves all sets


def described(about):
    """The storage that a dict from `describe` stands for. A file of the gallery is imported only when a set needs it.

    Raises ValueError for a storage that is not known here.
    """
    settings = dict(about)
    room, _, name = str(settings.pop("kind", "")).rpartition(".")
    if not room and name == "Pixels":
        return PIXELS
    if room.isidentifier() and find_spec(f"ddlite.gallery.{room}"):
        kind = getattr(importlib.import_module(f"ddlite.gallery.{room}"), name, None)
        if hasattr(kind, "decode"):
            try:
                return kind(**settings)
            except TypeError:  # settings that it does not have
                pass
    raise ValueError(f"Its images are kept in a way that this ddlite does not know ({about}): a newer one may.")


def floats(stored):
    """How many numbers are stored."""
    return sum(math.prod(tensor.shape) for tensor in stored.values())
