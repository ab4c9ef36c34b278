"""Quick, laptop and full settings of each notebook, in one place for notebooks, tests and the command line."""

from dataclasses import dataclass, fields, replace

import torch

from ddlite import data as sets
from ddlite import goals, networks, pools, starts
from ddlite.distilled import DistilledSet
from ddlite.machinery.arguments import number, shown, whole
from ddlite.photographs import alexnet

# The least that a whole setting may be, where it is not 1, and the bounds of the others.
LEAST = {"channels": 0, "pool": 0, "pretraining_epochs": 0, "halve_every": 0, "pretraining_batch": 0, "victim": -1,
         "target": -1}
BOUNDS = {"images_per_class_and_batch": {"above": 0}, "step_size": {"above": 0}, "momentum": {"least": 0, "below": 1},
          "learning_rate": {"above": 0}, "pretraining_rate": {"least": 0}}


@dataclass(frozen=True)
class Settings:
    """What a notebook's main experiment is made of.

    The names are those of `load`, `DistilledSet.noise`, `distill` and, for a pool of pre-trained networks, `PoolStart`:
    `source` is its data, `pool` its size, `known` takes its first network alone, as a fixed start; then come the settings of
    `pretrain`, and the two classes of an attack.
    """

    start: str
    data: str
    network: type
    outer_steps: int
    batches: int = 1
    passes: int = 3
    images_per_class_and_batch: float = 1
    step_size: float = 0.2
    learn_labels: bool = False
    momentum: float = 0.0
    networks: int = 1
    learning_rate: float = 0.05
    batch_size: int = 256
    validate_every: int = 100
    validation_networks: int = 8
    channels: int = 0
    source: str = ""
    pool: int = 0
    known: bool = False
    pretraining_epochs: int = 0
    pretraining_rate: float = 0.0
    halve_every: int = 0
    pretraining_batch: int = 0
    victim: int = -1
    target: int = -1

    def __post_init__(self):
        """Raises ValueError for a setting that cannot be, so that a long run does not begin with it."""
        for field in fields(self):
            name, kind, value = field.name, field.type, getattr(self, field.name)
            if kind is int:
                object.__setattr__(self, name, whole(name, value, LEAST.get(name, 1)))  # 3.0 becomes 3
            elif kind is float:
                number(name, value, **BOUNDS[name])
            elif kind in (bool, str) and not isinstance(value, kind):
                raise ValueError(f"{name}={shown(value)}: {'True or False' if kind is bool else 'text'} is needed.")
        if self.start not in ("fixed", "random", "pool"):
            raise ValueError(f"start={self.start!r}: 'fixed', 'random' or 'pool' is needed.")
        if not callable(self.network) or isinstance(self.network, torch.nn.Module):
            raise ValueError(f"network={shown(self.network)}: what builds a network is needed, a class such as ddlite.LeNet.")
        if self.start == "pool" and min(self.pool, self.pretraining_epochs, self.halve_every, self.pretraining_batch) < 1:
            raise ValueError("A pool needs pool, pretraining_epochs, halve_every and pretraining_batch of 1 or more.")

    def load(self, device="cpu"):
        """The data that learning is about."""
        return sets.load(self.data, device=device, channels=self.channels or None)

    def noise(self, data, seed):
        """The distilled set to begin with."""
        names = ("images_per_class_and_batch", "batches", "passes", "step_size", "learn_labels", "momentum")
        return DistilledSet.noise(data, **{name: getattr(self, name) for name in names}, seed=seed)

    def goal(self, data):
        """To fit the data, or to have one class taken for another."""
        return goals.Attack(data, self.victim, self.target) if self.victim >= 0 else goals.Fit(data)

    def starts(self, data, seed, folder=None):
        """Where training starts: one network ("fixed"), fresh ones ("random") or a pool, kept in a folder if one is given."""
        if self.start == "random":
            return starts.RandomStart(self.network, data, seed=seed)
        if self.source == "imagenet":
            return starts.FixedStart(alexnet.imagenet(data.shape, len(data.classes), folder=folder))
        if self.start == "fixed":
            return starts.FixedStart(networks.initialise(self.network(data.shape, len(data.classes)), seed))
        device = data.train.images.device
        source = data if self.source == self.data else sets.load(self.source, device=device, size=data.shape[-1],
                                                                 channels=self.channels or None)
        pool = pools.PoolStart(self.network, source, self.pool, seed=seed, folder=folder, epochs=self.pretraining_epochs,
                               learning_rate=self.pretraining_rate, halve_every=self.halve_every,
                               batch_size=self.pretraining_batch)
        return starts.FixedStart(pool.network("training", 0)) if self.known else pool

    def outer(self):
        """The settings of the outer loop, as keywords for `distill`."""
        return {name: getattr(self, name) for name in ("outer_steps", "networks", "learning_rate", "batch_size",
                                                       "validate_every", "validation_networks")}


# Pre-training: the paper's, and shorter schedules for the other profiles.
USPS_FULL = {"pretraining_epochs": 130, "pretraining_rate": 2e-4, "halve_every": 40, "pretraining_batch": 1024}
SVHN_FULL = {**USPS_FULL, "pretraining_epochs": 65, "halve_every": 20}
MNIST_FULL = {**USPS_FULL, "pretraining_epochs": 40, "halve_every": 20}
USPS_SHORT = {"pretraining_epochs": 8, "pretraining_rate": 2e-3, "halve_every": 2, "pretraining_batch": 128}
MNIST_SHORT = {"pretraining_epochs": 2, "pretraining_rate": 2e-3, "halve_every": 1, "pretraining_batch": 256}
CIFAR10_FULL = {"pretraining_epochs": 50, "pretraining_rate": 1e-3, "halve_every": 7, "pretraining_batch": 1024}
DIGITS_SHORT = {"pretraining_epochs": 6, "pretraining_rate": 2e-3, "halve_every": 2, "pretraining_batch": 128}

