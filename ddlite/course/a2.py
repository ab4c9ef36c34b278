"""The checks of assignment 2, one call a task: one network or any network?"""

import itertools
import random
from dataclasses import replace

import torch
from scipy import stats

import ddlite as dd
from ddlite.course import tables
from ddlite.course.checks import check, demand, shuffled, small, telling


def strangers(accuracies, data, seed=1):
    """Task 1: `accuracies(dset, networks, split)`, each network's accuracy after training on the set."""
    for number, split in enumerate((data.test, data.validation, data.train, data.test)):
        (dset, networks), right, mistakes = telling(lambda s, split=split: _strangers(data, split, s), seed + 10 * number)
        before = [dd.weights_of(network) for network in networks]
        kept = [t.clone() for t in (dset.images, dset.step_sizes)]
        mine = accuracies(dset, networks, split)
        demand(all(torch.equal(a, b) for network, weights in zip(networks, before)
                   for a, b in zip(network.parameters(), weights)),
               "A network that came in was changed: train a copy, or the next set is judged by trained networks.")
        demand(torch.equal(kept[0], dset.images) and torch.equal(kept[1], dset.step_sizes), "The set that came in was changed.")
        mine = mine.tolist() if isinstance(mine, torch.Tensor) else mine
        demand(not isinstance(mine, (int, float)), "This is one number. Return a list with every network's accuracy: a mean "
               "alone hides how they are spread.")
        check(list(mine) if hasattr(mine, "__iter__") else mine, right, mistakes, "accuracies(...)", tolerance=1e-3)


def _strangers(data, split, seed):
    generator = torch.Generator().manual_seed(seed)
    start = dd.RandomStart(small, data, seed=seed % 1024)
    dset = dd.baselines.real_images(data, batches=2, passes=2, step_size=0.2, seed=seed)
    dset = shuffled(dset, generator)
    networks = list(start.networks("held-out", 4, first=seed % 100))
    networks = [networks[k] for k in torch.randperm(4, generator=generator)]
    goal = dd.Fit(data)

    def after(images, passes=2, dset=dset):
        return dd.evaluate(dset, networks, goal, images, [passes]).final

    right, again, handed_on = after(split), networks[0], []
    for _ in networks:
        again = dset.train(again)
        handed_on.append(dd.accuracy(again, split))
    first = replace(dset, images=dset.images[:1], labels=dset.labels[:1], step_sizes=dset.step_sizes[:1])
    mistakes = {
        "These are fractions: return percents.": [score / 100 for score in right],
        "These are the shares of wrong answers.": [100 - score for score in right],
        "The networks are not trained: these are the accuracies of their first weights.": after(split, 0),
        "Each network must start from its own first weights; here the trained one is trained on.": handed_on,
        "All accuracies are those of the first network.": right[:1] * 4,
        "All accuracies are those of the last network.": right[-1:] * 4,
        "The accuracies are sorted: keep the order of the networks.": sorted(right),
        "The accuracies are sorted, the best first: keep the order of the networks.": sorted(right, reverse=True),
        "The accuracies run backwards: keep the order of the networks.": right[::-1],
        "Each is the mean of those so far.": [sum(right[: k + 1]) / (k + 1) for k in range(4)],
        "The accuracies are summed up.": list(itertools.accumulate(right)),
        "Only the first batch is used: a training goes through all batches.": after(split, 1, first),
        "Only one pass is made.": after(split, 1),
        "The labels are always those of the first batch: each batch has its own.":
            after(split, dset=replace(dset, labels=dset.labels[:1].expand_as(dset.labels).clone())),
        "Only the first hundred images are looked at.":
            after(replace(split, images=split.images[:100], labels=split.labels[:100]))}
    mistakes |= {f"These are accuracies on the {other.name} images; another split was asked for.": after(other)
                 for other in (data.validation, data.test, data.train) if other is not split}
    return (dset, networks), right, mistakes


def spread(summary, seed=1):
    """Task 2: `summary(predicted, labels)`, mean, std, low and high over networks."""
    some, more = 6 + seed % 10, 12 + seed % 20  # so that the teacher's seed asks for numbers that students have not seen
    for number, (networks, images, skill) in enumerate(((5, 40, (0.2, 0.9)), (more, 400, (0.2, 0.9)), (3, 60, (0.5, 0.99)),
                                                        (4, 50, (0.02, 0.5)), (some, 30, (0.2, 0.9)))):
        (predicted, labels), right, mistakes = telling(
            lambda s, given=(networks, images, skill): _spread(s, *given), seed + 10 * number, tolerance=2e-4)
        mine = summary(predicted.clone(), labels.clone())
        check(mine, right, mistakes, "summary(...)")
    (predicted, labels), right, _ = _spread(seed, 101 + seed % 20, 30, (0.2, 0.9))
    half = 1.96 * right[1] / len(predicted)**0.5
    check(summary(predicted, labels), right, {"The interval uses 1.96; Student's t is wanted with many networks, too.":
                                              (*right[:2], right[0] - half, right[0] + half)}, "summary(...)")


