"""The checks of assignment 4's harder tasks, one call a task: two controls, and what a defence costs."""

import itertools
import math

import torch

import ddlite as dd
from ddlite.course.a4 import norm_of, trial
from ddlite.course.checks import check, demand


def controlled(controls, data, seed=2):
    """Task 3: `controls(loss, weights, images, labels, victim, target, length, seed)`: flipped labels, random direction."""
    for number, length in enumerate((1.5, 0.7, 2.5)):
        _controlled(controls, data, seed + 10 * number, length)


def _controlled(controls, data, seed, length):
    network, images, labels, victim, target = trial(data, seed)
    loss, weights = dd.loss_of(network), dd.weights_of(network)
    before = [w.detach().clone() for w in weights]

    def mine(seed):
        given = images.clone(), labels.clone()
        answer = controls(loss, weights, *given, victim, target, length, seed)
        demand(isinstance(answer, (tuple, list)) and len(answer) == 2,
               "Return two lists of weights: flipped labels, random direction.")
        demand(all(torch.equal(w, b) for w, b in zip(weights, before)),
               "The weights that came in were changed: make new ones, without -=, += or .data.")
        demand(torch.equal(given[1], labels), "The labels that came in were changed: flip a copy.")
        demand(all(isinstance(one, (tuple, list)) and len(one) == len(before) for one in answer),
               "Both answers must be lists of all weights.")
        return [[part.detach() for part in one] for one in answer]

    def downhill(labels):
        after = dd.train(loss, weights, [(images, labels, 1.0)], create_graph=False)
        return [a.detach() - b for a, b in zip(after, before)]

    def scaled(parts, factor=None):
        return [b + p * (length / norm_of(parts) if factor is None else factor) for b, p in zip(before, parts)]

    step, honest = downhill(labels.where(labels != victim, target)), downhill(labels)
    drawn = seed + 12345  # not the seed that drew the network
    flipped, random = mine(drawn)
    demand(not all(r.shape == s.shape and torch.allclose(r, s, atol=1e-5) for r, s in zip(random, scaled(step))),
           "The second answer is the step on flipped labels: it comes first, the random one then.")
    check(flipped, scaled(step), {
        "Flipped labels: the step goes along honest labels, victims as victims.": scaled(honest),
        "Flipped labels: the step climbs. Subtract the gradient.": scaled(step, -length / norm_of(step)),
        "Flipped labels: climbing the honest loss ruins everything; descend the poisoned one.":
            scaled(honest, -length / norm_of(honest)),
        "Flipped labels: you relabelled the target as the victim.": scaled(downhill(labels.where(labels != target, victim))),
        "Flipped labels: all images count as the target.": scaled(downhill(torch.full_like(labels, target))),
        "Flipped labels: `length` is used as a step size. Divide by the gradient's norm, so that "
        "the step is exactly that long.": scaled(step, length),
        "Flipped labels: every layer moves by `length`. The norm is over all weights together.":
            [b + length * p / p.norm() for b, p in zip(before, step)],
        "Flipped labels: the layers' norms are added up.": scaled(step, length / sum(p.norm() for p in step)),
        "Flipped labels: divided by the square of the norm; a root is missing.": scaled(step, length / norm_of(step) ** 2),
        "Flipped labels: the step has the length 1.": scaled(step, 1 / norm_of(step)),
        "Flipped labels: these weights have not moved.": before,
        "Flipped labels: this is the step alone; add it to the weights.": [p * length / norm_of(step) for p in step],
    }, "The step on flipped labels")
    _check_random([mine(drawn + k)[1] for k in (0, 1, 2, 5)], before, length, step)
    demand(all(torch.equal(a, b) for a, b in zip(random, mine(drawn)[1])),
           "Random direction: the same seed must give the same step: use torch.manual_seed(seed) or a generator.")


