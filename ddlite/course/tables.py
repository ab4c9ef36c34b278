"""Networks whose accuracies stand in a table: one can tell by which of them a choice was made, and it takes no time.

Such a network has one weight. Training moves it, by another amount for each choice of step sizes; what it then classifies
correctly is looked up. Images carry marks that say which they are. To everybody else they are networks and data like others.
"""

import itertools
import math
from dataclasses import dataclass, field

import torch
from torch import nn

import ddlite as dd

ROLES = ("training", "validation", "held-out")
SPLITS = ("train", "validation", "test")
CLASSES, SIDE, IMAGES = 10, 8, 200  # IMAGES of each split: accuracies are multiples of half a percent


class Tabled(nn.Module):
    """A network that classifies `accuracies[choice][split]` percent correctly, where its weight is `places[choice]`.

    `note(choice, split)` is called whenever it is looked up.
    """

    def __init__(self, places, accuracies, loud, note=lambda choice, split: None):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.places, self.accuracies, self.loud, self.note = places, accuracies, loud, note

    def forward(self, images):
        """Logits (N, 10). Wherever a mark says that an image is of a set to train on, they lead to a gradient."""
        split, label, rank = (images[:, 0, 0, k].detach().round().long() for k in range(3))
        one_hot = nn.functional.one_hot(label.clamp(0, CLASSES - 1), CLASSES).float()
        choice = min(self.places, key=lambda one: abs(self.places[one] - self.weight.item()))
        known = abs(self.places[choice] - self.weight.item()) < 2e-4  # else it was trained as nobody should
        for mark in {*split.tolist()}.intersection((1, 2, 3)) if known else ():
            self.note(choice, SPLITS[mark - 1])
        percent = torch.tensor([0.0, *(self.accuracies[choice][name] if known else 1.0 for name in SPLITS)])
        wrong = (rank + 0.5) * 100 / IMAGES > percent[split.clamp(0, 3)]
        looked_up = (self.loud if choice == self.accuracies["loud"] else 1.0) * one_hot.roll(1, dims=1).where(
            wrong[:, None], one_hot)
        return torch.where((split == 0)[:, None], self.weight * one_hot, looked_up + 0 * self.weight)


@dataclass
class Start:
    """Draws networks like `RandomStart` and `PoolStart`: `table[role][k][choice][split]` are their percentages.

    `looked` fills with what is looked up: (role, k, choice, split).
    """

    table: dict
    places: dict
    best: object
    size: int = 6
    looked: set = field(default_factory=set)

    def networks(self, role="held-out", number=1, first=0):
        return [self.network(role, k) for k in range(first, first + number)]

    def network(self, role, index):
        accuracies = self.table[role][index % len(self.table[role])]
        return Tabled(self.places, {**accuracies, "loud": self.best}, loud=40.0,
                      note=lambda choice, split: self.looked.add((role, index, choice, split)))

    def untried(self, choices, number):
        """The first choice that not all of `number` validation networks were asked about, on validation images, or None."""
        asked = {choice: {("validation", k, choice, "validation") for k in range(number)} for choice in choices}
        return next((choice for choice in asked if not asked[choice] <= self.looked), None)


def data():
    """Images that carry marks: 0 in a set to train on, else 1 to 3 for the split; the label; the rank, from easy to hard."""
    splits = {}
    for mark, name in enumerate(SPLITS, start=1):
        images, ranks = torch.zeros(IMAGES, 1, SIDE, SIDE), torch.arange(IMAGES)
        labels = ranks % CLASSES
        images[:, 0, 0, 0], images[:, 0, 0, 1], images[:, 0, 0, 2] = mark, labels, ranks
        splits[name] = dd.Split(name, images, labels, (0.0,), (1.0,))
    return dd.Data("table", **splits, classes=tuple(map(str, range(CLASSES))), mean=(0.0,), std=(1.0,), fingerprint="")


def training_set(batches, passes, step_size, generator):
    """Ten images in each batch, with marks; labels in another order each time."""
    labels = torch.stack([torch.randperm(CLASSES, generator=generator) for _ in range(batches)])
    images = torch.zeros(batches, CLASSES, 1, SIDE, SIDE)
    images[:, :, 0, 0, 1] = labels
    images[:, :, 0, 1:] = torch.randn(batches, CLASSES, SIDE - 1, SIDE, generator=generator)
    return dd.DistilledSet(images, labels, torch.full((batches * passes,), step_size), "table", tuple(map(str, range(CLASSES))),
                           (0.0,), (1.0,))


def places_of(sets):
    """Where training on each of these sets, {choice: DistilledSet}, moves the weight; None if two meet: draw others."""
    places = {"untrained": 0.0}
    for choice, dset in sets.items():
        places[choice] = dset.train(Tabled({None: 0.0}, {None: dict.fromkeys(SPLITS, 0.0), "loud": 0}, 1.0)).weight.item()
    values = sorted(places.values())
    return places if min(b - a for a, b in itertools.pairwise(values)) > 1e-3 else None


def drawn(choices, others, chance, networks=6):
    """Percentages for `table` of `Start`; `others` are drawn alike, but nobody chooses among them. `chance`: random.Random."""
    return {role: [{choice: {split: chance.randrange(50, 180) / 2 for split in SPLITS} for choice in (*choices, *others)}
                   for _ in range(networks)] for role in ROLES}


# Three networks and four choices: the first has the highest mean; the others are the best of the worst, of the first two, of
# the last two, of one network, the median, the least spread and the geometric mean. The fourth and fifth turn it round. The
# second is so near to the first that whoever rounds may take it.
TEMPTING = ((52, 92, 75, 30, 30), (72.5, 72.5, 73, 80, 80), (80, 79, 40, 70, 70), (30, 94, 89, 60, 60), (55, 50, 52, 90, 90))