def _spread(seed, networks, images, skill):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(10, (images,), generator=generator)
    given = skill
    skill = skill[0] + (skill[1] - skill[0]) * torch.rand(networks, 1, generator=generator)
    knows = torch.rand(networks, images, generator=generator) < skill
    predicted = torch.where(knows, labels, torch.randint(10, (networks, images), generator=generator))
    correct = (predicted == labels).double()
    scores, n = 100 * correct.mean(1), networks
    report = dd.Report((1,), scores[:, None].tolist(), None, "digits", "test", images, 0)
    mean, std, (low, high) = report.mean, report.std, report.interval

    if min(abs(low), abs(high)) < 1:  # too near to 0: single precision would be wrong by chance
        return _spread(seed + 1000, networks, images, given)

    def around(half, std=std):
        return mean, std, mean - half, mean + half

    t, by_n = stats.t.ppf(0.975, n - 1), scores.std(correction=0).item()
    pooled, by_image = 100 * correct.std().item(), 100 * correct.mean(0).std().item()
    clipped = {} if 0 <= low and high <= 100 else {
        "The interval is cut to 0..100: return it as the formula gives it.": (mean, std, max(low, 0), min(high, 100))}
    if not clipped and skill.max() - skill.min() < 0.6 and n < 5:
        return _spread(seed + 1, networks, images, (max(0, skill.min().item() - 0.1), min(1, skill.max().item() + 0.1)))
    return (predicted, labels), (mean, std, low, high), clipped | {
        "These are fractions: return percents.": [number / 100 for number in (mean, std, low, high)],
        "The mean is the median.": (scores.median().item(), std, low, high),
        "The second number is the variance; the std is its root.": (mean, std**2, low, high),
        "The std divides by n: for a sample of networks, divide by n - 1.": around(t * by_n / n**0.5, by_n),
        "The std divides by n in the table, and by n - 1 in the interval.": around(t * std / n**0.5, by_n),
        "The interval's std divides by n: for a sample of networks, divide by n - 1.": around(t * by_n / n**0.5),
        "The interval divides by the root of n - 1: it is that of n.": around(t * std / (n - 1) ** 0.5),
        "This std is over all single answers: first the accuracy of each network, then their std.":
            around(stats.t.ppf(0.975, correct.numel() - 1) * pooled / correct.numel() ** 0.5, pooled),
        "This std is over single answers, not over the networks' accuracies.": around(t * pooled / n**0.5, pooled),
        "This std is over images: average over the images of each network, not over the networks.":
            around(t * by_image / n**0.5, by_image),
        "Std and interval are over images: the n that counts is the number of networks.":
            around(stats.t.ppf(0.975, images - 1) * by_image / images**0.5, by_image),
        "The second number is the standard error; the std is not divided by the root of n.":
            around(high - mean, std / n**0.5),
        "The interval uses 1.96; with so few networks Student's t is wider.": around(1.96 * std / n**0.5),
        "The interval uses 2; Student's t with n - 1 degrees of freedom is wanted.": around(2 * std / n**0.5),
        "The interval uses 2.78, which is for five networks.": around((2.78 if n != 5 else 2.5) * std / n**0.5),
        "Student's t has n - 1 degrees of freedom, not n.": around(stats.t.ppf(0.975, n) * std / n**0.5),
        "Student's t has n - 1 degrees of freedom, not n - 2.": around(stats.t.ppf(0.975, n - 2) * std / n**0.5),
        "Student's t has one degree of freedom for each network but one, not for each image.":
            around(stats.t.ppf(0.975, images - 1) * std / n**0.5),
        "0.95 leaves 5 % at one end; for 2.5 % at each end it is 0.975.": around(stats.t.ppf(0.95, n - 1) * std / n**0.5),
        "0.995 leaves 0.5 % at each end; for 2.5 % it is 0.975.": around(stats.t.ppf(0.995, n - 1) * std / n**0.5),
        "The interval is not divided by the root of n: it is for one network, not for the mean.": around(t * std),
        "The interval divides by n; it is the root of n.": around(t * std / n),
        "The interval divides by the root of the number of images; it is that of networks.": around(t * std / images**0.5),
        "Low and high are one standard error from the mean: Student's t is missing.": around(std / n**0.5),
        "Low and high are one std from the mean; wanted is the interval of the mean.": around(std),
        "Low and high are the worst and the best network; wanted is the interval of the mean.":
            (mean, std, scores.min().item(), scores.max().item()),
        "Low and high are quantiles of the networks; wanted is the interval of the mean.":
            (mean, std, scores.quantile(0.025).item(), scores.quantile(0.975).item()),
        "Low and high are in the wrong order.": (mean, std, high, low),
        "Low and high are the distances from the mean, not where it lies.": (mean, std, mean - low, high - mean),
    }