def _check_random(draws, before, length, step):
    demand(all([a.shape for a in draw] == [b.shape for b in before] for draw in draws),
           "Random direction: the weights must keep their shapes.")
    parts = [[after - b for after, b in zip(draw, before)] for draw in draws]
    norms = [norm_of(own).item() for own in parts]
    each, size = [part.norm() for part in parts[0]], sum(b.numel() for b in before)
    demand(not all(abs(one - length) < 1e-3 * length for one in each),
           "Random direction: every layer moves by `length`. The norm is over all weights together.")
    demand(all(abs(norm - length) < 1e-3 * length for norm in norms),
           f"Random direction: this step is {norms[0]:.4g} long, and {length:.4g} was asked for. "
           "Divide by the norm of what you drew, over all weights together, then multiply by the length.")
    first = parts[0][0].flatten()[:64]
    for part in parts[0][1:3]:
        again = part.flatten()[:64]
        demand(0 in (first.norm(), again.norm()) or torch.dot(first, again) < 0.99 * first.norm() * again.norm(),
               "Random direction: each layer begins with the same numbers: make the generator once, before all layers.")
    demand(all((a[0] - b[0]).norm() > 0.1 * length for a, b in itertools.combinations(parts, 2)),
           "Random direction: two seeds give the same step.")
    numbers = torch.cat([p.flatten() for own in parts for p in own]) * size**0.5 / length
    for k, b in enumerate(before):
        drawn = b.numel() * len(parts)
        share = sum(own[k].square().sum() for own in parts) * size / drawn / length**2
        demand(share > 0, "Random direction: a layer does not move: draw all weights and biases.")
        demand(b.numel() < 64 or abs(share - 1) < 6 * (2 / drawn) ** 0.5,
               "Random direction: some layers move more than their share: draw all numbers alike, "
               "and divide by one norm for the whole network, not layer by layer.")
    demand(abs(numbers.mean()) * len(numbers) ** 0.5 < 6, "Random direction: the numbers' mean is "
           "not 0: torch.rand gives positive ones only. Draw them with torch.randn.")
    demand(abs(numbers.pow(4).mean() / numbers.square().mean() ** 2 - 3) < 0.4,
           "Random direction: these numbers are not normally distributed: use torch.randn, "
           "not uniform numbers, signs or a gradient in another order.")
    rows = parts[0][0].norm(dim=1)
    demand(rows.std() > 0.01 * rows.mean(), "Random direction: every row has the same length: divide by one norm for the whole "
           "network.")
    one, other = (torch.cat([p.flatten() for p in own]) for own in parts[:2])
    demand(abs(torch.dot(one, other)) / length**2 < 0.1, "Random direction: the steps of two seeds are alike.")
    along = sum((p * s).sum() for p, s in zip(parts[0], step)) / length / norm_of(step)
    demand(abs(along) < 0.1, "Random direction: it points along the gradient; it must not depend on it.")
    weights = torch.cat([b.flatten() for b in before])
    demand(abs(torch.dot(one, weights)) / length / weights.norm() < 0.1, "Random direction: it points along the weights.")


def limited(choose_limit, seed=4):
    """Task 5: `choose_limit(limits, wanted, measure)`, on tables in which every wrong way of choosing leads elsewhere."""
    table = {4: (20, 90, 15, 88), 2: (85, 84, 92, 86), 1: (93, 80, 88, 79), 0.5: (96, 78, 97, 82),
             0.25: (99, 60, 98, 59), math.inf: (0, 91, 0, 89)}
    # A limit that does not protect between two that do, and these two nearly alike in what they cost.
    close = {**table, 2: (91, 80.0, 93, 75), 1: (80, 82, 95, 84), 0.5: (93, 80.4, 89, 78)}
    other = {**close, 2: (93, 80.4, 89, 78), 0.5: (91, 80.0, 93, 75)}
    places = [(batch, split) for split in ("validation", "test") for batch in ("attacked", "honest")]
    tables = [{(batch, limit, split): float(number) for limit, row in one.items()
               for (batch, split), number in zip(places, row)} for one in (table, close, other)]
    orders = [4, 2, 1, 0.5, 0.25], [1, 4, 0.5, 2, 0.25], [0.25, 2, 0.5, 4, 1]
    given, *more_given = ([(order, 90, numbers) for order in orders] for numbers in tables)
    given += [_rigged(seed + more) for more in range(5)]
    given += itertools.chain(*more_given)
    for certain in (False, True):  # what is wrong is told before what is right by luck
        for one in given:
            chosen(choose_limit, *one, certain)


