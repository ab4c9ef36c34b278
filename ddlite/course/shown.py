"""What the cells of the checks show where an answer is right: pictures, and a few numbers, made with the answers."""

import math
from dataclasses import replace

import torch

import ddlite as dd
from ddlite import show
from ddlite.course import a4_defence
from ddlite.course.checks import small

SIZES = (0.01, 0.03, 0.1, 0.3, 1.0)  # step sizes to try
LIMITS = (4, 2, 1, 0.5, 0.25, 0.125)  # of the gradient's norm


def strangers(accuracies, for_one, network, start, data):
    """Assignment 2, task 1: images learned for one network, on it and on ten others."""
    return show.histogram({"its own": accuracies(for_one, [network], data.test),
                           "strangers": accuracies(for_one, start.networks("held-out", 10), data.test)},
                          words="Images learned for one network: that network, and ten held-out ones")


def one_or_any(mean_meta_gradient, learn, for_one, noise, start, data):
    """Assignment 2, task 4: learns with the answer; twenty networks on images learned for one and for any."""
    for_any = learn(lambda k, *given: mean_meta_gradient(start, k, 2, *given), noise, rounds=100)
    held_out, goal = start.networks("held-out", 20), dd.Fit(data)
    return show.histogram({f"learned for {words}": dd.evaluate(dset, held_out, goal, data.test, [1]).final
                           for words, dset in (("one", for_one), ("any", for_any))},
                          words="Twenty held-out networks, on images learned for one network and for any")


def fair(fair_baseline, start, data):
    """Assignment 2, task 5: two baselines by step size; prints what the answer chooses."""
    rows, curves = {"class means": dd.baselines.class_means(data, batches=3, passes=1),
                    "random real": dd.baselines.real_images(data, batches=3, passes=1)}, {}
    for name, dset in rows.items():
        size, scores = fair_baseline(dset, start, data, list(SIZES))
        scores = torch.as_tensor(scores)
        print(f"{name}: step size {size:g}, {scores.mean():.1f} ± {scores.std():.1f} %")
        _, tried = dd.baselines.with_best_step_size(dset, start, dd.Fit(data), SIZES, networks=3)
        curves[name] = list(tried.items())
    return show.lines(curves, "step size", "validation accuracy, %",
                      "Real images by step size: with the one they come with, 0.02, they look useless", log=True)


def normalised(answer, source, target, pool):
    """Assignment 3, task 1: what normalising with the wrong statistics costs."""
    def in_bytes(split):
        return (255 * dd.data.grey_levels(split.images, split.mean, split.std)).round().to(torch.uint8)

    levels = in_bytes(target.test) / 255
    views = {"not normalised": levels, "the source's statistics": dd.data.normalise(levels, source.mean, source.std),
             "the target's, by task 1": answer(*map(in_bytes, (target.test, target.train, source.train))).float()}
    held_out = pool.networks("held-out", 4)
    return show.bars({name: {"before any adaptation": sum(dd.accuracy(network, replace(target.test, images=images))
                                                          for network in held_out) / 4}
                      for name, images in views.items()}, "Accuracy of held-out networks on the target's test images")


def comparison(compare, learned, pool, target):
    """Assignment 3, task 5: a hundred learned images beside a hundred real ones."""
    rows = compare(learned, dd.baselines.real_images(target, batches=10), pool, target, (0.05, 0.2), (1, 3), 3)
    return show.bars({name: {"held-out networks, test images": row} for name, row in
                      zip(("no adaptation", "random real", "learned"), rows)}, "A hundred images of the target")


def controls(answer, attack, strangers, goal, data):
    """Assignment 4, task 3: the attack's three measures beside those of the two controls, mean over held-out networks."""
    real, rows = dd.baselines.real_images(data, 10, passes=1).examples(), {}
    for seed, network in enumerate(strangers):
        loss, before, after = dd.loss_of(network), dd.weights_of(network), dd.weights_of(attack.train(network))
        length = torch.cat([(a - b).flatten() for a, b in zip(after, before)]).norm().item()
        flipped, random = answer(loss, before, *real, goal.victim, goal.target, length, seed)
        for name, weights in {"before": before, "random direction": random, "flipped labels": flipped,
                              "the attack": after}.items():
            moved = dd.unroll.with_weights(small(data.shape, len(data.classes)), weights)
            rows.setdefault(name, []).append(goal.measures(dd.goals.predict(moved, data.test), data.test.labels))
    means = {name: {words: sum(one[words] for one in each) / len(each) for words in each[0]} for name, each in rows.items()}
    return show.bars(means, "One step of the same length, in different directions")


def limits(choose_limit, measure):
    """Assignment 4, task 5: protection and price of clipping, on the networks of the assignment; prints what is chosen."""
    numbers = {(batch, limit, split): measure(batch, limit, split) for limit in (*LIMITS, math.inf)
               for batch in ("attacked", "honest") for split in ("validation", "test")}
    limit, victims, price = a4_defence.chosen(choose_limit, list(LIMITS), 80, numbers)
    print(f"limit {limit:g}; on test images and held-out networks, {victims:.0f} % survive")
    print(f"({numbers['attacked', math.inf, 'test']:.0f} % without), honest work loses {price:.1f} points.")
    curves = {words: [(one, numbers[batch, one, "validation"]) for one in LIMITS]
              for words, batch in (("victims, attacked", "attacked"), ("honest accuracy", "honest"))}
    return show.lines(curves, "limit of the gradient's norm", "validation, %", "Protection and price of clipping: limits from "
                      f"{LIMITS[-1]} to {LIMITS[0]}, {limit:g} is chosen.", log=True)