def fresh(mean_meta_gradient, data, seed=4):
    """Task 4: `mean_meta_gradient(start, k, n, dset, real_images, real_labels)`, the mean over round k's networks."""
    for number, (k, n) in enumerate(((3, 2), (1, 4), (3, 3), (0, 2), (600 + seed % 100, 2))):
        start = dd.RandomStart(small, data, seed=(seed + number) % 1024)
        batches, passes = ((2, 1), (1, 3), (2, 2), (3, 1), (2, 1))[number]
        dset = dd.DistilledSet.noise(data, batches=batches, passes=passes, step_size=0.2, seed=seed + number)
        dset = shuffled(dset, torch.Generator().manual_seed(seed + number))
        sizes = 0.1 + 0.2 * torch.rand(batches * passes, generator=torch.Generator().manual_seed(seed + number))
        dset = replace(dset, step_sizes=sizes)
        some = torch.randint(len(data.train), (64,), generator=torch.Generator().manual_seed(seed + number))
        bright = (1, 1, 1, 1, 20)[number]  # where gradients are long
        real, kept = (bright * data.train.images[some], data.train.labels[some]), dset.images.clone()
        right, mistakes = _means(start, k, n, dset, real)
        check(mean_meta_gradient(start, k, n, dset, *real), right, mistakes, "mean_meta_gradient(...)", tolerance=1e-3)
        demand(not (dset.images.requires_grad or dset.step_sizes.requires_grad) and torch.equal(dset.images, kept)
               and torch.equal(dset.step_sizes, sizes),
               "The set that came in was changed: work on copies (.detach().clone().requires_grad_()).")


def _means(start, k, n, dset, real):
    def one(network, dset=dset):
        loss = dd.loss_of(network)
        value, gradients = dd.meta_gradient(loss, lambda weights: loss(weights, *real), dd.weights_of(network), dset.images,
                                            dset.labels, dset.step_sizes)
        return value, gradients["images"], gradients["step_sizes"]

    def mean(networks):
        return tuple(sum(parts) / len(networks) for parts in zip(*map(one, networks)))

    networks = list(start.networks("training", n, k * n))
    value, images, sizes = right = mean(networks)
    middle = dd.unroll.with_weights(start.networks("training", 1)[0], [
        sum(weights) / n for weights in zip(*map(dd.weights_of, networks))])
    first, last = one(networks[0]), one(networks[-1])
    untrained = sum(dd.loss_of(network)(dd.weights_of(network), *real) for network in networks).detach() / n
    mistakes = {
        "This is the sum over the networks: divide by n.": (n * value, n * images, n * sizes),
        "The gradients are sums over the networks: divide them by n.": (value, n * images, n * sizes),
        "The loss is the sum over the networks: divide it by n.": (n * value, images, sizes),
        "The networks are not fresh: round k uses the same ones as round 0.": mean(start.networks("training", n)),
        "Round k shares networks with the round before: its first is number k * n, not k.":
            mean(start.networks("training", n, k)),
        "These are the networks of the next round: the first is number k * n.": mean(start.networks("training", n, k * n + n)),
        "The first network is number k * n; these begin one later.": mean(start.networks("training", n, k * n + 1)),
        "All networks so far are used: round k has n of its own.": mean(start.networks("training", min(k * n + n, 30))),
        "These are held-out networks: if learning meets them, nothing is left to report on.":
            mean(start.networks("held-out", n, k * n)),
        "These are validation networks: they are there to choose; training networks learn.":
            mean(start.networks("validation", n, k * n)),
        "Only the first network of the round is used.": first,
        "Only the last network of the round is used: collect all, then take the mean.": last,
        "The gradients are means, but the loss is the last network's alone.": (last[0], images, sizes),
        "The gradients are means, but the loss is the first network's alone.": (first[0], images, sizes),
        "This is the meta-gradient of one network with the mean weights, which no initialisation draws: first "
        "the meta-gradient of each network, then the mean.": one(middle),
        "The loss is that before any training.": (untrained, images, sizes),
        "The gradients have the wrong sign: the optimiser subtracts them.": (value, -images, -sizes),
        "The gradients are in the wrong order: images first.": (value, sizes, images),
    }
    same = {"All networks so far are used: round k has n of its own.", "The networks are not fresh: round k uses the same ones "
            "as round 0.", "Round k shares networks with the round before: its first is number k * n, not k."} if k == 0 else ()
    return right, {words: wrong for words, wrong in mistakes.items() if words not in same}


