"""Shared memories: a few small pictures that all images are mixed of, and for each image an address that says how.

    image_i = enlarged(Σ_k A[i, k] b_k),      min over b, A of  E_θ0  ℓ(real; θ_T),  T steps with momentum

Deng and Russakovsky: "Remember the Past: Distilling Datasets into Addressable Memories for Neural Networks", NeurIPS 2022. The
outcome of a long training with momentum is differentiated exactly (`adjoint`), and each step shows another draw of the images.
Ours: the common loop and `goals.Fit`, and a learned step size. What counts is the number of floats: more images, each
of less, is most of the gain, so that low resolution alone (`idc.Patches`) stands beside it.
"""

from dataclasses import replace

import torch
from torch.nn import functional as F

from ddlite.data import need_data
from ddlite.machinery.arguments import whole
from ddlite.networks import MLP
from ddlite.scratch import Recipe
from ddlite.storage import PIXELS
from ddlite.valid import need_set


class Bases:
    """Images are mixed of bases that all of them share.

    The stored numbers are `bases` (batches, count, C, H / down, W / down) and `addresses` (batches, n, pool, count). Each of
    the n images of a batch has a pool of addresses, and a draw takes one of them, for each of `steps` batches another. They
    decode to (steps * batches, n, C, H, W).

    Args:
        count: how many bases; None for one base an image and no addresses.
        down: how many times an image's side is as long as a base's.
        pool: addresses of each image that is shown, to draw from.
        steps: batches that one stored batch decodes to, each with another draw.

    Raises ValueError for numbers that cannot be and, when it is used, for pictures whose sides `down` does not divide.
    """

    pictures, rate, decay = 1, 1.0, True

    def __init__(self, count=16, down=2, pool=1, steps=1):
        self.count = None if count is None else whole("count", count, 1)
        self.down, self.pool, self.repeats = whole("down", down, 1), whole("pool", pool, 1), whole("steps", steps, 1)
        if count is None and pool > 1:
            raise ValueError(f"pool={pool} without bases that are shared: give a count of bases, or pool=1.")

    def noise(self, shape, generator):
        batches, n, channels, height, width = self._fits(shape)
        number = self.count or n
        bases = torch.randn((batches, number, channels, height // self.down, width // self.down), generator=generator)
        if self.count is None:
            return {"bases": bases}
        addresses = torch.randn((batches, n, self.pool, number), generator=generator) / number**0.5
        return {"bases": bases, "addresses": addresses}

    def encode(self, images):
        """The mixtures that come nearest: of each `repeats` batches the first, its main directions as bases."""
        images = images[::self.repeats]
        batches, n, channels, height, width = self._fits(images.shape)
        small = images.flatten(0, 1)
        if self.down > 1:
            small = F.interpolate(small, (height // self.down, width // self.down), mode="bilinear", antialias=True)
        small = small.unflatten(0, (batches, n))
        if self.count is None:
            return {"bases": small}
        left, lengths, right = torch.linalg.svd(small.flatten(2), full_matrices=False)
        kept = min(self.count, lengths.shape[1])
        bases = small.new_zeros(batches, self.count, right.shape[2])
        addresses = small.new_zeros(batches, n, self.count)
        bases[:, :kept], addresses[..., :kept] = right[:, :kept], left[..., :kept] * lengths[:, None, :kept]
        return {"bases": bases.unflatten(2, small.shape[2:]), "addresses": addresses[:, :, None].repeat(1, 1, self.pool, 1)}

    def draw(self, generator):
        """A seed for which address of each pool is taken; none where there is only one."""
        return (torch.randint(2**31, (), generator=generator),) if self.pool > 1 else ()

    def decode(self, stored, draw=()):
        bases = stored["bases"]
        batches, _, channels, height, width = bases.shape
        small = bases
        if self.count is not None:
            chosen = self._chosen(stored["addresses"], draw)  # (steps, batches, n, count)
            small = torch.einsum("sbnk,bkchw->sbnchw", chosen, bases).flatten(0, 1)
        elif self.repeats > 1:
            small = bases.repeat(self.repeats, 1, 1, 1, 1)
        if self.down == 1:
            return small
        large = F.interpolate(small.flatten(0, 1), (height * self.down, width * self.down), mode="bilinear")
        return large.unflatten(0, small.shape[:2])

    def _chosen(self, addresses, draw):
        """One address of each pool for each step."""
        batches, n, pool, _ = addresses.shape
        which = torch.zeros((self.repeats, batches, n), dtype=torch.int64)
        if draw:
            generator = torch.Generator().manual_seed(int(draw[0]))
            which = torch.randint(pool, which.shape, generator=generator)
        rows, columns = torch.arange(batches)[:, None], torch.arange(n)
        return addresses[rows, columns, which.to(addresses.device)]

    def describe(self):
        return {"kind": "past.Bases", "count": self.count, "down": self.down, "pool": self.pool, "steps": self.repeats}

    def __repr__(self):
        return f"Bases({self.count}, down={self.down}, pool={self.pool}, steps={self.repeats})"

    def _fits(self, shape):
        if shape[-2] % self.down or shape[-1] % self.down:
            raise ValueError(f"{self} cannot shrink pictures of {shape[-2]}x{shape[-1]} pixels: choose a down that divides "
                             "both sides, or load the data with another size=.")
        return shape


def everyone(dset):
    """An ordinary set of all images that a set's addresses stand for, in one batch, by a recipe: protocol B.

    Raises ValueError for a set without addresses.
    """
    need_set(dset)
    if "addresses" not in (dset.stored or {}):
        raise ValueError(f"{dset} has no addresses: make it with storage=past.Bases(count).")
    kept, addresses = dset.storage, dset.stored["addresses"]
    each = {"bases": dset.stored["bases"], "addresses": addresses.flatten(1, 2)[:, :, None]}  # as images with pools of one
    images = Bases(kept.count, kept.down).decode(each)
    labels = dset.labels[:len(images)].repeat_interleave(kept.pool, 1)
    return replace(dset, images=images.flatten(0, 1)[None], labels=labels.flatten(0, 1)[None], step_sizes=None, momentum=None,
                   tied=False, recipe=dset.recipe or Recipe(), storage=PIXELS, stored=None)


def bases_of(dset):
    """The bases of a set, enlarged, as an ordinary set to be looked at: its classes are b1, b2, ...

    Raises ValueError for a set without bases.
    """
    need_set(dset)
    if "bases" not in (dset.stored or {}):
        raise ValueError(f"{dset} has no bases: make it with storage=past.Bases(count).")
    images = Bases(None, dset.storage.down).decode({"bases": dset.stored["bases"]})
    numbers = torch.arange(images.shape[1])
    names = tuple(f"b{k + 1}" for k in range(max(2, len(numbers))))  # a set has two classes or more
    return replace(dset, images=images, labels=numbers.expand(len(images), -1), classes=names, start=None, initial=None,
                   storage=PIXELS, stored=None)


def addresses_within(budget, data, count=16, down=2):
    """How many addresses each class can have if these and the bases are to take at most so many floats.

    Raises ValueError for a budget that is too small for the bases and one address for each class, and as `Bases` does.
    """
    need_data(data)
    kept = Bases(whole("count", count, 1), down)
    channels, height, width = kept._fits(data.shape)
    classes, base = len(data.classes), channels * (height // down) * (width // down)
    if (each := (whole("budget", budget, 1) - count * base) // (count * classes)) < 1:
        raise ValueError(f"{budget} floats are too few for {count} bases of {base} floats and an address of {count} for each "
                         f"of {classes} classes: take fewer bases, smaller ones (a larger down), or "
                         f"{count * (base + classes)} floats.")
    return each


def address(dset, label, which=0):
    """The address (count,) of one image of a class, by the number of the class.

    Raises ValueError for a set without addresses, and for a class or an address that does not exist.
    """
    need_set(dset)
    if "addresses" not in (dset.stored or {}):
        raise ValueError(f"{dset} has no addresses: make it with storage=past.Bases(count).")
    label = whole("label", label, 0, len(dset.classes) - 1)
    own = dset.stored["addresses"][0][dset.labels[0] == label].flatten(0, 1)
    return own[whole("which", which, 0, len(own) - 1)]


# What `ddlite distill --method` and lesson 10 learn, by profile, all in ten images' worth of floats.
PROFILES = {
    "past": {
        "quick": {"data": "digits", "network": MLP, "outer_steps": 400},
        "quick-small": {"data": "digits", "network": MLP, "outer_steps": 400, "bases": None,
                        "images_per_class_and_batch": 9},
        "quick-plain": {"data": "digits", "network": MLP, "outer_steps": 400, "bases": None, "down": 1,
                        "images_per_class_and_batch": 1},
        "laptop": {"data": "mnist", "network": MLP, "outer_steps": 600, "bases": 16, "down": 2, "pool": 3, "steps": 20,
                   "images_per_class_and_batch": 8, "begin": "k-means", "learning_rate": 0.03},
        "laptop-small": {"data": "mnist", "network": MLP, "outer_steps": 600, "bases": None, "down": 2, "steps": 20,
                         "images_per_class_and_batch": 4, "begin": "k-means", "learning_rate": 0.03},
        "laptop-plain": {"data": "mnist", "network": MLP, "outer_steps": 600, "bases": None, "down": 1, "steps": 20,
                         "images_per_class_and_batch": 1, "begin": "k-means", "learning_rate": 0.03},
    },
}
