"""Networks x goal x data: how good a distilled set is."""

import statistics
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from typing import Any

import torch
from torch import nn

from ddlite.data import Split
from ddlite.distilled import DistilledSet
from ddlite.goals import predict
from ddlite.machinery import ranks
from ddlite.machinery.arguments import several, whole
from ddlite.machinery.progress import slowly
from ddlite.valid import need_set

LONG = 600  # seconds, from which on evaluate says beforehand how long it will take


@dataclass(frozen=True, repr=False)
class Report:
    """The scores of one distilled set.

    Attributes:
        after: after which passes was scored; 0 is before any training.
        scores: for each network, its score in percent after each of these.
        per_class: accuracy on each class after the last pass, in percent, mean over the networks.
        data, split: which images were classified, how many in `images`.
        gradient_steps: how many one training takes, up to the last score.
        unit: what the scores are of, "network" unless said otherwise.
        draws: how many sets of images the networks were shared out among: the first networks to the first set, and so on.
        measures: of an attack, what else was measured: {words: for each network, percents as in `scores`}.
        protocol: "A", the set's own gradient steps; "B", networks trained from scratch by the set's recipe, "B, augmented"
            where that moves the images; None for what stands beside sets of all kinds, such as training on all data.
        floats: how many numbers the images take, see `DistilledSet.floats`.
        diverged: how many networks gave NaN or infinite logits in the end, which count as no answer.
        things: what was classified, "images" unless said otherwise.
    """

    after: tuple
    scores: list
    per_class: dict | None
    data: str
    split: str
    images: int
    gradient_steps: int
    unit: str = "network"
    measures: dict | None = None
    draws: int = 1
    protocol: str | None = "A"
    floats: int | None = None
    diverged: int = 0
    things: str = "images"

    @property
    def before(self) -> float | None:
        """Mean score of the untrained networks, in percent; None where that was not looked at."""
        return statistics.mean(scores[0] for scores in self.scores) if self.after[0] == 0 else None

    @property
    def final(self) -> list[float]:
        """Every network's score after training, in percent: a list."""
        return [scores[-1] for scores in self.scores]

    @property
    def mean(self) -> float:
        """Mean score after training, in percent."""
        return statistics.mean(self.final)

    @property
    def std(self) -> float | None:
        """Standard deviation over the networks (with n - 1), in points; None for a single network."""
        return statistics.stdev(self.final) if len(self.scores) > 1 else None

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % confidence interval of the mean over all such networks (Student's t): (low, high); None for a single one.

        With several draws, whose networks have their images in common, it is that of the mean over all such draws.
        """
        each = -(-len(self.final) // self.draws) if self.draws > 1 else 1
        means = [statistics.mean(self.final[k:k + each]) for k in range(0, len(self.final), each)]
        if len(means) < 2:
            return None
        from scipy.special import stdtrit  # the quantile of Student's t; a quarter of a second to import

        half = float(stdtrit(len(means) - 1, 0.975)) * statistics.stdev(means) / len(means)**0.5
        return statistics.mean(means) - half, statistics.mean(means) + half

    def to_dict(self) -> dict:
        """All of it, with mean, std, min, max and interval, as a JSON-able dict, for a manifest."""
        return {**asdict(self), "mean": self.mean, "std": self.std, "min": min(self.final),
                "max": max(self.final), "interval": self.interval}

    def __str__(self):
        spread = "" if self.std is None else f" ± {self.std:.1f}"
        before = "" if self.before is None else f" ({self.before:.1f} % before)"
        steps = f" after {self._taken()}" if self.gradient_steps else ", nothing trained"
        steps += self._how()
        others = "".join(f"\n    {words}: {_line(first)} % before, {_line(last)} % after" if self.before is not None else
                         f"\n    {words}: {_line(last)} %" for words, first, last in self._ends())
        return (f"{self.mean:.1f}{spread} %{steps}{before}: {self._count()}, "
                f"{self.images} {self.split} {self.things} of {self.data}{others}")

    __repr__ = __str__  # what a terminal shows; a notebook shows the table

    def _repr_html_(self):
        kinds = {"": self.scores} if not self.measures else {f"{words}, ": lists for words, lists in self.measures.items()}
        rows = [(escape(words) + ("before any step" if passes == 0 else f"after pass {passes}"), [one[k] for one in lists])
                for words, lists in kinds.items() for k, passes in enumerate(self.after)]
        cells = "".join(f"<tr><td>{name}</td>" + "".join(f"<td>{number:.1f}</td>" for number in _summary(scores)) + "</tr>"
                        for name, scores in rows)
        head = "<th>mean</th>" if self.std is None else "<th>mean</th><th>std</th><th>min</th><th>max</th>"
        mean = "mean score" if self.measures else "mean"
        sure = "" if self.std is None else "; {} of all such networks: {:.1f} to {:.1f} (95 %)".format(mean, *self.interval)
        classes = ", ".join(f"{escape(name)}: {share:.0f}" for name, share in (self.per_class or {}).items())
        sure += f". Accuracy on each class, %: {classes}" if classes else ""
        what = "%" if self.measures else "accuracy, %"
        return (f"<table><thead><tr><th>{what}</th>{head}</tr></thead><tbody>{cells}</tbody></table>"
                f"<p>{self._taken()}{self._how()}; {self._count()}, {self.images} {escape(self.split)} "
                f"{escape(self.things)} of {escape(self.data)}{sure}.</p>")

    def _ends(self):
        """(words, every network's first value, every network's last value) of each measure."""
        return [(words, [one[0] for one in lists], [one[-1] for one in lists])
                for words, lists in (self.measures or {}).items()]

    def _taken(self):
        return f"{self.gradient_steps} gradient step{'' if self.gradient_steps == 1 else 's'}"

    def _how(self):
        return f" from scratch (protocol {self.protocol})" if (self.protocol or "").startswith("B") else ""

    def _count(self):
        diverged = f" ({self.diverged} diverged)" if self.diverged else ""
        return f"{len(self.scores)} {self.unit}{'s' if len(self.scores) > 1 else ''}{diverged}"


def evaluate(dset: DistilledSet, networks: Sequence[nn.Module], goal: Any, split: Split,
             after: Iterable[int] | None = None) -> Report:
    """Train each network on the distilled set, from its own weights, and score it before and after each pass.

    Args:
        dset: a `DistilledSet`.
        networks: a sequence of `nn.Module`, e.g. `start.networks("held-out", 200)`.
        goal: what to score by, e.g. `Fit(data)`.
        split: the images to score on, e.g. `data.test`; normalised as the set's own.
        after: the passes after which to score, e.g. `[3]`; by default 0 (before any step) and each. Scoring takes most of
            the time. A set with a recipe (protocol B) has one pass, the whole training.

    Returns a `Report`. What takes longer than two seconds shows a progress bar; what will take longer than ten minutes
    says so beforehand, in a warning.
    Raises ValueError for another normalisation, for passes that the set does not have, or if there is no network.
    """
    need_set(dset)
    if not hasattr(goal, "rate"):
        raise ValueError(f"A {type(goal).__name__} was given as goal: what to score by is needed, e.g. ddlite.Fit(data).")
    if not hasattr(networks, "__len__") or isinstance(networks, torch.nn.Module):
        raise ValueError(f"A {type(networks).__name__} was given as networks: a list is needed, e.g. [network], or "
                         "start.networks('held-out', 200).")
    dset.check_split(split)
    after = tuple(range(dset.passes + 1)) if after is None else tuple(sorted(set(several("after", after, whole))))
    if not after or not 0 <= after[0] <= after[-1] <= dset.passes:
        raise ValueError(f"after={list(after)}: the set has {dset.passes} passes, so that 0..{dset.passes} can be scored.")
    device, classes = split.images.device, len(dset.classes)
    scores, measured, right, diverged, began = [], [], torch.zeros(classes), torch.zeros(1), time.monotonic()
    rank, processes = ranks.here()
    for network in slowly(ranks.share(networks), "networks", shown=rank == 0):
        network = network.to(device)
        predicted = [predict(dset.train(network, passes, own_weights=True), split) for passes in after]
        scores.append([goal.rate(one, split.labels) for one in predicted])
        measured.append([goal.measures(one, split.labels) for one in predicted])
        right += torch.bincount(split.labels[predicted[-1] == split.labels], minlength=classes).cpu()
        diverged += int((predicted[-1] < 0).any())
        seconds = (time.monotonic() - began) * len(networks) / processes
        if len(scores) == 1 and seconds > LONG:
            warnings.warn(f"{len(networks)} networks will take about {seconds / 60:.0f} minutes. Interrupt to stop; "
                          "fewer networks tell nearly as much.", stacklevel=2)
    scores, measured, right, diverged = (ranks.gathered(scores), ranks.gathered(measured), ranks.total(right),
                                         int(ranks.total(diverged)))
    if not scores:
        raise ValueError("There is no network to evaluate.")
    if diverged:
        warnings.warn(f"{diverged} of {len(scores)} networks diverged in training on the set: NaN or infinite logits count as "
                      "no answer. Smaller step sizes, or fewer passes, help.", stacklevel=2)
    share = 100 * right / (torch.bincount(split.labels, minlength=classes).cpu() * len(scores))
    return Report(after, scores, dict(zip(dset.classes, share.tolist())), goal.data.name, split.name, len(split),
                  dset.steps(after[-1]), protocol=dset.protocol, floats=dset.floats, diverged=diverged,
                  measures={words: [[one[words] for one in each] for each in measured] for words in measured[0][0]} or None)


def _summary(scores):
    one = len(scores) == 1
    return scores if one else (statistics.mean(scores), statistics.stdev(scores), min(scores), max(scores))


def _line(scores):
    return f"{statistics.mean(scores):.1f}" + (f" ± {statistics.stdev(scores):.1f}" if len(scores) > 1 else "")


# `import ddlite.evaluate as it` gives the function, which has the file's name in `ddlite`; so it has what is public here, too.
evaluate.Report = Report