def fair(fair_baseline, seed=5):
    """Task 5: `fair_baseline(dset, start, data, step_sizes)`; every wrong way to choose leads to another step size."""
    untried = None
    first = set()  # nobody gets through by taking always the second, or the third in size: two rounds differ in both
    for number in range(5):
        for attempt in range(1000):
            # In the last two rounds the best is at an end of the list.
            (dset, start, data, sizes), right, scores, mistakes = _fair(
                seed + 100 * number + 1000 * attempt, 1 + number % 3, 3 - number % 3, {3: 0, 4: -1}.get(number))
            place = {("place", sizes.index(right)), ("rank", sorted(sizes).index(right))}
            if number != 1 or not place & first:
                break
        else:
            raise RuntimeError("No table has its best step size at another place and rank: a fault of the check, not yours.")
        first = first or place
        answer = fair_baseline(dset, start, data, list(sizes))
        demand(isinstance(answer, (tuple, list)) and len(answer) == 2,
               "Return two things: the step size, and the list of accuracies.")
        size, mine = float(answer[0]), answer[1]
        demand(not isinstance(mine, (int, float)), "Report every held-out network's accuracy, in a list, not the mean alone.")
        chosen = min(sizes, key=lambda one, size=size: abs(one - size))
        demand(abs(chosen - size) < 1e-5, f"{size:g} is none of the step sizes to try; the one that a set comes with plays no "
               "part.")
        guesses = [words for words, wrong in mistakes.items() if wrong == chosen]
        demand(chosen == right, f"The step size {chosen:g} is not the one with the highest mean accuracy on validation images "
               f"and validation networks, {right:g}. This looks as if: {' Or: '.join(guesses)}" if guesses else
               f"The step size {chosen:g} is not the one with the highest mean accuracy on validation images and validation "
               f"networks, {right:g}.")
        mine = mine.tolist() if isinstance(mine, torch.Tensor) else mine
        check(mine, scores["right"], {words: each for words, each in scores.items() if words != "right"},
              "The list of accuracies", tolerance=1e-3)
        untried = untried or start.untried(sizes, 3)
    demand(untried is None, f"The answer is right here, but by luck: step size {untried} was not tried with all of the three "
           "validation networks, on the validation images. Try each: nothing says that there is only one peak.")


def _fair(seed, batches, passes, end=None):
    """A table in which no wrong rule leads to the right step size; or the right one at this end of the list."""
    generator, chance = torch.Generator().manual_seed(seed), random.Random(seed)
    factor = chance.uniform(0.7, 1.3)
    sizes = [round(factor * one, 4) for one in (0.01, 0.03, 0.08, 0.2, 0.4, 0.7, 1.1)]
    dset = tables.training_set(batches, passes, 0.02 * factor, generator)
    dset = replace(dset, step_sizes=dset.step_sizes * (0.2 + 2 * torch.rand(batches * passes, generator=generator)))
    first = dset.with_step_sizes(dset.step_sizes[0].item())
    places = tables.places_of({**{size: dset.with_step_sizes(size) for size in sizes}, "own": dset, "first of its own": first})
    if places is None:
        return _fair(seed + 1, batches, passes, end)
    sizes, table, right, wrong = tables.rigged(sizes, ("own", "first of its own", "untrained"), 3, 5, chance)
    for network in table["validation"]:  # whoever tries it, too, takes it
        network["own"]["validation"] = network["first of its own"]["validation"] = 97.0
    if end is not None:
        others = [size for size in sizes if size != right]
        sizes, wrong = ([right, *others] if end == 0 else [*others, right]), {"An end of the list is left out: try all.": max(
            others, key=lambda size: tables.mean(table, size, "validation", "validation", 3))}

    def report(choice=right, role="held-out", split="test", number=5):
        return [network[choice][split] for network in table[role][:number]]

    scores = {
        "right": report(),
        "Reported on validation images, which have helped to choose: report on test images.": report(split="validation"),
        "Reported on training images: report on test images.": report(split="train"),
        "Reported on validation networks, which have helped to choose: report on held-out ones.": report(role="validation"),
        "Reported on validation images and networks, which have helped to choose.":
            report(role="validation", split="validation"),
        "Reported on training networks: report on held-out ones.": report(role="training"),
        "Reported with the step sizes that the set came with, not with the chosen one.": report("own"),
        "Reported without any training.": report("untrained"),
        "The accuracies are sorted: keep the order of the networks.": sorted(report()),
        "These are fractions: return percents.": [score / 100 for score in report()],
        "These are the shares of wrong answers.": [100 - score for score in report()],
    }
    return (dset, tables.Start(table, places, right), tables.data(), sizes), right, scores, wrong
