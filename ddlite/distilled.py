"""What is learned: the distilled set, with everything needed to apply it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from importlib import resources
from pathlib import Path

import torch
from torch import nn

from ddlite import beginnings, plain, results, saved, unroll
from ddlite.data import Data, Split, check_device, normalisation, normalise
from ddlite.engines import chain
from ddlite.machinery.arguments import number, shown, whole
from ddlite.scratch import Recipe
from ddlite.starts import begin
from ddlite.storage import PIXELS, floats
from ddlite.unrollable import check, copied, gradients_on
from ddlite.valid import check_parts, check_split


@dataclass(frozen=True, eq=False, repr=False)
class DistilledSet:
    """Synthetic images, their labels, and one step size for each gradient step (section 3 of the paper).

    Training takes `batches` x `passes` gradient steps: step t uses batch t mod `batches` and `step_sizes[t]`.

    Attributes:
        images: (batches, n, C, H, W), normalised, unbounded.
        labels: (batches, n) class numbers, fixed; or (batches, n, classes) distributions, learned with the images. A set
            without step sizes whose recipe has the loss "squares" may have any numbers there.
        step_sizes: (batches * passes,), 0 or more; None for a set that only a recipe applies.
        data: name of the data set that it stands for.
        classes: names of the classes.
        mean, std: the normalisation of the images, and of the images that the trained network is to see.
        momentum: of the gradient steps, in 0..1 (not in the paper): a scalar tensor, or (batches * passes,), one for each step;
            None for plain gradient descent.
        goal: what it was made for ("fit", or an attack and its classes); None before learning.
        start: where training starts, a dict with `kind` ("fixed", "random", "pool"), the `network`'s class name, `shapes` of
            its weights by name, and their `fingerprint`, or the `init` and `seed` that draw them (and, for a pool, the `source`
            and `schedule` of its pre-training); where there are any, the names of `frozen` weights, and a fingerprint of the
            `buffers`; None before learning.
        initial: the weights of a fixed start, frozen ones included, a tuple of tensors, where the set carries them.
        buffers: the numbers of a fixed start's network that are no weights, {name: tensor}; None where it has none.
        recipe: how networks are trained on the set from scratch (protocol B), a `Recipe`; None for a set that is applied by
            its own step sizes (protocol A).
        tied: whether all steps share one step size, which is learned as one.
        storage, stored: how the images are kept, and the numbers that `images` is then decoded from, a dict of tensors; None
            for plain pixels. The decoding of a saved set is always the same: a storage's draws come from seed 0.
    """

    images: torch.Tensor
    labels: torch.Tensor
    step_sizes: torch.Tensor | None
    data: str
    classes: tuple
    mean: tuple
    std: tuple
    momentum: torch.Tensor | None = None
    goal: str | None = None
    start: dict | None = None
    initial: tuple | None = None
    recipe: Recipe | None = None
    tied: bool = False
    storage: object = PIXELS
    stored: dict | None = None
    buffers: dict | None = None

    def __post_init__(self):
        if self.stored is not None:
            decoded = self.storage.decode(self.stored, self.storage.draw(torch.Generator().manual_seed(0)))
            if self.images is not None and not torch.equal(self.images, decoded):
                raise ValueError(f"These images are not those that the stored numbers of {self.storage} stand for: change "
                                 "`stored` and let images be None, or set storage=Pixels() and stored=None.")
            object.__setattr__(self, "images", decoded)
        check_parts(self)
        mean, std = normalisation(self.mean, self.std, self.images.shape[2])
        for name, plain_ones in (("classes", tuple(map(str, self.classes))), ("mean", mean), ("std", std)):
            object.__setattr__(self, name, plain_ones)  # a list would be unlike the tuple that a file gives back

    noise = classmethod(beginnings.noise)
    real = classmethod(beginnings.real)

    @classmethod
    def from_tensors(cls, images: torch.Tensor, labels: torch.Tensor, data: Data, step_size: float | None = None,
                     passes: int = 1) -> "DistilledSet":
        """A set of images and labels in the field's plain form.

        Args:
            images: (N, C, H, W), normalised like the data.
            labels: (N,) class numbers, or (N, classes) distributions.
            data: the `Data` that it stands for.
            step_size, passes: of protocol A, all images in one batch; without a step size the set is for protocol B, applied
                by a `Recipe` with the field's customary values.
        """
        images, labels = torch.as_tensor(images), torch.as_tensor(labels)
        sizes = None if step_size is None else torch.full(
            (whole("passes", passes, 1),), number("step_size", step_size, least=0), dtype=torch.float32, device=images.device)
        return cls(images[None], labels[None], sizes, data.name, data.classes, data.mean, data.std,
                   recipe=Recipe() if step_size is None else None)

    def to_tensors(self) -> dict:
        """The field's plain form, a dict: `images` (N, C, H, W), `labels` (N,) or (N, classes), and `step_size`, a number where
        all steps have the same one, else None. Order and single step sizes are lost: `save` keeps them.
        """
        images, labels = self.examples()
        sizes = [] if self.step_sizes is None else self.step_sizes.unique().tolist()
        return {"images": images, "labels": labels, "step_size": sizes[0] if len(sizes) == 1 else None}

    @property
    def batches(self) -> int:
        """How many batches the images come in."""
        return len(self.images)

    @property
    def passes(self) -> int:
        """How often all batches are gone through; 1 for a training by a recipe."""
        return 1 if self.recipe else len(self.step_sizes) // self.batches

    @property
    def protocol(self) -> str:
        """How the set is applied: "A", by its own gradient steps, or "B", from scratch by its recipe ("B, augmented")."""
        return self.recipe.protocol if self.recipe else "A"

    @property
    def floats(self) -> int:
        """How many numbers the images take as they are stored, with learned labels; step sizes and a momentum aside."""
        return floats(self.numbers()) + (self.labels.numel() if self.labels.is_floating_point() else 0)

    def gradient_steps(self, passes: int | None = None) -> Iterator[tuple]:
        """(images, labels, step size) of each step of a training, in order; by default of all passes.

        Raises ValueError for passes that the set does not have.
        """
        passes = self.passes if passes is None else whole("passes", passes, 0, self.passes)
        if self.recipe:
            raise ValueError("This set is applied by its recipe: use train(network), or examples() for its images and labels.")
        steps = self.batches * passes
        for t, step_size in enumerate(self.step_sizes[:steps]):
            yield self.images[t % self.batches], self.labels[t % self.batches], step_size

    def steps(self, passes: int | None = None) -> int:
        """How many gradient steps a training takes, in so many passes, by default all."""
        passes = self.passes if passes is None else passes
        return passes * (self.recipe.steps(len(self)) if self.recipe else self.batches)

    def numbers(self) -> dict[str, torch.Tensor]:
        """What the images are stored as, by name: `images` themselves, unless a storage keeps them otherwise."""
        return {"images": self.images} if self.stored is None else self.stored

    def tensors(self) -> dict[str, torch.Tensor]:
        """All its numbers by name: those of the images, `labels` and, where there are any, `step_sizes` and `momentum`."""
        others = {name: getattr(self, name) for name in ("labels", "step_sizes", "momentum")}
        return {**self.numbers(), **{name: tensor for name, tensor in others.items() if tensor is not None}}

    def with_tensors(self, tensors: dict[str, torch.Tensor]) -> "DistilledSet":
        """The same set with other numbers, by the names that `tensors` gives them."""
        stored = {name: tensors[name] for name in self.numbers()}
        others = {name: tensor for name, tensor in tensors.items() if name not in stored}
        if self.stored is None:
            return replace(self, **stored, **others)
        return replace(self, images=None, stored=stored, **others)

    def to(self, device: str | torch.device) -> "DistilledSet":
        """The same set on another device. Raises ValueError if there is no such device."""
        check_device(device)
        with gradients_on():  # what was made under torch.inference_mode() could not be trained on: a copy can
            moved = {name: tensor.clone() if tensor.is_inference() else tensor for name, tensor in self.tensors().items()}
            return self.with_tensors({name: tensor.to(device) for name, tensor in moved.items()})

    def __len__(self):
        return self.labels.shape[0] * self.labels.shape[1]

    def __getitem__(self, index):
        """Image (C, H, W) and label of one example, as a torch `Dataset` gives them: for protocol B, where order and step sizes
        play no part.
        """
        images, labels = self.examples()
        return images[index], labels[index]

    def __eq__(self, other):
        """Whether two sets are the same, number for number."""
        if not isinstance(other, DistilledSet):
            return NotImplemented
        mine, theirs = self._parts(), other._parts()
        return (mine[0] == theirs[0] and len(mine[1]) == len(theirs[1])
                and all(torch.equal(one.cpu(), two.cpu()) for one, two in zip(mine[1], theirs[1])))

    def __hash__(self):
        return hash((self.data, self.classes, tuple(self.images.shape)))

    def _parts(self):
        """All that is no tensor, and all that is."""
        tensors = {**self.tensors(), **{f"initial {k}": weight for k, weight in enumerate(self.initial or ())},
                   **{f"buffer {name}": buffer for name, buffer in (self.buffers or {}).items()}}
        return ((self.data, self.classes, self.mean, self.std, self.goal, self.start, self.recipe, self.tied,
                 self.storage.describe(), sorted(tensors)), [tensors[name] for name in sorted(tensors)])

    def __repr__(self):
        batches, n = self.labels.shape[:2]
        total = f"{batches} batches of {n} images" if batches > 1 else f"{n} images"
        each = f"{len(self) / len(self.classes):g} for each of {len(self.classes)} classes"
        how = f"recipe of {self.recipe.epochs} epochs" if self.recipe else f"{len(self.step_sizes)} gradient steps"
        kept = "" if self.stored is None else f", {self.storage}, {self.floats:,} floats"
        made = f", {self.goal}, {self.start['kind']} start" if self.goal and self.start else ""
        return f"DistilledSet({self.data!r}: {total} {tuple(self.images.shape[2:])}, {each}, {how}{kept}{made})"

    def _repr_png_(self):
        return plain.png(plain.picture(self.images.flatten(0, 1)[:100], self.mean, self.std, min(20, self.labels.shape[1])))

    def examples(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Images (batches * n, C, H, W) and labels without order and step sizes, as protocol B wants them."""
        return self.images.flatten(0, 1), self.labels.flatten(0, 1)

    def with_step_sizes(self, step_sizes: float | Sequence[float] | torch.Tensor) -> "DistilledSet":
        """The same set with other step sizes: a number for all steps, or one for each (batches x passes)."""
        try:
            step_sizes = torch.as_tensor(step_sizes, dtype=self.step_sizes.dtype, device=self.step_sizes.device)
        except (TypeError, ValueError, RuntimeError) as cause:
            raise ValueError(f"step_sizes={shown(step_sizes)}: a number, or one for each gradient step, is needed.") from cause
        return replace(self, step_sizes=step_sizes.expand_as(self.step_sizes) if step_sizes.dim() == 0 else step_sizes)

    def train(self, network: nn.Module, passes: int | None = None, own_weights: bool = False) -> nn.Module:
        """Train a network on the set: the call that the whole package is about.

        Args:
            network: any `nn.Module` that takes such images, gives a logit for each class, and is a fixed function of its
                weights and of each image (see `unrollable.check`; by a recipe it may have BatchNorm and dropout); left as it
                was. Frozen weights (`requires_grad=False`) stay.
            passes: stop after so many passes; by default after all. By a recipe: 0 for no training, else 1.
            own_weights: begin at the network's own weights even if the set was learned for others (with a warning).

        Returns a trained copy, to be fed with images normalised like the set's own (see `normalise`).
        A set for a fixed start begins at the weights it was learned for: those it carries, else the network's own.

        Raises ValueError if the network is no such function or takes no such images, or if the set was learned for one fixed
        network and this one has other layers, other frozen weights or, where the set carries none, other weights or buffers, or
        for passes that the set does not have.
        """
        with gradients_on():
            if not self.recipe and (kind := chain.looks(check(network))) not in self._kinds:
                check(network, self.images.flatten(0, 1)[:4].to(next(network.parameters()).device), len(self.classes))
                self._kinds.append(kind)
            trained = begin(self, copied(network), own_weights)
            here = self.to(next(trained.parameters()).device)
            if self.recipe and passes in (None, 1):
                return self.recipe.train(trained, *here.examples())
            if self.recipe and passes == 0:
                return trained
            weights = unroll.train(unroll.loss_of(trained), unroll.weights_of(trained), here.gradient_steps(passes),
                                   here.momentum, create_graph=False)
            return unroll.put_weights(trained, weights)

    @cached_property
    def _kinds(self):
        return []  # of networks that were checked: many of one kind are trained on a set, and one tells for all

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Grey levels in 0..1, (N, C, H, W), normalised as a network trained on this set needs them."""
        return normalise(images, self.mean, self.std)

    def check_split(self, split: Split) -> None:
        """Refuse images that a network trained on the set would misread: normalised otherwise, or of other classes.

        Raises ValueError with both normalisations, or with the classes.
        """
        check_split(self, split)

    def save(self, path: str | Path, initial: Iterable[torch.Tensor] | None = None) -> None:
        """Write the set as one safetensors file, atomically.

        Args:
            path: usually ending in .safetensors.
            initial: the weights of a fixed start to store with it; by default those that the set carries, if any. Without
                them (a warning says so) it can only be used where the network is known.

        Raises ValueError for weights that are not those which the set was learned for, OSError if it cannot be written.
        """
        saved.write(self, path, initial)

    @classmethod
    def load(cls, path: str | Path) -> "DistilledSet":
        """Read a set that `save` wrote; nothing else is needed to apply it.

        Raises FileNotFoundError if there is no such file; ValueError if it is truncated, was changed, is none of ddlite's,
        or comes from a newer ddlite.
        """
        return cls(**saved.read(path))

    @classmethod
    def shipped(cls, name: str) -> "DistilledSet":
        """Open a set that comes with the package: `ddlite.shipped()` and `ddlite.shipped("gallery")` list the names."""
        if name not in (known := [*results.shipped(), *results.shipped("gallery")]):
            raise ValueError(f"No set {name!r} comes with ddlite. These do: {', '.join(known)}.")
        with resources.as_file(results.ASSETS / f"{name}.safetensors") as path:
            return cls.load(path)
