"""Networks x goal x data: how good a distilled set is."""

import statistics
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Report:
    """The scores of one distilled set.

    Attributes:
        scores: for each network, its score in percent before training and after each pass.
        data, split: which images were classified, how many in `images`.
        gradient_steps: how many one training takes.
    """

    scores: list
    data: str
    split: str
    images: int
    gradient_steps: int

    @property
    def before(self):
        """Mean score of the untrained networks, in percent."""
        return statistics.mean(scores[0] for scores in self.scores)

    @property
    def mean(self):
        """Mean score after training, in percent."""
        return statistics.mean(scores[-1] for scores in self.scores)

    @property
    def std(self):
        """Standard deviation over the networks (with n - 1), in points; None for a single network."""
        return statistics.stdev(scores[-1] for scores in self.scores) if len(self.scores) > 1 else None

    def to_dict(self):
        """All of it as a JSON-able dict, for a manifest."""
        return asdict(self)

    def __str__(self):
        spread = "" if self.std is None else f" ± {self.std:.1f}"
        networks = "1 network" if len(self.scores) == 1 else f"{len(self.scores)} networks"
        return (f"{self.mean:.1f}{spread} % after {self.gradient_steps} gradient steps ({self.before:.1f} % before): "
                f"{networks}, {self.images} {self.split} images of {self.data}")


def evaluate(dset, networks, goal, split):
    """Train each network on the distilled set, from its own weights, and score it before and after each pass.

    Args:
        dset: a `DistilledSet`.
        networks: an iterable of `nn.Module`, e.g. `start.networks("held-out")`.
        goal: what to score by, e.g. `Fit(data)`.
        split: the images to score on, e.g. `data.test`; normalised as the set's own.

    Returns a `Report`. Raises ValueError for another normalisation, or if there is no network.
    """
    dset.check_split(split)
    device = split.images.device
    scores = [[goal.score(dset.train(network.to(device), passes, own_weights=True), split)
               for passes in range(dset.passes + 1)] for network in networks]
    if not scores:
        raise ValueError("There is no network to evaluate.")
    return Report(scores, goal.data.name, split.name, len(split), len(dset.step_sizes))
