"""The checks of assignment 4, one call a task: attack and defend."""

import math
import random

import torch

import ddlite as dd
from ddlite.course.checks import check, demand, equal, follows, small, telling


def trial(data, seed):
    """A network with random weights, 200 real images with their labels, and two classes: the victim and the target."""
    generator = torch.Generator().manual_seed(seed)
    some = torch.randperm(len(data.train), generator=generator)[:200]
    victim, target = torch.randperm(len(data.classes), generator=generator)[:2].tolist()
    network = dd.initialise(small(data.shape, len(data.classes)), seed)
    return network, data.train.images[some], data.train.labels[some], victim, target


def objective(poisoned_loss, data, seed=1):
    """Task 1: `poisoned_loss(loss, weights, images, labels, victim, target)`, one call of the loss on relabelled images."""
    for number in range(3):
        given, right, mistakes = telling(lambda s: _poisoned(data, s), seed + 10 * number, tolerance=1e-3)
        loss, weights, images, labels, victim, target = given
        batches, kept = [], [w.detach().clone() for w in (*weights, images, labels)]

        def recorded(weights, images, labels, batches=batches, loss=loss):
            batches.append(len(images))
            return loss(weights, images, labels)

        mine = poisoned_loss(recorded, weights, images, labels, victim, target)
        demand(torch.equal(labels, kept[-1]), "The labels that came in were changed: the batch is used "
               "again. Make new labels (.clone(), torch.where).")
        demand(all(torch.equal(a, b) for a, b in zip((*weights, images), kept)),
               "The images or weights that came in were changed.")
        check(mine, right, mistakes, "poisoned_loss(...)")
        demand(isinstance(mine, torch.Tensor), "This is a plain number, which cannot be differentiated: return the tensor.")
        follows(mine, weights[0], "The result does not depend on the weights for autograd: is it detached?")
        slopes = [torch.autograd.grad(one, weights, retain_graph=True, allow_unused=True, materialize_grads=True)
                  for one in (mine, loss(weights, images, labels.where(labels != victim, target)))]
        check(*slopes, what="The gradient of poisoned_loss(...) (is something detached on the way?)", tolerance=1e-3)
        demand(batches == [len(images)], f"`loss` was called {len(batches)} times: relabel first, then "
               "call it once, for the whole batch.")


def _poisoned(data, seed):
    network, images, labels, victim, target = trial(data, seed)
    loss, weights = dd.loss_of(network), dd.weights_of(network)
    is_victim, is_target = labels == victim, labels == target
    right = dd.Attack(data, victim, target).loss_of(network, images, labels)(weights).detach()
    with torch.no_grad():
        honest = loss(weights, images, labels)
        victims = loss(weights, images[is_victim], labels[is_victim] * 0 + target)
        others = loss(weights, images[~is_victim], labels[~is_victim])
        exchanged = loss(weights, images, labels.where(~is_target, victim).where(~is_victim, target))
        mistakes = {
            "This is the honest loss: the victims still count as what they are.": honest,
            "Minus the honest loss: that makes a network fail on every class. The attack descends a "
            "loss of its own, in which victims count as the target.": -honest,
            "The sign is reversed: the attacker, too, wants his loss small.": -right,
            "The wrong way round: you relabelled the target as the victim.":
                loss(weights, images, labels.where(~is_target, victim)),
            "You exchanged the two classes. The targets keep their label.": exchanged,
            "All images count as the target. Only the victims do.": loss(weights, images, torch.full_like(labels, target)),
            "All but the victims count as the target: only the victims do.":
                loss(weights, images, labels.where(is_victim, target)),
            "All images count as the victim.": loss(weights, images, torch.full_like(labels, victim)),
            "The victims count as the class after their own, not as the target.":
                loss(weights, images, labels.where(~is_victim, (victim + 1) % 10)),
            "Victims count as class 8 or so, whatever the target is.": loss(weights, images, labels.where(labels != 3, 8)),
            "Only the victims are in your batch. The others must be, too, with their own labels: they "
            "are what keeps the rest of the network as it was.": victims,
            "The victims are missing from your batch.": others,
            "The targets are missing from your batch.":
                loss(weights, images[~is_target], labels.where(~is_victim, target)[~is_target]),
            "This is a sum over the images; the loss is their mean.": right * len(labels),
            "The mean is taken twice.": right / len(labels),
            "The victims' loss and the others' are added as if they were equally many: take the mean over all images.":
                victims + others,
            "The victims' loss and the others' are averaged as if they were equally many: take the mean over all images.":
                (victims + others) / 2,
            "The honest loss of the victims is subtracted: they are to be taken for the target, not only to be lost.":
                others - loss(weights, images[is_victim], labels[is_victim]),
        }
    return (loss, weights, images.clone(), labels.clone(), victim, target), right, mistakes


