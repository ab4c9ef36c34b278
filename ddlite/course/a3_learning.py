"""The checks of assignment 3's harder tasks, one call a task: learn a hundred images, compare them fairly."""

import itertools
import random
from dataclasses import replace

import torch

import ddlite as dd
from ddlite.course import tables
from ddlite.course.a3 import Shifted
from ddlite.course.checks import alone, check, demand, equal, shuffled
from ddlite.course.witness import keys_of, neighbours, returned, watching


class Sealed:
    """In place of the test images: nobody may look at them."""

    def __getattr__(self, name):
        raise AssertionError("Learning looks at the test images: they are for the report alone; learn from data.train.")


def adapt(answer, pool, target, seed=0):
    """Task 4: `adapt(pool, data, dset, outer_steps)` learns a set. Returns it, and the report of held-out networks on it."""
    _adapted(answer, pool, target, seed, 3, 5)  # a few rounds first, see `a1_learning.distil`
    for attempt in range(3):  # luck with the noise must not decide
        learned, report = _adapted(answer, pool, target, seed + 5000 * attempt, 5, 30)
        if report.mean >= max(55, report.before + 15):
            break
    _check_clamped(answer, pool, seed)
    words = (f"Held-out networks classify {report.mean:.0f} % of the target's validation images "
             f"correctly; before any adaptation {report.before:.0f} %. ")
    demand(report.mean >= report.before + 15, words + "Nothing was learned: do you move against "
           "the gradient, round after round, with new images of the target in each?")
    _check_returned(answer, pool, target, seed)
    demand(report.mean >= 55, words + "55 % and more can be had. Something is learned: "
           "are all rounds used, and the learning rates of the text?")
    return learned, report


