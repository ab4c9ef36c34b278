"""Quick, laptop and full settings of each notebook, in one place for notebooks, tests and the command line."""

from dataclasses import dataclass, replace

from ddlite import networks
from ddlite.distilled import DistilledSet


@dataclass(frozen=True)
class Settings:
    """What a notebook's main experiment is made of; the names are those of `load`, `DistilledSet.noise` and `distill`."""

    data: str
    network: type
    outer_steps: int
    batches: int = 1
    passes: int = 3
    images_per_class: int = 1
    step_size: float = 0.2
    learn_labels: bool = False
    learning_rate: float = 0.05
    batch_size: int = 256
    validate_every: int = 100

    def noise(self, data, seed):
        """The distilled set to begin with."""
        return DistilledSet.noise(data, self.images_per_class, self.batches, self.passes, self.step_size,
                                  self.learn_labels, seed)

    def outer(self):
        """The settings of the outer loop, as keywords for `distill`."""
        return {name: getattr(self, name) for name in ("outer_steps", "learning_rate", "batch_size", "validate_every")}


FIXED = {
    "quick": Settings("digits", networks.SmallLeNet, outer_steps=700, learning_rate=0.1, batch_size=128,
                      validate_every=25),
    "laptop": Settings("mnist", networks.LeNet, outer_steps=4000),
    "full": Settings("mnist", networks.LeNet, outer_steps=20_000),
    "full-cifar10": Settings("cifar10", networks.AlexCifarNet, outer_steps=20_000, batches=10, step_size=0.02),
}


def fixed(profile, **changes):
    """The settings of notebook 01 in a profile: "quick", "laptop", "full" or "full-cifar10".

    Changes replace single settings, e.g. `fixed("laptop", passes=10)`; None leaves a setting as it is.
    Raises ValueError for an unknown profile or setting, with the known ones.

    >>> fixed("quick").data
    'digits'
    """
    if profile not in FIXED:
        raise ValueError(f"There is no profile {profile!r}. Known: {', '.join(FIXED)}.")
    settings = FIXED[profile]
    unknown = set(changes) - set(vars(settings))
    if unknown:
        raise ValueError(f"There is no setting {', '.join(sorted(unknown))}. Known: {', '.join(vars(settings))}.")
    return replace(settings, **{name: value for name, value in changes.items() if value is not None})