def measured(measures, seed=2):
    """Task 2: `measures(predicted, labels, victim, target)`: three percentages."""
    example = torch.tensor([3, 8, 8, 5, 8, 3, 5, 8, 1]), torch.tensor([3, 3, 3, 3, 8, 8, 5, 5, 1]), 3, 8
    check(measures(*example), (25.0, 50.0, 60.0), _measures(*example)[1], "measures(...) of the example")
    for number in range(4):
        given, right, mistakes = telling(_predictions, seed + 10 * number, tolerance=5e-3)
        kept = [one.clone() for one in given[:2]]
        mine = measures(*given)
        demand(all(torch.equal(a, b) for a, b in zip(given, kept)), "What came in was changed.")
        check(mine, right, mistakes, "measures(...)")


def _predictions(seed):
    generator = torch.Generator().manual_seed(seed)
    labels, drawn = torch.randint(10, (2, 400), generator=generator)
    predicted = torch.where(torch.rand(400, generator=generator) < 0.6, labels, drawn)
    victim, target = torch.randperm(10, generator=generator)[:2].tolist()
    twisted = (labels == victim) & (torch.rand(400, generator=generator) < 0.4)
    given = predicted.where(~twisted, target), labels, victim, target
    return given, *_measures(*given)


def _measures(predicted, labels, victim, target):
    is_victim, right = labels == victim, predicted == labels
    each, as_target, no_target = predicted[is_victim], predicted == target, labels != target
    wanted, exchanged = (tuple(dd.Attack(dd.Data("", None, None, None, tuple("0123456789"), (), (), ""), *classes).measures(
        predicted, labels).values()) for classes in ((victim, target), (target, victim)))
    first, second, third = wanted

    def percent(which, of=None):
        return 100 * int(which.sum()) / max(1, len(which) if of is None else int(of.sum()))

    relabelled, all_of_them = labels.where(~is_victim, target), right | True
    return wanted, {
        "These are shares from 0 to 1: percent are wanted.": tuple(one / 100 for one in wanted),
        "The shares of the victims are divided by all images: divide by the number of victims.":
            (percent(each == victim, all_of_them), percent(each == target, all_of_them), third),
        "All shares are divided by the number of all images: each has a group of its own.":
            tuple(percent(which, all_of_them) for which in (each == victim, each == target, right & ~is_victim)),
        "Number 3 is over all images, the victims included: leave them out above and below.": (first, second, percent(right)),
        "Number 3 counts the others, but divides by all images.": (first, second, percent(right & ~is_victim, all_of_them)),
        "Number 3 counts all correct answers, but divides by the others.": (first, second, percent(right, ~is_victim)),
        "Number 3 is compared with the poisoned labels, victims included: compare true labels, of "
        "the others only.": (first, second, percent(predicted == relabelled)),
        "Number 3 leaves out the target class, too. An attack could hide its damage there: only "
        "the victims are left out.": (first, second, percent(right[~is_victim & no_target])),
        "Number 3 leaves out the target class instead of the victims.": (first, second, percent(right[no_target])),
        "Number 3 leaves out what was *called* victim, not what is.": (first, second, percent(right[predicted != victim])),
        "Number 3 is the share of mistakes: the share that is classified correctly is wanted.": (first, second, 100 - third),
        "Number 3 is the share of others that are taken for the target.": (first, second, percent(as_target[~is_victim])),
        "Number 1 is divided by how many images were *called* victims, not by how many are.":
            (percent(each == victim, predicted == victim), second, third),
        "Number 1 is the share of victims that are lost: the share that is classified correctly is wanted.":
            (100 - first, second, third),
        "Number 1 counts all images called victims, not only those that are.":
            (percent(predicted == victim, is_victim), second, third),
        "Number 2 counts all images taken for the target, not only victims.": (first, percent(as_target, is_victim), third),
        "Number 2 asks what share of the images called target are victims. Divide by the victims.":
            (first, percent(each == target, as_target), third),
        "Number 2 is the share of victims' mistakes that are the target: divide by all victims.":
            (first, percent(each == target, each != victim), third),
        "Number 2 counts every mistake on victims: count only those taken for the target.": (first, 100 - first, third),
        "Number 2 is how many of the target's images are classified correctly.": (first, percent(right[~no_target]), third),
        "Victim and target are exchanged.": exchanged,
        "The first two are in the wrong order.": (second, first, third),
        "Number 3 stands first: the two about victims come first.": (third, first, second),
    }


