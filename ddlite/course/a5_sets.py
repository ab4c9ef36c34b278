"""The checks of assignment 5, tasks 4 and 5: how images are stored, and what a sum of classes sees."""

import torch
from torch.nn import functional as F

from ddlite.course.a5 import called, gradient, squared, trial
from ddlite.course.checks import check, demand, follows, telling


def enlarged(enlarge, seed=4):
    """Task 4: `enlarge(stored, labels, k)`: the pictures of a mosaic, and their labels."""
    for number in range(4):
        given, right, mistakes = telling(_mosaics, seed + 10 * number, tolerance=1e-3)
        stored, labels, k = given
        kept = stored.detach().clone(), labels.clone()
        mine = enlarge(stored, labels, k)
        demand(torch.equal(stored, kept[0]) and torch.equal(labels, kept[1]), "What came in was changed.")
        check(mine, right, mistakes, "enlarge(...)", tolerance=1e-5)
        follows(mine[0], stored, "The pictures do not depend on what is stored for autograd: is something detached on the way? "
                                 "Then nothing could be learned through it.")
        weight = torch.randn(right[0].shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        slopes = [torch.autograd.grad((one * weight).sum(), stored, retain_graph=True)[0] for one in (mine[0], right[0])]
        check(*slopes, what="The gradient of the pictures with respect to what is stored", tolerance=1e-4)


def _mosaics(seed):
    generator = torch.Generator().manual_seed(seed)
    k = 2 + seed // 10 % 2
    number, height, width = 2 + seed % 3, 4 * k, 3 * k
    stored = torch.rand(number, 2, height, width, generator=generator, dtype=torch.float64).mul(2).sub(0.5).requires_grad_()
    labels = torch.randperm(10, generator=generator)[:number]

    def cut(stored, rows=range(k), columns=range(k), size=k):
        h, w = stored.shape[-2] // size, stored.shape[-1] // size
        return [stored[..., row * h:(row + 1) * h, column * w:(column + 1) * w] for row in rows for column in columns]

    def large(tiles, mode="bilinear", corners=None):
        return F.interpolate(tiles, (height, width), mode=mode, **({} if corners is None else {"align_corners": corners}))

    tiles, repeated, each = cut(stored), labels.repeat(k * k), labels.repeat_interleave(k * k)
    right, back = large(torch.cat(tiles)), range(k)[::-1]
    by_image = right.detach().unflatten(0, (k * k, number)).transpose(0, 1).flatten(0, 1)
    strided = [stored[..., row::k, column::k] for row in range(k) for column in range(k)]
    whole = F.interpolate(stored, scale_factor=k, mode="bilinear")
    sideways = [tile for column in range(k) for tile in cut(stored, columns=[column])]
    with torch.no_grad():
        mistakes = {
            "The labels are out of order: the first tile of every image comes first, so that labels repeat as a whole.":
                (right, each),
            "The tiles of one image come together: first the same tile of every image.": (by_image, repeated),
            "The tiles of one image come together, and labels with them: the order wanted is another.": (by_image, each),
            "The tiles go down first: row by row, from left to right.": (large(torch.cat(sideways)), repeated),
            "The tiles begin at the bottom.": (large(torch.cat(cut(stored, rows=back))), repeated),
            "The tiles go from right to left.": (large(torch.cat(cut(stored, columns=back))), repeated),
            "The tiles come in reverse order.": (large(torch.cat(tiles[::-1])), repeated),
            "Enlarged by repeating pixels (\"nearest\"): bilinearly is wanted.": (large(torch.cat(tiles), "nearest"), repeated),
            "Enlarged bicubically: bilinearly is wanted.": (large(torch.cat(tiles), "bicubic"), repeated),
            "Enlarged with align_corners=True: that stretches the pictures.": (large(torch.cat(tiles), corners=True), repeated),
            "Every k-th pixel was taken: a tile is a piece of the mosaic, with its neighbours.":
                (large(torch.cat(strided)), repeated),
            "First enlarged, then cut: the tiles bleed into one another at their edges.":
                (torch.cat(cut(whole)), repeated),
            "The tiles are turned over their diagonal.":
                (large(torch.cat([tile.transpose(-1, -2) for tile in tiles])), repeated),
            "Only the first tile is taken, k x k times.": (large(torch.cat(tiles[:1] * (k * k))), repeated),
            "The whole mosaic is taken k x k times: cut it first.": (stored.repeat(k * k, 1, 1, 1), repeated),
            "The tiles are not enlarged.": (torch.cat(tiles), repeated),
            "Each label is there once: every picture needs one.": (right, labels),
            "The values are divided by k x k: they are grey levels, and stay.": (right / k**2, repeated),
            "The values are multiplied by k x k.": (right * k**2, repeated),
            "The values are cut to 0..1: these are normalised pixels.": (right.clamp(0, 1), repeated),
            "The order of labels is turned round.": (right, labels.flip(0).repeat(k * k)),
            "Mirrored from left to right.": (right.flip(-1), repeated),
            "Upside down.": (right.flip(-2), repeated),
            "The channels are in another order.": (right.flip(1), repeated),
            "Two things are wanted, in this order: pictures, labels.": (repeated, right),
            "k is 2 here, whatever was asked for.": (large(torch.cat(cut(stored, range(2), range(2), 2))), labels.repeat(4))
            if k != 2 else (by_image, each),
            "Only the k tiles of the first row are taken.": (large(torch.cat(tiles[:k])), labels.repeat(k)),
            "Only the tiles on the diagonal are taken.": (large(torch.cat(tiles[::k + 1])), labels.repeat(k)),
        }
    return (stored, labels, k), (right, repeated), mistakes


def summed(collective, seed=5):
    """Task 5: `collective(loss, weights, images, labels, real, real_labels, distance, outer, inner, warm_up)`."""
    for number, (outer, inner, warm_up, classes) in enumerate((
            (3, 1, (4, 2), 3), (4, 1, (4, 2), 3), (3, 2, (4, 2), 4), (5, 4, (4, 2), 3), (0, 0, (4, 2), 4), (5, 2, (6, 4), 3),
            (3, 1, (2, 5), 3))):
        asked = outer, inner, warm_up, classes
        given, right, mistakes = telling(lambda s, asked=asked: _sums(s, *asked), seed + 10 * number)
        loss, weights, images, labels, real, real_labels = given
        kept = [one.detach().clone() for one in (*weights, images, labels, real, real_labels)]
        mine = called(collective, *given, squared, outer, inner, warm_up)
        demand(all(torch.equal(a, b) for a, b in zip((*weights, images, labels, real, real_labels), kept)),
               "What came in was changed.")
        check(mine, right.detach(), mistakes, f"collective(...) at outer step {outer}, inner step {inner}, warm_up={warm_up},")
        demand(isinstance(mine, torch.Tensor), "This is a plain number, which cannot be differentiated: return the tensor.")
        follows(mine, images, "The result does not depend on our images for autograd. Is our gradient taken with "
                              "create_graph=True, and not detached?")
        slopes = [torch.autograd.grad(one, images, retain_graph=True)[0] for one in (mine, right)]
        check(*slopes, what="The gradient of collective(...)", tolerance=1e-3)


def _sums(seed, outer, inner, warm_up, number):
    loss, weights, images, labels, real, real_labels = trial(seed, 3, 4, number)
    images, labels = images[labels.ne(1) | labels.eq(1).cumsum(0).eq(1)], labels[labels.ne(1) | labels.eq(1).cumsum(0).eq(1)]
    few = real_labels.ne(2) | real_labels.eq(2).cumsum(0).le(2)  # one class less often on our side, another on the real one
    real, real_labels, images = real[few], real_labels[few], images.requires_grad_()
    sides = (images, labels), (real, real_labels)

    def of(side, part=None):
        part = part if part is not None else side[1] == side[1]
        return gradient(loss, weights, side[0][part], side[1][part], create_graph=True)

    def of_classes(side):
        return [of(side, side[1] == c) for c in range(number)]

    def total(gradients, factor=1.0, each=lambda one: one):
        return [factor * sum(map(each, arrays)) for arrays in zip(*gradients)]

    mine, yours = map(of_classes, sides)
    own, their = (total(each, 1 / number) for each in (mine, yours))
    all_own, all_their = map(of, sides)
    together, by_class = squared(own, their), sum(squared(a, b) for a, b in zip(mine, yours))
    warm = outer < warm_up[0] and inner < warm_up[1]
    right, other = (by_class, together) if warm else (together, by_class)
    means = {"The batch's own mean on both sides: a class with more images counts more. Take the mean over classes.":
             squared(all_own, all_their),
             "The batch's own mean on our side: a class with more images counts more.": squared(all_own, their),
             "The batch's own mean on the real side: a class with more images counts more.": squared(own, all_their),
             "The classes' gradients are added up: the mean over classes is wanted.": together * number**2,
             "The distance of sums is divided by the number of classes once: the mean is over the gradients.":
                 together * number,
             "Absolute values are taken before the sum: what is opposite must cancel.":
                 squared(total(mine, 1 / number, torch.abs), total(yours, 1 / number, torch.abs)),
             "The squares of the gradients are averaged.":
                 squared(total(mine, 1 / number, torch.square), total(yours, 1 / number, torch.square)),
             "Each class is compared with the mean of all: both sides are means.": sum(squared(each, their) for each in mine),
             "Our mean is compared with each class: both sides are means.": sum(squared(own, each) for each in yours),
             "Only the first class is compared.": squared(mine[0], yours[0]),
             "The last class is missing.": squared(total(mine[:-1], 1 / number), total(yours[:-1], 1 / number)),
             "The two sides are added: take the difference.": squared(own, [-one for one in their]),
             "The mean is taken twice.": together / number**2,
             "The distance is the square root.": together.sqrt()}
    sums = {"By class, but the mean of the distances: their sum is wanted.": by_class / number,
            "By class, but each class with another one.": sum(squared(a, b) for a, b in zip(mine, yours[1:] + yours[:1])),
            "By class, but only the first.": squared(mine[0], yours[0]),
            "By class, but the last class is missing.": sum(squared(a, b) for a, b in zip(mine[:-1], yours[:-1])),
            "By class, but the square of each distance.": sum(squared(a, b) ** 2 for a, b in zip(mine, yours)),
            "By class, but the largest distance alone.": torch.stack([squared(a, b) for a, b in zip(mine, yours)]).max(),
            "By class, and the distance of the means added.": by_class + together,
            "By class, and squared in the end.": by_class**2}
    when = {True: "The warm-up is missing: by class while outer < warm_up[0] and inner < warm_up[1].",
            False: "By class, though the warm-up is over: it takes both, outer < warm_up[0] *and* inner < warm_up[1]. "
                           "Counting begins at 0, so that warm_up[0] itself is no longer in it."}
    words = when[warm]
    mistakes = {words: other, "The sign is reversed.": -right, **(sums if warm else means)}
    return ((loss, weights, images, labels, real, real_labels), right,
            {words: wrong.detach() if isinstance(wrong, torch.Tensor) else wrong for words, wrong in mistakes.items()})