def _adapted(answer, pool, target, seed, batches, rounds):
    """One run on a part of the target, with other networks than the notebook's, each batch noted."""
    generator = torch.Generator().manual_seed(seed)
    part = torch.randperm(len(target.train), generator=generator)[: 9 * len(target.train) // 10]
    data = replace(target, test=Sealed(), train=replace(target.train, images=target.train.images[part],
                                                        labels=target.train.labels[part]))
    noise = shuffled(dd.DistilledSet.noise(target, batches=batches, passes=1, step_size=0.1, seed=seed), generator)
    noise = replace(noise, step_sizes=0.06 + 0.08 * torch.rand(batches, generator=generator))
    kept, sizes, seen = noise.images.clone(), noise.step_sizes.clone(), Shifted(pool, 1 + seed % 3)
    torch.manual_seed(seed + 1000)  # noise of one's own is not that which came in
    with alone(answer, off=[dd.distill]), watching() as shown:
        seen.shown = shown
        learned = answer(seen, data, noise, rounds)
    demand(isinstance(learned, dd.DistilledSet), "Return a DistilledSet: replace(dset, "
           f"images=..., step_sizes=...); this is {type(learned).__name__}.")
    demand(torch.equal(noise.images, kept) and torch.equal(noise.step_sizes, sizes),
           "The set that came in was changed: work on copies (.detach().clone()).")
    demand(learned.images.shape == kept.shape and len(learned.step_sizes) == len(noise.step_sizes),
           "Images and step sizes must keep their shapes.")
    demand(not torch.equal(learned.images, kept), "The images have not moved: does the "
           "optimiser hold them, and do they get a .grad?")
    demand(not torch.equal(learned.step_sizes, noise.step_sizes), "The step sizes have not "
           "moved: does the optimiser hold them, and do they get a .grad?")
    for one, other, what in zip((learned.images.flatten(0, 1), learned.step_sizes), (kept.flatten(0, 1), sizes),
                                ("images", "step sizes")):
        still = sum(map(torch.equal, one, other))
        demand(not still or rounds > 5, f"{still} of the {what} have not moved: all are to be learned.")
    demand(learned.step_sizes.min() > 0, "A step size is 0: clamp them at 0.001.")
    demand(torch.equal(learned.labels, noise.labels), "The labels were changed: they stay as they are.")
    demand(not any(role == "held-out" for role, _ in seen.asked), "Learning uses held-out networks: they are kept for "
           "the report.")
    used = [index for role, index in seen.asked if role == "training"]
    demand(len(set(used)) >= 3, f"{len(set(used))} of the pool's {pool.size} training networks "
           "were used: go round the pool that was handed in, first=2 * k.")
    demand(used != [(k + j) % pool.size for k in range(rounds) for j in (0, 1)], "Each round shares a network "
           "with the one before: round k uses number 2k and 2k + 1, first=2 * k.")
    first = _check_rounds(shown, rounds, keys_of(data.train.images), target, len(noise.labels[0]))
    trained = [noise.train(network) for network in seen.networks("training", pool.size)]
    demand(first.gradient.isnan().any() or any(equal(first.logits, one(first.images).detach(), 0.01) for one in trained), "In "
           "the first round the goal looks at another network than one of the pool's, trained with the images, labels and step "
           "sizes of the set that was handed in: start from those.")
    demand(2 * rounds <= len(used), f"{len(used)} networks in {rounds} rounds: two in each are wanted.")
    demand(len(set(used)) == pool.size or rounds < 3 * pool.size, f"{len(set(used))} of the pool's {pool.size} training "
           "networks were used: go round the whole pool, first=2 * k.")
    demand(used != [(k + 1) % pool.size for k in range(2 * rounds)], "The rounds begin with network number 1: round k uses "
           "number 2k and 2k + 1, first=2 * k.")
    alike = torch.corrcoef(torch.stack([learned.images.detach().flatten(), kept.flatten()]))[0, 1]
    demand(alike > 0.3, "These images have nothing of the noise that came in: learn them, from that noise, with the "
           "meta-gradient alone.")
    learned = replace(learned, images=learned.images.detach(), step_sizes=learned.step_sizes.detach())
    return learned, dd.evaluate(learned, pool.networks("held-out", 4), dd.Fit(target), target.validation)


def _check_clamped(answer, pool, seed):
    """Where training does harm, as wrong labels do to networks that know the digits, step sizes would like to be negative."""
    source, means = pool.source, dd.baselines.class_means(pool.source, batches=2, passes=1)
    torch.manual_seed(seed)
    learned = answer(pool, source, replace(means, labels=means.labels.roll(1 + seed % 4, 1),
                                           step_sizes=torch.full((2,), 0.004)), 8)
    demand(learned.step_sizes.min() > 0, "A step size is 0 or negative, where training on the images does harm: clamp them "
           "after each round, in place (clamp_).")


def _check_returned(answer, pool, target, seed):
    """Three rounds from step sizes that are far apart: what comes back is what was learned."""
    generator, slopes = torch.Generator().manual_seed(seed), 0
    noise = dd.DistilledSet.noise(target, batches=3, passes=1, step_size=0.1, seed=seed + 1)
    noise = replace(noise, step_sizes=torch.tensor([0.03, 0.1, 0.3])[torch.randperm(3, generator=generator)])
    torch.manual_seed(seed)
    learned = answer(pool, target, noise, 3)
    for network in pool.networks("training", pool.size):
        loss, real = dd.loss_of(network), (target.train.images, target.train.labels)
        _, found = dd.meta_gradient(loss, lambda weights, loss=loss, real=real: loss(weights, *real), dd.weights_of(network),
                                    noise.images, noise.labels, noise.step_sizes)
        slopes = slopes + found["images"] / pool.size
    returned(learned.images, learned.step_sizes, noise, slopes)


def _check_rounds(shown, rounds, handed_in, target, synthetic):
    """The first of the real batches that were learned from, if all are as they should be."""
    looked_at = {key for one in shown for key in keys_of(one.images)}
    demand(not looked_at.intersection(keys_of(target.test.images)), "It learns from test images, or looks at them while it "
           "learns: they are for the report alone. To watch or to choose, there are validation images.")
    known = {name: set(keys_of(getattr(target, name).images)) - set(handed_in) for name in ("train", "validation")}
    batches = [one for one in shown if one.gradient is not None and len(one.images) > max(synthetic, 12)]
    learned = [keys_of(one.images) for one in batches]
    for name, words in (("validation", "validation images, which are there to choose by"),
                        ("train", "images that were not handed in")):
        demand(not any(known[name].intersection(keys) for keys in learned),
               f"It learns from {words}: take `data.train`, of the `data` that is handed in.")
    demand(learned, "The loss on real images is never differentiated: is pool_gradient called, with 128 images?")
    inside = set(handed_in)
    demand(all(inside.issuperset(keys) for keys in learned), "It learns from images that are none of data.train: take these as "
           "they are.")
    sizes = sorted(map(len, learned))
    demand(100 <= sizes[len(sizes) // 2] <= 300, f"A real batch has {sizes[len(sizes) // 2]} images: 128 are wanted.")
    different = {frozenset(keys) for keys in learned}
    demand(2 * rounds <= len(learned) <= 4 * rounds, f"{len(learned)} real batches were learned from in {rounds} rounds of "
           f"two networks: {2 * rounds} are wanted.")
    demand(len(different) <= rounds, f"{len(different)} different real batches in {rounds} rounds: one in each is wanted, for "
           "both networks.")
    demand(len(different) >= min(rounds, 8), "The real batch is the same again and again: draw a new one in each round.")
    never = inside.difference(*learned)
    demand(len(never) <= 2 * len(inside) * (1 - 128 / len(inside)) ** rounds + 10, f"{len(never)} of {len(inside)} training "
           f"images are never drawn, in {rounds} rounds: draw from all of them.")
    demand(neighbours(learned, handed_in) < 0.5, "The real images come in the order of the data: draw them at random.")
    return batches[0]


def compare(answer, seed=10):
    """Task 5: `compare(learned, real, pool, data, sizes, passes, number)`; every wrong way to choose leads to other numbers."""
    untried = None
    for number, (size, passes, k) in enumerate(((1, (1, 2, 3, 5), 2), (0, (1, 3, 4, 6), 4), (2, (1, 3, 2, 5), 2))):
        given, right, mistakes = _compared(seed + 100 * number, 1 + number, size, passes, k)
        mine = answer(*given)
        check(mine, right, mistakes, "compare(...)", tolerance=2e-4)
        untried = untried or given[2].untried(itertools.product(*given[4:6]), given[6])
    for number, passes in ((2, (1, 2, 4)), (4, (3, 5, 1))):  # other numbers of networks; the best is at an end of the lists
        given, right, mistakes = _counted(seed + 1000 * number, passes, number)
        check(answer(*given), right, mistakes, f"compare(...) with number={number}", tolerance=2e-4)
    demand(untried is None, f"The answer is right here, but by luck: the pair {untried} was not tried with all validation "
           "networks, on the validation images. Try every pair: nothing says that there is only one peak.")


def _counted(seed, passes, number):
    """A table in which the best pair is one of ends: the last of both lists for 2 networks, the first for more."""
    generator, chance, end = torch.Generator().manual_seed(seed), random.Random(seed), -1 if number == 2 else 0
    sizes = [round(chance.uniform(0.9, 1.1) * one, 4) for one in chance.sample((0.05, 0.13, 0.35), 3)]
    real = tables.training_set(1, 3, 0.07, generator)
    learned = replace(tables.training_set(1, 1, 0.1, generator), step_sizes=torch.tensor([0.27]))
    choices = [(size, k) for size in sizes for k in passes]
    places = tables.places_of({**{(size, k): replace(real, step_sizes=torch.full((k,), size)) for size, k in choices},
                               "came with": real, "learned": learned})
    if places is None:
        return _counted(seed + 1, passes, number)
    table, best = tables.drawn(choices, ("came with", "learned", "untrained"), chance), (sizes[end], passes[end])
    for network in table["validation"]:
        network[best]["validation"] = 95.0 + chance.randrange(6) / 2

    def rows(number, best=best):
        return tuple(tables.mean(table, one, "held-out", "test", number) for one in ("untrained", best, "learned"))

    others = [one for one in choices if one != best]
    second = max(others, key=lambda one: tables.mean(table, one, "validation", "validation", number))
    mistakes = {"random real: An end of the lists is left out: try every pair.": rows(number, second),
                "Three networks are used, whatever `number` says.": rows(3)}
    if any(equal(wrong, rows(number), 1e-3) for wrong in mistakes.values()):
        return _counted(seed + 1, passes, number)
    given = learned, real, tables.Start(table, places, best), tables.data(), tuple(sizes), passes, number
    return given, rows(number), mistakes


def _compared(seed, batches, size, passes, k, number=3):
    """A table in which the best pair is step size number `size`, from the smallest on, with `k` of the `passes`."""
    generator, chance = torch.Generator().manual_seed(seed), random.Random(seed)
    factor = chance.uniform(0.8, 1.2)
    sizes = [round(factor * one, 4) for one in (0.031, 0.107, 0.39)]
    pair, sizes = (sizes[size], k), sizes[:: chance.choice((1, -1))]
    real = tables.training_set(batches, 3, 0.06 * factor, generator)
    learned = tables.training_set(batches, 1, 0.1, generator)
    learned = replace(learned, step_sizes=torch.tensor([factor * chance.uniform(0.27, 0.3) for _ in range(batches)]))

    def tried(size, k):
        return replace(real, step_sizes=torch.full((batches * k,), size))

    choices = [(size, k) for size in sizes for k in passes]
    places = tables.places_of({**{choice: tried(*choice) for choice in choices}, "came with": real, "learned": learned})
    if places is None:
        return _compared(seed + 1, batches, size, passes, k, number)
    _, table, best, wrong = tables.rigged(choices, ("came with", "learned", "untrained"), number, number, chance,
                                          pair, lambda table: _pair_by_pair(table, sizes, passes, number, pair))

    def mean(choice, role="held-out", split="test", number=number):
        return tables.mean(table, choice, role, split, number)

    def rows(role="held-out", split="test", number=number):
        return tuple(mean(choice, role, split, number) for choice in ("untrained", best, "learned"))

    none, row, ours = right = rows()
    mistakes = {f"random real: {words}": (none, mean(choice), ours) for words, choice in wrong.items()}
    if any(abs(mean(choice) - row) < 0.3 for choice in {*choices, "came with", "learned"} - {best}):
        return _compared(seed + 1, batches, size, passes, k, number)  # two choices that look alike
    return (learned, real, tables.Start(table, places, best), tables.data(), tuple(sizes), passes, number), right, {
        **mistakes,
        "random real has the learned images' step sizes: it needs its own best one.": (none, mean("learned"), ours),
        "random real has the step sizes that it came with: choose its best.": (none, mean("came with"), ours),
        "random real is not trained at all.": (none, none, ours),
        "The learned images have random real's step sizes: they have their own.": (none, row, row),
        "The networks are the pool's training networks: report on held-out ones.": rows("training"),
        "The networks are validation networks: report on held-out ones.": rows("validation"),
        "The learned images are tested on the pool's training networks, the others on held-out ones: use the same in all rows.":
            (none, row, mean("learned", "training")),
        "random real is tested on the validation networks, the others on held-out ones: use the same in all rows.":
            (none, mean(best, "validation"), ours),
        "no adaptation is tested on the validation networks, the others on held-out ones: use the same in all rows.":
            (mean("untrained", "validation"), row, ours),
        "The accuracies are of the validation images: report on the test images.": rows(split="validation"),
        "The accuracies are of the training images: report on the test images.": rows(split="train"),
        "random real's accuracy is that on the validation images, which have helped to choose.":
            (none, mean(best, "validation", "validation"), ours),
        "Only the first held-out network is used.": rows(number=1),
        "One network more is used than was asked for.": rows(number=number + 1),
        "The rows are in the wrong order: no adaptation, random real, learned.": (none, ours, row),
        "The rows run backwards: no adaptation, random real, learned.": (ours, row, none),
        "The accuracies are shares of 1: percents are wanted.": tuple(one / 100 for one in right),
        "No adaptation: train on nothing at all.": (ours, row, ours),
        "These are what is gained over no adaptation: return the accuracies.": (none, row - none, ours - none),
    }


def _pair_by_pair(table, sizes, passes, number, best):
    """Choices of a size and of passes, one after the other and not as the best pair: (words, choice)."""
    def score(*choice):
        return tables.mean(table, choice, "validation", "validation", number)

    for k in (one for one in passes if one != best[1]):
        size = max(sizes, key=lambda one, k=k: score(one, k))
        yield f"The step size is chosen for {k} passes, the passes then: try every pair.", (
            size, max(passes, key=lambda one, size=size: score(size, one)))
        yield f"Only {k} passes are tried: try every pair.", (size, k)
    for size in (one for one in sizes if one != best[0]):
        k = max(passes, key=lambda one, size=size: score(size, one))
        yield f"The passes are chosen for the step size {size:g}, this then: try every pair.", (
            max(sizes, key=lambda one, k=k: score(one, k)), k)
        yield f"Only the step size {size:g} is tried: try every pair.", (size, k)
    yield "You stop at the first fall, the passes in the outer loop: try every pair.", tables.until_it_falls(
        [(size, k) for k in passes for size in sizes], lambda one: score(*one))
    yield "Step size and passes are chosen by their means over the other: try every pair.", (
        max(sizes, key=lambda one: sum(score(one, k) for k in passes)),
        max(passes, key=lambda k: sum(score(one, k) for one in sizes)))
