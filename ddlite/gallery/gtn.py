"""A generator in the place of images: a small network makes each batch of a training, and is learned through the training.

    image = 2 tanh(W₂ relu(W₁ [z, class] + c₁) + c₂),      min over W, c, z, α, m of  E_θ0  ℓ(real; θ_T)

Such, Rawal, Lehman, Stanley, Clune: "Generative Teaching Networks: Accelerating Neural Architecture Search by Learning to
Generate Synthetic Training Data", ICML 2020. z is learned, drawn once, or drawn anew each time. The order of the batches is
learned with them: it is a curriculum. Ours: the common loop with `goals.Fit`, and two layers in the place of deconvolutions.
"""

from dataclasses import replace

import torch
from torch.nn import functional as F

from ddlite.machinery import arguments
from ddlite.machinery.arguments import whole
from ddlite.networks import MLP
from ddlite.storage import PIXELS
from ddlite.valid import need_set

NOISES = ("learned", "fixed", "fresh")


class Generator:
    """Images come from a network of two layers, which is given noise and the class.

    The stored numbers are `first` (hidden, size + classes) with `first_bias`, `last` (C, H, W, hidden) with `last_bias` and,
    where it is learned, `noise` (batches, n, size). They decode to (batches, n, C, H, W). Within each batch the images come in
    the order of the classes, as many of each, as `DistilledSet.noise` labels them.

    Args:
        size: numbers of noise for each image.
        hidden: units of the hidden layer; None for no network: the noise is the image.
        classes: how many there are.
        noise: "learned"; "fixed", drawn once, from seed 0; or "fresh", drawn anew at each outer step (for a saved set, seed 0).
        draws: (batches, n) of noise that is not stored.

    Raises ValueError for numbers that cannot be, and for draws that are missing or do not fit.
    """

    pictures, repeats = 1, 1

    def __init__(self, size=64, hidden=64, classes=10, noise="learned", draws=None):
        if noise not in NOISES:
            raise ValueError(f"There is no noise {noise!r}. Known: {', '.join(NOISES)}.")
        if (draws is None) != (noise == "learned"):
            raise ValueError(f"draws={draws} with {noise} noise: (batches, n) is needed where noise is not learned, and only "
                             "there.")
        self.size, self.classes, self.noise_is = whole("size", size, 1), whole("classes", classes, 1), noise
        self.hidden = None if hidden is None else whole("hidden", hidden, 1)
        self.draws = None if draws is None else arguments.several("draws", draws, lambda name, each: whole(name, each, 1))
        if self.draws and len(self.draws) != 2:
            raise ValueError(f"draws={self.draws}: two numbers are needed, batches and images in each.")
        # A network's weights all act on every image: they want smaller steps than a pixel does.
        self.rate, self.decay = (1.0, True) if hidden is None else (0.1, False)

    def noise(self, shape, generator):
        batches, n, *picture = shape
        if self.draws and self.draws != (batches, n):
            raise ValueError(f"draws={self.draws}, and the set has {batches} batches of {n} images: they must agree.")
        if self.hidden is None:
            return {"noise": torch.randn(shape, generator=generator)}
        inputs = self.size + self.classes
        numbers = {"first": torch.randn((self.hidden, inputs), generator=generator) / inputs**0.5,
                   "first_bias": torch.zeros(self.hidden),
                   "last": torch.randn((*picture, self.hidden), generator=generator) / self.hidden**0.5,
                   "last_bias": torch.zeros(picture)}
        drawn = torch.randn((batches, n, self.size), generator=generator)
        return {**numbers, "noise": drawn} if self.noise_is == "learned" else numbers

    def encode(self, images):
        if self.hidden is not None:
            raise ValueError("A generator cannot be made from given images: begin with DistilledSet.noise(..., storage=...).")
        return {"noise": images}

    def draw(self, generator):
        """A seed for fresh noise."""
        return (torch.randint(2**31, (), generator=generator),) if self.noise_is == "fresh" else ()

    def decode(self, stored, draw=()):
        if self.hidden is None:
            return stored["noise"]
        first, last, noise = stored["first"], stored["last"], stored.get("noise")
        if noise is None:
            seed = int(draw[0]) if draw else 0
            noise = torch.randn((*self.draws, self.size), generator=torch.Generator().manual_seed(seed)).to(first)
        batches, n, _ = noise.shape
        if n % self.classes:
            raise ValueError(f"{n} images in a batch of {self.classes} classes: a generator makes as many of each.")
        labels = torch.arange(self.classes, device=first.device).repeat_interleave(n // self.classes)
        given = torch.cat([noise, F.one_hot(labels, self.classes).to(first).expand(batches, n, -1)], -1)
        hidden = (given @ first.T + stored["first_bias"]).relu()
        return 2 * (torch.einsum("bnh,cyxh->bncyx", hidden, last) + stored["last_bias"]).tanh()

    def describe(self):
        return {"kind": "gtn.Generator", "size": self.size, "hidden": self.hidden, "classes": self.classes,
                "noise": self.noise_is, "draws": self.draws and list(self.draws)}

    def __repr__(self):
        return f"Generator({self.size}, hidden={self.hidden}, {self.noise_is} noise)"


def made(dset, noise):
    """What a set's generator makes of given noise (batches, n, size): images (batches, n, C, H, W), as many of each class.

    Raises ValueError for a set without a generator, and for noise of another size or an n that the classes do not divide.
    """
    _need_generator(dset)
    kept = dset.storage
    if not isinstance(noise, torch.Tensor) or noise.dim() != 3 or noise.shape[2] != kept.size:
        given = tuple(noise.shape) if isinstance(noise, torch.Tensor) else f"a {type(noise).__name__}"
        raise ValueError(f"noise is {given}: a tensor of (batches, images, {kept.size}) is what this generator takes.")
    if not noise.is_floating_point() or not noise.isfinite().all():
        raise ValueError("noise holds NaN, infinity or whole numbers: finite floats are needed, e.g. torch.randn(...).")
    return Generator(kept.size, kept.hidden, kept.classes).decode({**dset.stored, "noise": noise})


def redrawn(dset, seed=0):
    """An ordinary set of as many other images, which the set's generator makes of noise drawn afresh."""
    _need_generator(dset)
    noise = torch.randn((*dset.labels.shape[:2], dset.storage.size), generator=_generator(seed))
    return replace(dset, images=made(dset, noise), storage=PIXELS, stored=None)


def shuffled(dset, seed=0):
    """An ordinary set of the same batches in another order; the step sizes stay in their places."""
    need_set(dset)
    order = torch.randperm(dset.batches, generator=_generator(seed))
    return replace(dset, images=dset.images[order], labels=dset.labels[order], storage=PIXELS, stored=None)


def _need_generator(dset):
    need_set(dset)
    if "first" not in (dset.stored or {}):
        raise ValueError(f"{dset} has no generator: make it with storage=gtn.Generator().")


def _generator(seed):
    return torch.Generator().manual_seed(arguments.seed(seed))


# What `ddlite distill --method` and lesson 9 learn, by profile; without hidden units the noise is the image: plain pixels.
PROFILES = {
    "gtn": {
        "quick": {"data": "digits", "network": MLP, "outer_steps": 600},
        "quick-fixed": {"data": "digits", "network": MLP, "outer_steps": 600, "noise": "fixed"},
        "quick-fresh": {"data": "digits", "network": MLP, "outer_steps": 600, "noise": "fresh"},
        "quick-momenta": {"data": "digits", "network": MLP, "outer_steps": 600, "momenta": True},
        "quick-pixels": {"data": "digits", "network": MLP, "outer_steps": 600, "hidden": None},
        "laptop": {"data": "mnist", "network": MLP, "outer_steps": 600, "batches": 16,
                   "images_per_class_and_batch": 8},
        "laptop-small": {"data": "mnist", "network": MLP, "outer_steps": 600, "batches": 16,
                         "images_per_class_and_batch": 8, "size": 16},  # in fewer floats than a hundred images
        "laptop-pixels": {"data": "mnist", "network": MLP, "outer_steps": 300, "batches": 16,
                          "images_per_class_and_batch": 8, "hidden": None},
    },
}