def rigged(choices, others, number, reported, chance, best=None, more=lambda table: ()):
    """A table in which no wrong rule leads to the best choice: (choices in some order, table, best, wrong choices by words).

    Args:
        choices: five or more. `others`, `chance`: as for `drawn`.
        number, reported: as for `rules`; `number` is 3.
        best: which is to be best; by default any, and the choices come in any order.
        more: `more(table)` gives more wrong rules: (words, choice) each.
    """
    for _ in range(10_000):
        choices = choices if best else chance.sample(choices, len(choices))
        table, columns, order = drawn(choices, others, chance), chance.sample(range(3), 3), chance.sample(choices, len(choices))
        order.sort(key=lambda choice: choice != best)
        shifts = [[chance.choice((-0.5, 0, 0.5)) for _ in range(5)] for _ in TEMPTING[1:]]
        for choice, row, shift in zip(order, TEMPTING, [shifts[0], *shifts]):  # the same for the first two
            for network, percent, more_or_less in zip(table["validation"], [*(row[k] for k in columns), *row[3:]], shift):
                network[choice]["validation"] = percent + more_or_less
        for choice in order[len(TEMPTING):]:
            for network in table["validation"][:3]:
                network[choice]["validation"] = chance.randrange(50, 120) / 2
        wrong = {**rules(table, choices, number, reported), **dict(more(table))}
        if order[0] not in wrong.values():
            return choices, table, order[0], wrong
    raise RuntimeError("No table was found in which every wrong rule leads elsewhere: a fault of the check, not yours.")


def mean(table, choice, role, split, number):
    """The mean percentage of the role's first networks."""
    return sum(network[choice][split] for network in table[role][:number]) / number


def until_it_falls(order, score):
    """What is chosen by whoever stops trying at the first fall."""
    best = order[0]
    for one in order[1:]:
        if score(one) < score(best):
            break
        best = one
    return best


def rules(table, choices, number, reported):
    """What choosing wrongly leads to: {words: choice}. Correct is the highest mean over `number` validation networks.

    Args:
        table: as for `Start`.
        choices: all of them, in the order in which they are tried.
        number, reported: how many networks one chooses by, and reports.
    """
    def each(choice, role="validation", split="validation", number=number):
        return [network[choice][split] for network in table[role][:number]]

    def highest(*given):
        return max(choices, key=lambda choice: sum(each(choice, *given)))

    def together(*groups):
        return max(choices, key=lambda choice: sum(sum(each(choice, *given)) / number for given in groups))

    def first_fall(order):
        return until_it_falls(order, lambda one: sum(each(one)))

    def duel(order):
        best = order[0]
        for one in order[1:]:
            if sum(a > b for a, b in zip(each(one), each(best))) > number / 2:
                best = one
        return best

    middle = sorted(choices)
    best = [max(choices, key=lambda one: network[one]["validation"]) for network in table["validation"][:number]]
    return {
        "You choose what most networks find best: take the mean over all.": max(choices, key=best.count),
        "You look at the test images to choose.": highest("validation", "test"),
        "You look at the test images and the held-out networks to choose.": highest("held-out", "test"),
        "You look at the test images and the held-out networks to choose, as many as are reported.":
            highest("held-out", "test", reported),
        "You look at the training images to choose.": highest("validation", "train"),
        "You look at the held-out networks to choose.": highest("held-out", "validation"),
        "You look at the held-out networks to choose, as many as are reported.": highest("held-out", "validation", reported),
        "You look at the training networks to choose.": highest("training", "validation"),
        "You look at the training networks and images to choose.": highest("training", "train"),
        "You choose by validation and test images together.":
            together(("validation", "validation"), ("validation", "test")),
        "You choose by validation and training images together.":
            together(("validation", "validation"), ("validation", "train")),
        "You choose by validation and held-out networks together.":
            together(("validation", "validation"), ("held-out", "validation")),
        "You choose by validation and training networks together.":
            together(("validation", "validation"), ("training", "validation")),
        "You choose by the geometric mean: take the mean.": max(choices, key=lambda one: math.prod(each(one))),
        "You look at more validation networks than are asked for.": highest("validation", "validation", number + 2),
        "You choose by the first network alone: take the mean over all.": highest("validation", "validation", 1),
        "You choose by the first two networks: take the mean over all.": highest("validation", "validation", 2),
        "You choose by the last network alone: take the mean over all.": max(choices, key=lambda one: each(one)[-1]),
        "You choose what the best single network did best: take the mean over all.": max(choices, key=lambda o: max(each(o))),
        "You choose by the worst network: take the mean over all.": max(choices, key=lambda one: min(each(one))),
        "You choose by the median network: take the mean over all.":
            max(choices, key=lambda one: sorted(each(one))[number // 2]),
        "You choose what differs least from network to network.": min(choices, key=lambda one: max(each(one)) - min(each(one))),
        "You choose the lowest mean: the highest is best.": min(choices, key=lambda one: sum(each(one))),
        "You stop at the first fall: try all.": first_fall(list(choices)),
        "You stop at the first fall, from the smallest on: try all.": first_fall(middle),
        "You stop at the first fall, from the largest on: try all.": first_fall(middle[::-1]),
        "You compare pair by pair, by how many networks are better: compare means.": duel(list(choices)),
        "You compare pair by pair, from the smallest on: compare means.": duel(middle),
        "You take the first: try all.": choices[0],
        "You take the last: try all.": choices[-1],
        "You take the largest: try all.": middle[-1],
        "You take the smallest: try all.": middle[0],
        "You take the one in the middle: try all.": middle[len(middle) // 2],
    }