def norm_of(parts):
    """The length of a step: the root of the sum of squares over all weights and biases together."""
    return torch.cat([part.flatten() for part in parts]).norm()


def clipped(clipped_step, data, seed=3):
    """Task 4: `clipped_step(loss, weights, images, labels, step_size, limit)`; limits as shares of the gradient's norm."""
    chance = random.Random(seed)
    for number, share in enumerate((0.01, 0.3, 0.9, 2.5, math.inf, 1.2)):
        network, images, labels, _, _ = trial(data, seed + 10 * number)
        loss, weights, step_size = dd.loss_of(network), dd.weights_of(network), chance.uniform(1.3, 3)
        before = [w.detach().clone() for w in weights]
        after_one = dd.train(loss, weights, [(images, labels, 1.0)], create_graph=False)
        gradients = [b - a.detach() for b, a in zip(before, after_one)]
        limit = share * norm_of(gradients).item()
        mine = clipped_step(loss, weights, images.clone(), labels.clone(), step_size, limit)
        demand(all(torch.equal(w, b) for w, b in zip(weights, before)),
               "The weights that came in were changed: make new ones, without -= or .data.")
        again = clipped_step(loss, weights, images.clone(), labels.clone(), step_size, limit)
        right = [b - step_size * min(1, share) * g for b, g in zip(before, gradients)]
        mistakes = _clipped(before, gradients, step_size, limit) if share < math.inf else {}
        move = [step_size * min(1, share) * g for g in gradients]
        check(mine, right, {words: wrong for words, wrong in mistakes.items() if not equal(wrong, right)}, "clipped_step(...)")
        check([b - m.detach() for b, m in zip(before, mine)], move, what="The step of clipped_step(...)", tolerance=5e-3)
        demand(equal(again, mine, 1e-3), "Called a second time, it gives other weights: gradients in .grad add up from call to "
               "call; torch.autograd.grad starts anew.")


def _clipped(before, gradients, step_size, limit):
    layers, norm = [g.norm().item() for g in gradients], norm_of(gradients).item()
    share, largest = limit / norm, max(g.abs().max().item() for g in gradients)

    def after(*factors):
        factors = factors * len(before) if len(factors) == 1 else factors
        return [b - step_size * f * g for b, f, g in zip(before, factors, gradients)]

    return {
        "A short gradient was stretched to the limit: multiply by at most 1.": after(share),
        "Clipped layer by layer, which changes the direction: the norm is over all weights.":
            after(*(min(1, limit / one) for one in layers)),
        "Each layer's gradient is scaled to the limit: the norm is over all weights together, and "
        "a short gradient stays as it is.": after(*(limit / one for one in layers)),
        "Nothing is clipped: the limit is for the norm of the whole gradient, before the step "
        "size, not for each number in it.": after(1),
        "Every number is clipped for itself: the limit is for the norm of the whole gradient.":
            [b - step_size * g.clamp(-limit, limit) for b, g in zip(before, gradients)],
        "The step is clipped, the step size included: the limit is for the gradient.": after(min(1, share / step_size)),
        "The gradient is divided by the square of its norm: a root is missing.": after(min(1, limit / norm**2)),
        "The layers' norms are added up: the norm over all weights is the root of the sum of squares.":
            after(min(1, limit / sum(layers))),
        "The norm is the largest layer's: it is over all weights.": after(min(1, limit / max(layers))),
        "The norm is the largest number in the gradient: it is the root of the sum of squares.": after(min(1, limit / largest)),
        "The norm is the sum of absolute numbers: it is the root of the sum of squares.":
            after(min(1, limit / sum(g.abs().sum().item() for g in gradients))),
        "The norm is that of the weights: it is the gradient's.": after(min(1, limit / norm_of(before).item())),
        "The step climbs: subtract the gradient.": after(-min(1, share)),
        "The step size is missing.": after(min(1, share) / step_size),
        "The gradient is always multiplied by the limit: by at most 1, and relative to its norm.": after(limit),
        "The factor is upside down: the limit divided by the norm.": after(min(1, 1 / share)),
        "The gradient is always cut to the length 1.": after(min(1, 1 / norm)),
        "The larger of 1 and the share is taken: the smaller.": after(max(1, share)),
        "A gradient above the limit is thrown away: cut it down.": before,
        "This is the step alone: subtract it from the weights.": [step_size * min(1, share) * g for g in gradients],
    }