def chosen(choose_limit, limits, wanted, numbers, certain=False):
    """Check an answer on `numbers`, {(batch, limit, split): percent}; what it asks for is noted. Returns the right answer.

    certain: whether the answer must have measured enough to know.
    """
    def honest_on(split):
        return lambda limit: numbers["honest", limit, split]

    def answer(kept="validation", honest="validation", rule=None, report="test"):
        enough = [one for one in limits if numbers["attacked", one, kept] >= wanted]
        limit = rule(enough) if rule else max(enough, key=honest_on(honest))
        return limit, numbers["attacked", limit, report], numbers["honest", math.inf, report] - numbers["honest", limit, report]

    asked, undefended = [], {split: numbers["honest", math.inf, split] for split in ("validation", "test")}

    def measure(batch, limit, split):
        demand((batch, limit, split) in numbers,
               f"measure({batch!r}, {limit}, {split!r}): there is no such number. Ask for "
               "'attacked' or 'honest', a limit of the list or math.inf, 'validation' or 'test'.")
        asked.append((batch, limit, split))
        return numbers[batch, limit, split]

    limit, victims, price = right = answer()
    above = [one for one in limits if numbers["attacked", one, "validation"] > wanted]
    most = max(limits, key=honest_on("validation"))
    safest = max(limits, key=lambda one: numbers["attacked", one, "validation"])
    both = max(limits, key=lambda one: numbers["attacked", one, "validation"] + numbers["honest", one, "validation"])
    mistakes = {
        "Chosen on the test images: what is chosen on them, they cannot report on any more. Choose "
        "on validation images.": answer("test", "test"),
        "Of the limits kept, you chose by the honest accuracy on test images: choose on validation images.":
            answer(honest="test"),
        "The limits were kept by the test images: keep them by the validation images.": answer("test"),
        "Rule 1 is missing: this limit has the highest honest accuracy, but the victims do not survive.":
            answer(rule=lambda _: most),
        "Rule 2 is missing: this limit protects best, whatever it costs.": answer(rule=lambda _: safest),
        "Attacked and honest percentages are added up: first keep, then choose.": answer(rule=lambda _: both),
        "This is the largest limit that protects. It is not always the best for honest work: measure.": answer(rule=max),
        "This limit protects, but of those that do it costs most: rule 2 asks for the highest honest accuracy.":
            answer(rule=min),
        "This is the first limit of the list that protects: compare all that do.": answer(rule=lambda enough: enough[0]),
        "This is the last limit of the list that protects: compare all that do.": answer(rule=lambda enough: enough[-1]),
        "A limit at which exactly the wanted percentage survives is good enough, too: >=.":
            answer(rule=lambda _: max(above, key=honest_on("validation"))),
        "These are numbers from validation images, which were chosen by: report on test images.": answer(report="validation"),
        "The price has the wrong sign: without defence minus with it.": (limit, victims, -price),
        "The price is a share of the honest accuracy: points are wanted.": (limit, victims, 100 * price / undefended["test"]),
        "Number 3 is the honest accuracy that is left: the price is what was lost.":
            (limit, victims, numbers["honest", limit, "test"]),
        "Number 2 is the share of victims that the attack hits: return the share that survives.": (limit, 100 - victims, price),
        "Number 2 is from validation images: report on test images.":
            (limit, numbers["attacked", limit, "validation"], price),
        "Number 2 is without the defence.": (limit, numbers["attacked", math.inf, "test"], price),
        "Number 2 is what the defence saves: return the share that survives.":
            (limit, victims - numbers["attacked", math.inf, "test"], price),
        "The price is from validation images: report on test images.": (limit, victims, answer(report="validation")[2]),
        "The price compares honest work with the attack: both accuracies are those of honest work.":
            (limit, victims, undefended["test"] - victims),
        "The price compares test images with validation images.":
            (limit, victims, undefended["validation"] - numbers["honest", limit, "test"]),
        "The price is against the largest limit, not against no defence.":
            (limit, victims, numbers["honest", max(limits), "test"] - numbers["honest", limit, "test"]),
        "Numbers 2 and 3 are in the wrong order.": (limit, price, victims),
    }
    check(choose_limit(list(limits), wanted, measure), right, {words: wrong for words, wrong in mistakes.items()
                                                               if wrong != right}, "choose_limit(...)")
    seen = {one for _, one, split in asked if split == "test"} - {limit, math.inf}
    demand(not seen, f"The answer is right, but you asked for test numbers of the limits "
           f"{sorted(seen)}, which were not chosen: whoever sees them may choose by them.")
    demand(limit == math.inf or ("attacked", math.inf, "test") not in asked, "The answer is right, but you asked for the "
           "attack without defence on test images: they may be asked for what the result needs, and for nothing else.")
    if certain:
        _check_tried(set(asked), limits, limit, wanted, numbers)
    return right


