"""The checks of assignment 5, one call a task: matching gradients. Task 3 is checked in `a5_learning`, 4 and 5 in `a5_sets`."""

import torch
from torch import nn

from ddlite import unroll
from ddlite.course.checks import alone, check, demand, follows, telling

CLASSES = 3
ALL, REST = slice(None), slice(2, None)


def trial(seed, images_per_class=2, real_per_class=4, classes=CLASSES):
    """A small example to match gradients on, drawn from a seed, all in float64.

    Returns the loss of a network with a convolution and a linear layer, its weights, images (n, 1, 4, 4) and labels (n,) of
    three classes or more, and real images and labels likewise.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.Tanh(), nn.Flatten(), nn.Linear(32, classes)).double()
        means = torch.randn(classes, 1, 4, 4, dtype=torch.float64)
        sides = []
        for number in (images_per_class, real_per_class):
            labels = torch.arange(classes).repeat(number)[torch.randperm(classes * number)]
            sides += [means[labels] + 0.7 * torch.randn(len(labels), 1, 4, 4, dtype=torch.float64), labels]
    return unroll.loss_of(network), unroll.weights_of(network), *sides


def gradient(loss, weights, images, labels, create_graph=False):
    """The gradient of a loss with respect to the weights, a list."""
    return list(torch.autograd.grad(loss(weights, images, labels), weights, create_graph=create_graph))


def squared(ours, theirs):
    """The squared distance of two gradients."""
    return sum((a - b).square().sum() for a, b in zip(ours, theirs))


def called(answer, *given, forgotten="Is the gradient on our images taken with create_graph=True?"):
    """What an answer returns; an error of autograd, which says little to a beginner, in other words."""
    try:
        return answer(*given)
    except RuntimeError as cause:
        words = str(cause)
        demand("grad" not in words and "graph" not in words, f"PyTorch could not differentiate ({words.splitlines()[0][:90]}). "
               f"{forgotten}")
        raise


def distanced(distance, seed=1):
    """Task 1: `distance(ours, theirs)`, a cosine for each output row."""
    for number in range(4):
        given, right, mistakes = telling(_rows, seed + 10 * number)
        kept = [[one.clone() for one in side] for side in given]
        with alone(distance, "slow_distance"):
            mine = distance(*given)
        demand(all(torch.equal(a, b) for side, before in zip(given, kept) for a, b in zip(side, before)),
               "The gradients that came in were changed.")
        demand(not torch.as_tensor(mine).isnan(), "The distance is NaN: 0 is divided by 0 where a row is zero.")
        check(mine, right.detach(), mistakes, "distance(...)")
        demand(isinstance(mine, torch.Tensor), "This is a plain number, which cannot be differentiated: return the tensor.")
        follows(mine, given[0][2], "The result does not depend on our gradient for autograd: is it detached?")
        follows(mine, given[0][0], "The result does not depend on the convolution's gradient for autograd: is it detached?")
        found = [torch.autograd.grad(one, given[0][::2], retain_graph=True) for one in (mine, right)]
        demand(all(part.isfinite().all() for part in found[0]), "The gradient of distance(...) is NaN where a row is zero: "
               "torch.where hides a division by 0, but not its slope. Put another length in before you divide.")
        # Not of the rows of zeros, where the distance has no slope.
        slopes = [[part[rows] for part, rows in zip(parts, (ALL, REST, ALL))] for parts in found]
        check(*slopes, what="The gradient of distance(...) (is something detached on the way?)", tolerance=1e-3)
    same = [torch.randn(3, 4, dtype=torch.float64) * 1e-12, torch.randn(3, dtype=torch.float64)]
    check(1 + distance(same, same), torch.ones((), dtype=torch.float64), what="1 + distance(a, a)")


def _rows(seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = (3, 2, 3, 3), (3,), (4, 6), (4,), (2, 1, 5)
    common = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    # Gradients of a network that has learned are small: what is added to a norm must be small beside it.
    ours, theirs = ([scale * (one + 0.6 * torch.randn(one.shape, generator=generator, dtype=torch.float64)) for one in common]
                    for scale in (3e-10, 1e-10))
    ours[2][0] = theirs[2][1] = 0  # a hidden unit that is off, and one that is off on real images
    ours[0][1] *= -1  # and a row that points the other way
    ours = [one.requires_grad_() for one in ours]

    def cosine(a, b, least=0.0):
        return ((a * b).sum(-1) / (a.norm(dim=-1) * b.norm(dim=-1)).clamp(min=max(least, 1e-300)))

    def summed(pairs, of=lambda cosines: (1 - cosines).sum()):
        return sum(of(cosine(a, b)) for a, b in pairs)

    arrays = [(a, b) for a, b in zip(ours, theirs) if a.dim() > 1]
    rows, all_rows = ([(a.flatten(1), b.flatten(1)) for a, b in arrays], sum(len(a) for a, _ in arrays))
    right, detached = summed(rows), [(a.detach(), b) for a, b in rows]
    biases = [(a[None].detach(), b[None]) for a, b in zip(ours, theirs) if a.dim() == 1]
    numbers = [(a[..., None].detach(), b[..., None]) for a, b in zip(ours, theirs) if a.dim() == 1]
    plain = [(a.detach(), b) for a, b in zip(ours, theirs)]
    one = [torch.cat([side.flatten() for side in sides]) for sides in zip(*plain)]
    cut = [(a.detach(), b) for a, b in arrays]
    with torch.no_grad():
        mistakes = {
            "The biases are compared, too: only arrays with two or more dimensions count.": summed(detached + biases),
            "The biases are compared, too, each number as a row: only arrays with two or more dimensions count.":
                summed(detached + numbers),
            "One cosine for each array: the paper takes one for each output row.":
                summed([(a.flatten()[None], b.flatten()[None]) for a, b in cut]),
            "One cosine for each array, biases included.": summed([(a.flatten()[None], b.flatten()[None]) for a, b in plain]),
            "One cosine for the whole gradient: the paper takes one for each output row.": 1 - cosine(*one),
            "The rows are columns here: the first dimension counts the outputs.":
                summed([(a.transpose(0, 1).flatten(1), b.transpose(0, 1).flatten(1)) for a, b in cut]),
            "A cosine for each kernel of the convolution: a row is all that leads to one output, all channels in.":
                summed([(a.flatten(0, -3).flatten(1), b.flatten(0, -3).flatten(1)) if a.dim() == 4 else (a, b)
                        for a, b in cut]),
            "This is a mean over the rows: the sum is wanted.": right / all_rows,
            "The mean over each array's rows is added up: the sum over all rows is wanted.":
                summed(detached, lambda cosines: (1 - cosines).mean()),
            "This is the sum over arrays divided by their number.": right / len(rows),
            "These are the cosines themselves: 1 - cosine is the distance.": summed(detached, torch.sum),
            "The sign is wrong: 1 - cosine, not 1 + cosine.": summed(detached, lambda cosines: (1 + cosines).sum()),
            "Rows that point the opposite way count as alike: no absolute value.":
                summed(detached, lambda cosines: (1 - cosines.abs()).sum()),
            "The cosine is squared.": summed(detached, lambda cosines: (1 - cosines**2).sum()),
            "The distance is squared.": summed(detached, lambda cosines: ((1 - cosines) ** 2).sum()),
            "The rows are averaged first, and one cosine is taken for each array.":
                summed([(a.mean(0)[None], b.mean(0)[None]) for a, b in detached]),
            "Each row is made a single number, its mean, before they are compared.":
                summed([(a.mean(1)[None], b.mean(1)[None]) for a, b in detached]),
            "The lengths are left out, or something like 1e-6 is added to them: beside a small gradient that is no trifle.":
                float(all_rows),
            "Norms below 1e-8 count as zero, PyTorch's default eps in cosine_similarity: beside a small gradient that is no "
            "trifle. Give it another, or bring each row to length 1 first.":
                sum((1 - nn.functional.cosine_similarity(a, b, 1)).sum() for a, b in detached),
            "A row of zeros counts nothing here: it has no direction, so that its cosine is 0 and it counts 1.": right - 2,
            "A row of zeros counts 2 here: its cosine is 0, so that it counts 1.": right + 2,
            "These are squared differences: cosines do not see a gradient's length.":
                sum((a - b).square().sum() for a, b in detached),
            "These are absolute differences.": sum((a - b).abs().sum() for a, b in detached),
            "The linear layer is missing.": summed(detached[:1]),
            "The convolution is missing: flatten its rows.": summed([pair for pair in cut if pair[0].dim() == 2]),
        }
    return (ours, theirs), right, mistakes


def matched(match_gradient, seed=2):
    """Task 2: `match_gradient(loss, weights, images, labels, real_images, real_labels, distance, draw)`."""
    for number in range(2):
        classes = CLASSES + number
        (given, moves), right, mistakes = telling(lambda s, classes=classes: _matches(s, classes), seed + 10 * number)
        kept, waiting, calls = [one.detach().clone() for one in (*given[1], *given[2:])], list(moves), []

        def draw(waiting=waiting, classes=classes):
            demand(waiting, f"`draw` was called more than {classes} times: once for each class, for both sides.")
            return waiting.pop(0)

        def counted(*arguments, loss=given[0], calls=calls):
            calls.append(len(arguments))
            return loss(*arguments)

        mine = called(match_gradient, counted, *given[1:], squared, draw)
        demand(all(torch.equal(a, b) for a, b in zip((*given[1], *given[2:]), kept))
               and not given[2].requires_grad, "What came in was changed: work on a copy of the images.")
        check(mine, right, mistakes, "match_gradient(...)")
        demand(not waiting, f"`draw` was called {classes - len(waiting)} times: once for each of {classes} classes.")
        demand(len(calls) <= 10 * classes, f"The loss was called {len(calls)} times: are these finite differences? Twice for "
               "each class will do, and torch.autograd.grad for the rest.")


def moving(generator):
    """An augmentation: moves pictures sideways and makes them paler or stronger."""
    shift, factor = int(torch.randint(1, 4, (), generator=generator)), 0.5 + torch.rand((), generator=generator).item()
    return lambda images: factor * images.roll(shift, -1)


def _matches(seed, number):
    loss, weights, images, labels, real, real_labels = trial(seed, number - 1, classes=number)
    generator = torch.Generator().manual_seed(seed)
    moves = [moving(generator) for _ in range(number)]
    own, their = ([of == c for c in range(number)] for of in (labels, real_labels))
    everything, still, classes = labels == labels, lambda images: images, range(number)
    all_real = real_labels == real_labels

    def apart(pixels, mine, yours, move, other=None):
        """The distance of two gradients: of some of our images, and of some real ones, each moved."""
        ours = gradient(loss, weights, move(pixels)[mine], labels[mine], create_graph=True)
        return squared(ours, gradient(loss, weights, (other or move)(real)[yours], real_labels[yours]))

    def slope(distance):
        pixels = images.clone().requires_grad_()
        return torch.autograd.grad(distance(pixels), pixels)[0]

    def by_class(ours, theirs, own=own, their=their, power=1, classes=classes):
        return slope(lambda pixels: sum(apart(pixels, own[c], their[c], ours[c], theirs[c]) ** power for c in classes))

    def at_moved(c):
        moved = moves[c](images).requires_grad_()
        return torch.autograd.grad(apart(moved, own[c], their[c], still, moves[c]), moved)[0]

    right, none, turned = by_class(moves, moves), [still] * number, moves[1:] + moves[:1]
    return ((loss, weights, images, labels, real, real_labels), moves), right, {
        "All classes are in one batch on both sides: match a class at a time.":
            slope(lambda pixels: apart(pixels, everything, all_real, moves[0])),
        "All classes are in one batch on both sides, and none is moved.":
            slope(lambda pixels: apart(pixels, everything, all_real, still)),
        "Our images of all classes are matched with each class's real ones: pick the class on both sides.":
            by_class(moves, moves, own=[everything] * number),
        "Real images of all classes are the target of each class: pick the class on both sides.":
            by_class(moves, moves, their=[all_real] * number),
        "Nothing is moved: apply `move = draw()` to both sides.": by_class(none, none),
        "Only our images are moved: both sides get the same augmentation.": by_class(moves, none),
        "Only the real images are moved: both sides get the same augmentation.": by_class(none, moves),
        "The two sides are moved differently: one draw for both.": by_class(moves, turned),
        "The two sides are moved differently: one draw for both, not one for each.": by_class(turned, moves),
        "One augmentation for all classes: draw a new one for each.": by_class(moves[:1] * number, moves[:1] * number),
        "The draws are in another order than the classes.": by_class(moves[::-1], moves[::-1]),
        "The sign is reversed.": -right,
        "This is the mean over the classes: the sum is wanted.": right / number,
        "The gradient is zero: is ours taken with create_graph=True, and theirs the one that is constant?": 0 * right,
        "Another class's real images are the target.": by_class(moves, moves, their=their[1:] + their[:1]),
        "The last class is missing.": by_class(moves, moves, classes=classes[:-1]),
        "Only the first class is matched.": by_class(moves, moves, classes=[0]),
        "Only the last class is matched: add up.": by_class(moves, moves, classes=classes[-1:]),
        "The distances are squared before they are added.": by_class(moves, moves, power=2),
        "Each of our images is matched for itself: match the mean gradient of a class.":
            slope(lambda pixels: sum(apart(pixels, [k], their[labels[k]], moves[labels[k]]) for k in range(len(labels)))),
        "Each real image is matched for itself: its class's mean gradient is the target.":
            slope(lambda pixels: sum(apart(pixels, own[real_labels[k]], [k], moves[real_labels[k]])
                                     for k in range(len(real_labels)))),
        "Only the first real image of each class is looked at.":
            slope(lambda pixels: sum(apart(pixels, own[c], their[c].nonzero()[0], moves[c]) for c in classes)),
        "This is the gradient with respect to the moved images: differentiate through the augmentation.":
            sum(map(at_moved, classes)),
        "The result is twice the gradient: is it accumulated in .grad twice?": 2 * right,
        "This is the gradient of the loss, not of the distance.": slope(lambda pixels: loss(weights, pixels, labels)),
    }
