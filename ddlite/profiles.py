"""Quick, laptop and full settings of each notebook, in one place for notebooks, tests and the command line."""

from dataclasses import dataclass, replace

from ddlite import networks, starts
from ddlite.distilled import DistilledSet


@dataclass(frozen=True)
class Settings:
    """What a notebook's main experiment is made of; the names are those of `load`, `DistilledSet.noise` and `distill`."""

    start: str
    data: str
    network: type
    outer_steps: int
    batches: int = 1
    passes: int = 3
    images_per_class: float = 1
    step_size: float = 0.2
    learn_labels: bool = False
    momentum: float = 0.0
    networks: int = 1
    learning_rate: float = 0.05
    batch_size: int = 256
    validate_every: int = 100

    def noise(self, data, seed):
        """The distilled set to begin with."""
        names = ("images_per_class", "batches", "passes", "step_size", "learn_labels", "momentum")
        return DistilledSet.noise(data, **{name: getattr(self, name) for name in names}, seed=seed)

    def starts(self, data, seed):
        """Where training starts: the one network that the seed draws ("fixed"), or fresh networks ("random")."""
        if self.start == "random":
            return starts.RandomStart(self.network, data, seed=seed)
        return starts.FixedStart(networks.initialise(self.network(data.shape, len(data.classes)), seed))

    def outer(self):
        """The settings of the outer loop, as keywords for `distill`."""
        return {name: getattr(self, name) for name in ("outer_steps", "networks", "learning_rate", "batch_size",
                                                       "validate_every")}


PROFILES = {
    "fixed": {
        "quick": Settings("fixed", "digits", networks.SmallLeNet, outer_steps=700, learning_rate=0.1, batch_size=128,
                          validate_every=25),
        "laptop": Settings("fixed", "mnist", networks.LeNet, outer_steps=4000),
        "full": Settings("fixed", "mnist", networks.LeNet, outer_steps=20_000),
        "full-cifar10": Settings("fixed", "cifar10", networks.AlexCifarNet, outer_steps=20_000, batches=10, step_size=0.02),
    },
    "random": {
        "quick": Settings("random", "digits", networks.MLP, outer_steps=400, batches=10, passes=1, step_size=0.1,
                          learning_rate=0.1, batch_size=128, validate_every=50),
        "laptop": Settings("random", "mnist", networks.LeNet, outer_steps=600, batches=10, step_size=0.1),
        "full": Settings("random", "mnist", networks.LeNet, outer_steps=20_000, batches=10, step_size=0.1, networks=4),
        "full-cifar10": Settings("random", "cifar10", networks.AlexCifarNet, outer_steps=20_000, batches=10, step_size=0.02,
                                 networks=4),
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


def of(start, profile, **changes):
    """The settings for a start, "fixed" (notebook 01) or "random" (notebook 02), in a profile; see `fixed`."""
    if start not in PROFILES:
        raise ValueError(f"There is no start {start!r}. Known: {', '.join(PROFILES)}.")
    if profile not in PROFILES[start]:
        raise ValueError(f"There is no profile {profile!r}. Known: {', '.join(PROFILES[start])}.")
    settings = PROFILES[start][profile]
    unknown = set(changes) - set(vars(settings))
    if unknown:
        raise ValueError(f"There is no setting {', '.join(sorted(unknown))}. Known: {', '.join(vars(settings))}.")
    return replace(settings, **{name: value for name, value in changes.items() if value is not None})