def _check_tried(asked, limits, limit, wanted, numbers):
    """What was measured on validation images must rule out every other limit: by rule 1, or by rule 2."""
    def known(batch, one):
        return numbers[batch, one, "validation"] if (batch, one, "validation") in asked else math.nan

    others = [one for one in limits if one != limit]
    lost = [one for one in others if known("attacked", one) < wanted]
    worse = [one for one in others if known("honest", one) < known("honest", limit)]
    left = [one for one in others if one not in lost and one not in worse]
    demand(not left and (known("attacked", limit) >= wanted or lost == others), "The answer is right here, but by luck: what "
           f"you measured on validation images does not show that it is {limit:g}, and not {(left or others)[0]:g}. Try every "
           "limit: a lower one need not protect better, or cost more.")


def _rigged(seed):
    """Numbers for which every wrong way of choosing leads to another limit.

    For even seeds, exactly `wanted` percent survive with the right limit; for odd ones more than with another limit, and the
    defence costs less than nothing on test images.
    """
    generator = torch.Generator().manual_seed(seed)

    def draw(low, high):
        return round(low + (high - low) * torch.rand((), generator=generator).item(), 2)

    wanted, numbers = draw(70, 90), {("honest", math.inf, "validation"): draw(91, 94),
                                     ("honest", math.inf, "test"): draw(30, 45) if seed % 2 else draw(95, 98),
                                     ("attacked", math.inf, "validation"): draw(0, 5),
                                     ("attacked", math.inf, "test"): draw(6, 10)}
    up, down, exactly = (wanted + 1, 94), (20, wanted - 5), (wanted, wanted)
    for limit, attacked, honest, attacked_test, honest_test in (
            (0.1, exactly if seed % 2 else up, (30, 40), up, (30, 40)),  # the smallest
            (0.2, (95, 99), (41, 45), (95, 99), (41, 45)),         # protects best
            (0.3, up, (46, 50), up, (71, 80)),                     # best of those kept, by test
            (0.5, up, (61, 70), up, (61, 69)),                     # best of those above `wanted`
            (1.0, up if seed % 2 else exactly, (75, 80), down, (52, 60)),  # right
            (2.0, up, (51, 60), up, (46, 51)),                     # the largest that protects
            (4.0, down, (81, 85), up, (82, 86)),                   # chosen wholly by test
            (8.0, down, (86, 90), down, (87, 91))):                # no protection
        numbers.update({("attacked", limit, "validation"): draw(*attacked),
                        ("honest", limit, "validation"): draw(*honest),
                        ("attacked", limit, "test"): draw(*attacked_test),
                        ("honest", limit, "test"): draw(*honest_test)})
    factor = draw(0.5, 2)
    numbers = {(batch, limit * factor, split): value for (batch, limit, split), value in numbers.items()}
    limits = sorted({limit for _, limit, _ in numbers} - {math.inf})
    limits = [limits[k] for k in torch.randperm(len(limits), generator=generator)]
    kept = [one for one in limits if numbers["attacked", one, "validation"] >= wanted]
    right = max(kept, key=lambda one: numbers["honest", one, "validation"])
    return (limits, wanted, numbers) if right not in (kept[0], kept[-1]) else _rigged(seed + 10008)
