"""What is learned: the distilled set, with everything needed to apply it."""

import copy
import json
import warnings
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path

import torch

from ddlite import unroll
from ddlite.data import normalise
from ddlite.machinery.files import fingerprint, load_tensors, save_tensors
from ddlite.networks import check

FORMAT = 1
ASSETS = resources.files("ddlite") / "assets"


@dataclass(frozen=True)
class DistilledSet:
    """Synthetic images, their labels, and one step size for each gradient step (section 3 of the paper).

    Training takes `batches` x `passes` gradient steps: step t uses batch t mod `batches` and `step_sizes[t]`.

    Attributes:
        images: (batches, n, C, H, W), normalised, unbounded.
        labels: (batches, n) class numbers, fixed; or (batches, n, classes) distributions, learned with the images.
        step_sizes: (batches * passes,), 0 or more.
        data: name of the data set that it stands for.
        classes: names of the classes.
        mean, std: the normalisation of the images, and of the images that the trained network is to see.
        momentum: of the gradient steps, a scalar tensor in 0..1 (not in the paper); None for plain gradient descent.
        goal: what it was made for ("fit", or an attack and its classes); None before learning.
        start: where training starts, a dict with `kind` ("fixed", "random", "pool"), the `network`'s class name, `shapes` of
            its weights by name, and their `fingerprint`, or the `init` and `seed` that draw them (and, for a pool, the `source`
            and `schedule` of its pre-training); None before learning.
        initial: the weights of a fixed start, a tuple of tensors, where the set carries them.
    """

    images: torch.Tensor
    labels: torch.Tensor
    step_sizes: torch.Tensor
    data: str
    classes: tuple
    mean: tuple
    std: tuple
    momentum: torch.Tensor | None = None
    goal: str | None = None
    start: dict | None = None
    initial: tuple | None = None

    def __post_init__(self):
        batches, n = self.images.shape[:2] if self.images.dim() == 5 else (0, 0)
        soft = self.labels.is_floating_point()
        if batches == 0 or self.labels.shape != ((batches, n, len(self.classes)) if soft else (batches, n)):
            raise ValueError(f"Images {tuple(self.images.shape)} and labels {tuple(self.labels.shape)} do not fit: expected "
                             "(batches, n, C, H, W), and (batches, n) class numbers or (batches, n, classes) distributions.")
        if self.step_sizes.dim() != 1 or len(self.step_sizes) == 0 or len(self.step_sizes) % batches:
            raise ValueError(f"{self.step_sizes.numel()} step sizes for {batches} batches: "
                             "one for each gradient step is needed, batches x passes in all.")
        if not all(torch.isfinite(t).all() for t in (self.images, self.labels.float(), self.step_sizes)):
            raise ValueError("The images, labels or step sizes hold NaN or infinity.")
        if self.momentum is not None and not (self.momentum.dim() == 0 and 0 <= self.momentum < 1):
            raise ValueError(f"The momentum is {self.momentum.tolist()}: one number, at least 0 and less than 1, is needed.")
        if self.step_sizes.min() < 0:
            raise ValueError("A step size is negative: gradient descent would climb.")
        if soft and (self.labels.min() < 0 or (self.labels.sum(-1) - 1).abs().max() > 1e-4):
            raise ValueError("The labels are no distributions: each row must be 0 or more and sum to 1.")
        if not soft and (self.labels.min() < 0 or self.labels.max() >= len(self.classes)):
            raise ValueError(f"The labels must be class numbers in 0..{len(self.classes) - 1}.")

    @classmethod
    def noise(cls, data, images_per_class=1, batches=1, passes=3, step_size=0.02, learn_labels=False, momentum=0.0, seed=0):
        """A set to begin learning with: images from N(0, 1), labels in class order, all step sizes alike.

        Args:
            data: the `Data` it is to stand for.
            images_per_class: counted per batch. With learned labels it may be a fraction, e.g. 0.5: five images for ten
                classes.
            batches, passes: gradient steps are batches x passes.
            step_size: the initial value.
            learn_labels: labels become distributions that are learned too. They begin at 90 % for their class; where there
                are fewer images than classes, image k of n shares its 90 % among the classes k, k + n, ...
            momentum: of the gradient steps, the value to begin with (it is learned too); 0 for none, as in the paper.
            seed: of the noise, drawn on the CPU, so that every device begins alike.
        """
        classes = len(data.classes)
        n = round(classes * images_per_class)
        if min(n, batches, passes) < 1 or not step_size > 0:
            raise ValueError("images_per_class, batches and passes must be 1 or more, and step_size positive.")
        if n < classes and not learn_labels:
            raise ValueError(f"{n} images cannot stand for {classes} classes with one fixed label each: use learn_labels=True.")
        if n > classes and n % classes:
            raise ValueError(f"{images_per_class} images per class: a fraction must be less than 1.")
        images = torch.randn(batches, n, *data.shape, generator=torch.Generator().manual_seed(seed))
        labels = torch.arange(min(n, classes)).repeat_interleave(max(n // classes, 1)).repeat(batches, 1)
        if learn_labels:
            own = (torch.arange(classes) % n == labels[..., None]).float()
            labels = 0.9 * own / own.sum(-1, keepdim=True) + 0.1 * (1 - own) / (1 - own).sum(-1, keepdim=True).clamp(min=1)
            labels = labels / labels.sum(-1, keepdim=True)
        device = data.train.images.device
        return cls(images.to(device), labels.to(device), torch.full((batches * passes,), float(step_size), device=device),
                   data.name, data.classes, data.mean, data.std,
                   torch.tensor(float(momentum), device=device) if momentum else None)

    @property
    def batches(self):
        """How many batches the images come in."""
        return len(self.images)

    @property
    def passes(self):
        """How often all batches are gone through."""
        return len(self.step_sizes) // self.batches

    def gradient_steps(self, passes=None):
        """(images, labels, step size) of each step of a training, in order; by default of all passes.

        Raises ValueError for passes that the set does not have.
        """
        if passes is not None and not 0 <= passes <= self.passes:
            raise ValueError(f"passes={passes}: the set has step sizes for 0..{self.passes}.")
        steps = self.batches * (self.passes if passes is None else passes)
        for t, step_size in enumerate(self.step_sizes[:steps]):
            yield self.images[t % self.batches], self.labels[t % self.batches], step_size

    def tensors(self):
        """All its numbers by name: `images`, `labels`, `step_sizes` and, where there is one, `momentum`."""
        names = ("images", "labels", "step_sizes", "momentum")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def to(self, device):
        """The same set on another device."""
        moved = {name: tensor.to(device) for name, tensor in self.tensors().items()}
        return replace(self, **moved)

    def examples(self):
        """Images (batches * n, C, H, W) and labels without order and step sizes, as protocol B wants them."""
        return self.images.flatten(0, 1), self.labels.flatten(0, 1)

    def with_step_sizes(self, step_sizes):
        """The same set with other step sizes: a number for all steps, or one for each (batches x passes)."""
        step_sizes = torch.as_tensor(step_sizes, dtype=self.step_sizes.dtype, device=self.step_sizes.device)
        return replace(self, step_sizes=step_sizes.expand_as(self.step_sizes) if step_sizes.dim() == 0 else step_sizes)

    def train(self, network, passes=None, own_weights=False):
        """Train a network on the set: the call that the whole package is about.

        Args:
            network: any `nn.Module` that takes such images and gives a logit for each class; left as it was.
            passes: stop after so many passes; by default after all.
            own_weights: begin at the network's own weights even if the set was learned for others (with a warning).

        Returns a trained copy, to be fed with images normalised like the set's own (see `normalise`).
        A set for a fixed start begins at the weights it was learned for: those it carries, else the network's own.

        Raises ValueError if the network cannot be unrolled through (BatchNorm, active dropout), or if the set was
        learned for one fixed network and this one has other layers or, where the set carries none, other weights, or for
        passes that the set does not have.
        """
        trained = copy.deepcopy(check(network))
        weights = unroll.weights_of(trained)
        if self.start is not None and self.start["kind"] == "fixed":
            weights = self._fixed_weights(trained, weights, own_weights)
        here = self.to(weights[0].device)
        weights = unroll.train(unroll.loss_of(trained), weights, here.gradient_steps(passes), here.momentum, create_graph=False)
        return unroll.with_weights(trained, weights)

    def normalise(self, images):
        """Grey levels in 0..1, (N, C, H, W), normalised as a network trained on this set needs them."""
        return normalise(images, self.mean, self.std)

    def check_split(self, split):
        """Refuse images that were normalised otherwise than the set's own: a network trained on it would misread them.

        Raises ValueError with both normalisations.
        """
        theirs, own = (*split.mean, *split.std), (*self.mean, *self.std)
        if len(theirs) != len(own) or any(abs(a - b) > 1e-4 for a, b in zip(theirs, own)):
            raise ValueError(f"The {split.name} images were normalised with mean {split.mean} and std {split.std}, the "
                             f"distilled set with mean {self.mean} and std {self.std}. Load the data with the set's "
                             "normalisation: from_arrays(..., mean=dset.mean, std=dset.std).")

    def save(self, path, initial=None):
        """Write the set as one safetensors file, atomically.

        Args:
            path: usually ending in .safetensors.
            initial: the weights of a fixed start to store with it; by default those that the set carries, if any. Without
                them (a warning says so) it can only be used where the network is known.

        Raises ValueError for weights that are not those which the set was learned for, OSError if it cannot be written.
        """
        if initial is not None:
            initial = tuple(initial)
            if self.start is None or self.start["kind"] != "fixed" or fingerprint(*initial) != self.start["fingerprint"]:
                raise ValueError("These are not the first weights that this set was learned for: save it without `initial`, "
                                 "or with start.network.parameters() of the FixedStart that it was learned with.")
        initial, tensors = self.initial if initial is None else initial, self.tensors()
        if initial is None and self.start is not None and self.start["kind"] == "fixed":
            warnings.warn("This set belongs to one network, whose first weights are not saved with it: pass "
                          "initial=start.network.parameters(), unless you keep them elsewhere.", stacklevel=2)
        for name, weight in zip(self.start["shapes"] if initial else (), initial or (), strict=True):
            tensors[f"initial.{name}"] = weight
        order = f"step t uses batch t mod {self.batches} and step_sizes[t]"
        save_tensors(path, tensors, {"format": FORMAT, "order": order, "data": self.data, "classes": self.classes,
                                     "mean": self.mean, "std": self.std, "goal": self.goal, "start": self.start})

    @classmethod
    def load(cls, path):
        """Read a set that `save` wrote; nothing else is needed to apply it.

        Raises FileNotFoundError if there is no such file; ValueError if it is truncated, was changed, is none of ddlite's,
        or comes from a newer ddlite.
        """
        tensors, about = load_tensors(path)
        if about.get("format") != FORMAT or "step_sizes" not in tensors:
            raise ValueError(f"{path} holds no distilled set that this ddlite can read (format {about.get('format')}, "
                             f"known: {FORMAT}): a newer ddlite may.")
        start, goal = about["start"], about["goal"]
        if start and "law" in start:  # the first edition's word for it
            start = {"init" if key == "law" else key: value for key, value in start.items()}
        if goal not in (None, "fit"):
            warnings.warn(f"This set was made to harm ({goal}): train only networks on it that you can do without.",
                          stacklevel=2)
        initial = [tensors[f"initial.{name}"] for name in start["shapes"] if f"initial.{name}" in tensors] if start else []
        return cls(tensors["images"], tensors["labels"], tensors["step_sizes"], about["data"], tuple(about["classes"]),
                   tuple(about["mean"]), tuple(about["std"]), tensors.get("momentum"), about["goal"], start,
                   tuple(initial) or None)

    @classmethod
    def shipped(cls, name):
        """Open a set that comes with the package (`ddlite.shipped()` lists the names)."""
        if name not in shipped():
            raise ValueError(f"No set {name!r} comes with ddlite. These do: {', '.join(shipped())}.")
        with resources.as_file(ASSETS / f"{name}.safetensors") as path:
            return cls.load(path)

    def _fixed_weights(self, network, weights, own_weights):
        shapes = {name: list(weight.shape) for name, weight in network.named_parameters()}
        if shapes != self.start["shapes"]:
            raise ValueError(f"This set was learned for one fixed {self.start['network']}; the weights of this "
                             f"{type(network).__name__} have other names or shapes. Use the same network, "
                             "or a set for random starts.")
        if self.initial is not None and not own_weights:
            return [weight.to(weights[0].device).clone().requires_grad_() for weight in self.initial]
        if fingerprint(*weights) != self.start["fingerprint"]:
            words = ("This set was learned for one fixed initialisation, and this network has other weights: "
                     "expect little more than guessing.")
            if not own_weights:
                raise ValueError(f"{words} Load the initial weights, use a set for random starts, or try all the same "
                                 "with own_weights=True.")
            warnings.warn(words, stacklevel=3)
        return weights


def shipped():
    """The names of the distilled sets that come with the package."""
    return sorted(Path(entry.name).stem for entry in ASSETS.iterdir() if entry.name.endswith(".safetensors"))


def manifests():
    """The names of all manifests that come with the package: those of shipped sets, of baselines, and of pools."""
    return sorted(Path(entry.name).stem for entry in ASSETS.iterdir() if entry.name.endswith(".json"))


def manifest(name):
    """What is known of a shipped result: configuration, seeds, results, command, machine, fingerprint of the data (a dict)."""
    if name not in manifests():
        raise ValueError(f"No result {name!r} comes with ddlite. These do: {', '.join(manifests())}.")
    return json.loads((ASSETS / f"{name}.json").read_text(encoding="utf-8"))