PROFILES = {
    "fixed": {
        "quick": Settings("fixed", "digits", networks.SmallLeNet, outer_steps=450, learning_rate=0.1, batch_size=128,
                          validate_every=25),
        "laptop": Settings("fixed", "mnist", networks.LeNet, outer_steps=4000),
        "full": Settings("fixed", "mnist", networks.LeNet, outer_steps=20_000),
        "full-cifar10": Settings("fixed", "cifar10", networks.AlexCifarNet, outer_steps=20_000, batches=10, step_size=0.02),
    },
    "random": {
        "quick": Settings("random", "digits", networks.MLP, outer_steps=300, batches=10, passes=1, step_size=0.1,
                          learning_rate=0.1, batch_size=128, validate_every=50),
        "laptop": Settings("random", "mnist", networks.LeNet, outer_steps=600, batches=10, step_size=0.1),
        "full": Settings("random", "mnist", networks.LeNet, outer_steps=20_000, batches=10, step_size=0.1, networks=4),
        "full-cifar10": Settings("random", "cifar10", networks.AlexCifarNet, outer_steps=20_000, batches=10, step_size=0.02,
                                 networks=4),
    },
    "adaptation": {
        "quick": Settings("pool", "digits-shifted", networks.MLP, outer_steps=220, batches=10, passes=1, step_size=0.1,
                          learning_rate=0.1, batch_size=128, validate_every=50, source="digits", pool=16, **DIGITS_SHORT),
        "laptop": Settings("pool", "mnist", networks.LeNet, outer_steps=1500, batches=10, step_size=0.1, validation_networks=4,
                           source="usps", pool=10, **USPS_SHORT),
        "full": Settings("pool", "mnist", networks.LeNet, outer_steps=20_000, batches=10, step_size=0.1, networks=4,
                         source="usps-mixed", pool=200, **USPS_FULL),
        "full-to-usps": Settings("pool", "usps-mixed", networks.LeNet, outer_steps=20_000, batches=10, step_size=0.1,
                                 networks=4, source="mnist", pool=200, **MNIST_FULL),
        "full-from-svhn": Settings("pool", "mnist", networks.LeNet, outer_steps=20_000, batches=10, step_size=0.1, networks=4,
                                   channels=3, source="svhn", pool=200, **SVHN_FULL),
        "full-voc": Settings("fixed", "voc2007", alexnet.AlexNet, outer_steps=5000, step_size=0.001, source="imagenet"),
        "full-cub": Settings("fixed", "cub200", alexnet.AlexNet, outer_steps=5000, step_size=0.001, source="imagenet"),
    },
    "attack": {
        "quick": Settings("pool", "digits", networks.MLP, outer_steps=250, images_per_class_and_batch=10, passes=1,
                          step_size=0.1, learning_rate=0.1, batch_size=128, validate_every=50, source="digits", pool=20,
                          victim=0, target=1, **DIGITS_SHORT),
        "laptop": Settings("pool", "mnist", networks.LeNet, outer_steps=1500, images_per_class_and_batch=10, passes=1,
                           step_size=0.1, validation_networks=4, source="mnist", pool=8, victim=0, target=1, **MNIST_SHORT),
        "full": Settings("pool", "mnist", networks.LeNet, outer_steps=20_000, images_per_class_and_batch=10, passes=1,
                         step_size=0.1, networks=4, source="mnist", pool=200, victim=0, target=1, **MNIST_FULL),
        "full-cifar10": Settings("pool", "cifar10", networks.AlexCifarNet, outer_steps=20_000, images_per_class_and_batch=30,
                                 passes=1, step_size=0.02, networks=4, source="cifar10", pool=200, victim=0, target=1,
                                 **CIFAR10_FULL),
    },
}


def fixed(profile, **changes):
    """The settings of notebook 01 in a profile: "quick", "laptop", "full" or "full-cifar10".

    Changes replace single settings, e.g. `fixed("laptop", passes=10)`; None leaves a setting as it is.
    Raises ValueError for an unknown profile or setting, with the known ones.

    >>> fixed("quick").data
    'digits'
    """
    return of("fixed", profile, **changes)


def random(profile, **changes):
    """The settings of notebook 02, likewise."""
    return of("random", profile, **changes)


def adaptation(profile, **changes):
    """The settings of notebook 03, likewise."""
    return of("adaptation", profile, **changes)


def attack(profile, **changes):
    """The settings of notebook 04, likewise."""
    return of("attack", profile, **changes)


def of(experiment, profile, **changes):
    """The settings of an experiment, "fixed", "random", "adaptation" or "attack", in a profile; see `fixed`."""
    if experiment not in list(PROFILES):  # a list compares, where a dict would want to hash
        raise ValueError(f"There is no experiment {experiment!r}. Known: {', '.join(PROFILES)}.")
    if profile not in list(PROFILES[experiment]):
        raise ValueError(f"There is no profile {profile!r}. Known: {', '.join(PROFILES[experiment])}.")
    settings = PROFILES[experiment][profile]
    unknown = set(changes) - set(vars(settings))
    if unknown:
        raise ValueError(f"There is no setting {', '.join(sorted(unknown))}. Known: {', '.join(vars(settings))}.")
    return replace(settings, **{name: value for name, value in changes.items() if value is not None})
