"""The checks of assignment 3, one call a task: a new domain in a hundred images."""

import itertools
import math
import operator
import random
from collections import Counter
from dataclasses import replace

import torch
from torch import nn
from torch.optim.optimizer import register_optimizer_step_pre_hook

import ddlite as dd
from ddlite.course.checks import alone, check, demand, equal, shuffled, small, telling
from ddlite.course.witness import keys_of, neighbours, watching


def normalise(normalised, seed=1):
    """Task 1: `normalised(pictures, target_train, source_train)`, by the statistics of the target's training pictures."""
    for number, channels in enumerate((1, 3, 3)):
        given, right, mistakes = telling(lambda s, channels=channels: _normalised(s, channels), seed + 10 * number)
        kept = [one.clone() for one in given]
        mine = normalised(*given)
        demand(all(torch.equal(a, b) for a, b in zip(given, kept)), "The pictures that came in were changed.")
        check(mine, right, mistakes, "normalised(...)", tolerance=2e-3)
        alone = normalised(given[0][:1], *given[1:])
        check(alone, right[:1], {}, "normalised(one picture, ...)", tolerance=2e-3)
    given, right, _ = _normalised(seed, 3, 1500)  # all of them, and not the first thousand
    check(normalised(*given), right, {}, "normalised(...)", tolerance=2e-3)


def _normalised(seed, channels, many=60):
    generator = torch.Generator().manual_seed(seed)

    def draw(number, darkest):  # every channel and every row has levels of its own, and the last pictures are the brightest
        levels = darkest + 60 * torch.rand(number, channels, 5, 4, generator=generator)
        levels += torch.linspace(0, 30, number).view(-1, 1, 1, 1)
        rows, planes = torch.arange(5).view(-1, 1), torch.arange(channels).view(-1, 1, 1)
        return (levels + 6 * rows + 25 * planes).to(torch.uint8)

    target_train, pictures, source_train = draw(many, 40), draw(12, 70), draw(60, 10)
    labels = torch.arange(many) % 2
    right = dd.from_arrays(target_train, labels, pictures, labels[:12], name="example").test.images
    one, train, old = (part / 255 for part in (pictures, target_train, source_train))

    def by(other, dim=(0, 2, 3)):
        return (one - other.mean(dim, keepdim=True)) / other.std(dim, keepdim=True)

    mean, std = (f(train, (0, 2, 3), keepdim=True) for f in (torch.mean, torch.std))
    in_one = {} if channels == 1 else {
        "These are the mean and deviation of all channels together: each channel has its own.": by(train, (0, 1, 2, 3)),
        "Every channel has the first one's mean and deviation: each channel has its own.": (one - mean[:, :1]) / std[:, :1],
        "The mean is each channel's, the deviation that of all together.": (one - mean) / train.std()}
    low, high = (f(train, (0, 2, 3), keepdim=True) for f in (torch.amin, torch.amax))
    return (pictures, target_train, source_train), right, {
        "These are the mean and deviation of the pictures themselves (here: test pictures). A "
        "network would see a picture differently in other company: use those of the target's training pictures.": by(one),
        "Each picture is normalised with its own mean and deviation, so that pale and dark ones "
        "become alike: use one mean and deviation of all training pictures.": by(one, (1, 2, 3)),
        "Each picture and channel is normalised by itself: average over the pictures, too.": by(one, (2, 3)),
        "These are the source's statistics; here the target's are wanted.": by(old),
        "The mean is the target's, the deviation the source's.": (one - mean) / old.std((0, 2, 3), keepdim=True),
        "The mean is the source's, the deviation the target's.": (one - old.mean((0, 2, 3), keepdim=True)) / std,
        "These are the statistics of source and target together: the target's alone are wanted.": by(torch.cat([train, old])),
        "These are the statistics of the pictures and the training pictures together.": by(torch.cat([train, one])),
        "Each pixel is normalised by itself: average over the pixels, too.": by(train, 0),
        "You divide by the variance, not by its root, the standard deviation.": (one - mean) / std**2,
        "The mean is subtracted, but nothing is divided by the deviation.": one - mean,
        "The mean is not subtracted.": one / std,
        "You divide first and subtract the mean then.": one / std - mean,
        "The mean is added: subtract it.": (one + mean) / std,
        "You multiply by the deviation: divide by it.": (one - mean) * std,
        "The statistics are of grey levels from 0 to 1, the pictures still run to 255: divide both by 255, or neither.":
            (one * 255 - mean) / std,
        "The pictures are grey levels from 0 to 1, the statistics are of bytes: divide both by 255, or neither.":
            (one - mean * 255) / (std * 255),
        "The pictures are only divided by 255, not normalised.": one,
        "The pictures are as they came: bytes.": one * 255,
        "This maps 0..255 to -1..1, whatever the data: use the statistics.": 2 * one - 1,
        "This maps the darkest to 0 and the brightest to 1: use mean and deviation.": (one - low) / (high - low),
        "The middle is the median: use the mean.":
            (one - train.transpose(0, 1).flatten(1).median(1).values.view(1, -1, 1, 1)) / std,
        "The result is cut to what grey levels could be.": ((one - mean) / std).clamp(-1, 1),
        **in_one,
    }


def pretrain(answer, source, target, seed=3):
    """Task 2: `pretrain(network, source, seed, epochs, batch_size)` trains a copy, in a new order in each epoch."""
    for number, (epochs, batch_size, rest) in enumerate(((4, 100, 98), (5, 64, 1))):  # rest: images in an epoch's last batch
        _pretrained(answer, source, target, seed + 10 * number, epochs, batch_size, rest)


def _pretrained(answer, source, target, seed, epochs, batch_size, rest):
    # The classes are renamed, and a part is left out: only who trains on the `source` that is handed in can know them.
    generator = torch.Generator().manual_seed(seed)
    names = torch.randperm(len(source.classes), generator=generator)
    full = (len(source.train) - 67 - rest) // batch_size * batch_size
    part = torch.randperm(len(source.train), generator=generator)[: full + rest]
    images = source.train.images[part]
    handed_in = replace(source, train=replace(source.train, images=images, labels=names[source.train.labels[part]]),
                        validation=replace(source.validation, labels=names[source.validation.labels]))
    network = dd.initialise(small(source.shape, len(names)), seed + 7000)
    before, kept = dd.weights_of(network), images.clone()

    def watched(seed, epochs):
        torch.manual_seed(random.randrange(2**31))  # the order is to come from `seed`, not from the global generator
        with alone(answer, off=[dd.pretrain]), watching() as shown:
            trained = answer(network, handed_in, seed, epochs, batch_size)
        looked_at = {key for one in shown for key in keys_of(one.images)}
        learned = [one for one in shown if one.gradient is not None]
        _check_sources(learned, handed_in, source, target)
        demand(not looked_at.intersection(keys_of(source.test.images)), "It looks at test images: they are for the report "
               "alone. To watch or to choose, there are validation images.")
        return trained, learned

    trained, learned = watched(seed, epochs)
    demand(isinstance(trained, nn.Module), f"Return the trained network; this is {type(trained).__name__}.")
    demand(all(torch.equal(w, b) for w, b in zip(network.parameters(), before)), "The network that "
           "came in was trained: it must stay as it was; train a copy.deepcopy of it.")
    demand(torch.equal(images, kept), "The images that came in were changed.")
    demand(not all(torch.equal(w, b) for w, b in zip(trained.parameters(), before)),
           "The weights are those from before: does the optimiser hold the copy's weights?")
    _check_epochs(learned, keys_of(images), epochs, batch_size)
    demand(learned[0].gradient.isnan().any() or equal(learned[0].logits, network(learned[0].images).detach(), 1e-3),
           "Training does not start at the weights of the `network` that was handed in: train a copy of it.")
    still = sum(torch.equal(w, b) for w, b in zip(trained.parameters(), before))
    demand(not still, f"{still} of the network's {len(before)} weight tensors have not moved: train them all.")
    _check_gradients(learned, dict(zip(keys_of(images), handed_in.train.labels.tolist())))
    _check_steps(lambda: watched(seed, 1))
    accuracy = dd.accuracy(trained, handed_in.validation)  # not asked where the last step is on one image, which may spoil it
    demand(accuracy > 70 or rest == 1, f"{accuracy:.0f} % of the validation images are classified correctly; more than 90 % "
           "can be had. Is the old gradient cleared before each step? The learning rate?")
    order = [keys_of(one.images) for one in learned]
    _, again = watched(seed, 1)
    demand(again, "Asked once more for the same seed, it trains nothing: train each network that is handed in.")
    demand([keys_of(one.images) for one in again] == order[:len(again)], "The same seed gave another order: draw it from "
           "torch.Generator().manual_seed(seed).")
    for more in (1, 2, 7, 10):
        _, other = watched(seed + more, 1)
        demand(other and keys_of(other[0].images) != order[0], "Another seed gave the same order: does `seed` play a part?")


def _check_sources(learned, handed_in, source, target):
    strange = {key for one in learned for key in keys_of(one.images)} - set(keys_of(handed_in.train.images))
    for name, splits in (("the target", (target.train, target.validation, target.test)),
                         ("source.validation or source.test", (source.validation, source.test)),
                         ("a `source` that was not handed in", (source.train,))):
        demand(not any(strange & set(keys_of(split.images)) for split in splits), "The network has "
               f"learned from images of {name}: pre-training is to use source.train, nothing else.")
    demand(not strange, "The network has learned from images that are not in source.train: they are "
           "normalised already, take them as they are.")


def _check_epochs(learned, in_order, epochs, batch_size):
    images, n = [key for one in learned for key in keys_of(one.images)], len(in_order)
    largest = max((len(one.images) for one in learned), default=0)
    demand(largest <= batch_size, f"A batch has {largest} images; batch_size={batch_size} was asked for.")
    demand(len(images) == epochs * n, f"{len(images)} images were learned from, in {len(learned)} steps; "
           f"{epochs} epochs of {n} are {epochs * n}. Does it go through all epochs, and in each "
           "through every batch, the last and smaller one too?")
    demand(len(learned) == epochs * math.ceil(n / batch_size), f"{len(learned)} gradients were computed; {epochs} epochs of "
           f"{math.ceil(n / batch_size)} batches are {epochs * math.ceil(n / batch_size)}.")
    sizes = [len(one.images) for one in learned[:math.ceil(n / batch_size)]]
    demand(max(sizes) == sizes[0] == batch_size and sizes[:-1] == sizes[:1] * (len(sizes) - 1), f"The batches of an epoch have "
           f"{', '.join(map(str, sizes))} images: each has batch_size={batch_size}, and the last one the rest.")
    orders = [images[start:start + n] for start in range(0, len(images), n)]
    demand(all(Counter(order) == Counter(in_order) for order in orders), "Some images come more "
           "than once in an epoch, others never: go through a permutation (torch.randperm) of all.")
    demand(in_order not in orders and in_order[::-1] not in orders, "The images come in the order of the data: shuffle them.")
    demand(all(a != b for a, b in itertools.pairwise(orders)), "All epochs have the same order: draw a new one in each.")
    first = {frozenset(order[:batch_size]) for order in orders}
    demand(len(first) == len(orders), "The batches of all epochs hold the same images: draw from all of them anew in each.")
    demand(neighbours(orders, in_order) < 0.1, "The images come nearly in the order of the data: shuffle them one by one, not "
           "in blocks.")


def _check_gradients(learned, labels):
    """The gradient that came back to the logits must be that of cross-entropy with these labels, but for a factor."""
    demand(not any(one.added for one in learned), "The old gradient is not cleared before each step: .grad adds up; call "
           "optimizer.zero_grad().")
    for one in learned[:6]:
        given = [labels[key] for key in keys_of(one.images)]
        alike = sum(itertools.starmap(operator.eq, itertools.pairwise(given))) / max(1, len(given) - 1)
        demand(alike < 0.6, "The images come class by class: shuffle them all together.")
        if one.gradient.isnan().any():
            continue
        wanted = one.logits.softmax(1) - nn.functional.one_hot(torch.tensor(given), one.logits.shape[1])
        alike = (one.gradient * wanted).sum() / (one.gradient.norm() * wanted.norm()).clamp(min=1e-12)
        demand(alike > 0, "The step climbs: descend the cross-entropy, do not negate it.")
        demand(alike > 0.999, "The loss is not the cross-entropy of the logits with the labels of these images. Do labels and "
               "images come in the same order? cross_entropy wants logits, without a softmax.")


def _check_steps(run):
    """Where an optimiser of PyTorch makes the steps, there must be one for each batch."""
    seen = []

    def note(optimizer, *_):
        seen.append(optimizer)

    handle = register_optimizer_step_pre_hook(note)
    try:
        _, learned = run()
    finally:
        handle.remove()
    demand(not 0 < len(seen) < len(learned), f"{len(learned)} gradients, but {len(seen)} steps: make one with each batch.")


class Shifted:
    """A pool with other networks than the one that the notebook holds; notes which are asked for.

    `shown`, as from `watching`, forgets what a network is pre-trained on that the pool does not hold yet.
    """

    def __init__(self, pool, by, shown=()):
        self.pool, self.by, self.asked, self.shown = pool, by, [], shown

    def networks(self, role="held-out", number=1, first=0):
        self.asked += [(role, k % self.pool.size) for k in range(first, first + number)]
        before = len(self.shown)
        found = [self.pool.networks(role, 1, k + self.by)[0] for k in range(first, first + number)]
        if self.shown:
            del self.shown[before:]
        return found

    def network(self, role, index):
        return self.networks(role, 1, index)[0]

    def __getattr__(self, name):
        return getattr(self.pool, name)


def gradient(pool_gradient, pool, target, seed=4):
    """Task 3: `pool_gradient(pool, data, dset, which, number, first)`, the mean meta-gradient over pre-trained networks."""
    for number, (batches, passes, networks, first) in enumerate(((2, 2, 3, 1), (1, 3, 2, 3), (3, 1, 4, 4))):
        generator = torch.Generator().manual_seed(seed + number)
        order = torch.randperm(len(target.train), generator=generator)[: len(target.train) - 50]
        data = replace(target, train=replace(target.train, images=target.train.images[order],
                                             labels=target.train.labels[order]))
        dset = dd.DistilledSet.noise(target, batches=batches, passes=passes, step_size=0.1, seed=seed + number)
        dset = replace(shuffled(dset, generator), step_sizes=0.05 + 0.1 * torch.rand(batches * passes, generator=generator))
        which = torch.randint(min(len(target.validation), len(target.test), len(order)), (40,), generator=generator)
        images, step_sizes, other = dset.images.clone(), dset.step_sizes.clone(), Shifted(pool, 1 + seed % 3)
        mine = pool_gradient(other, data, dset, which, networks, first)
        demand(torch.equal(images, dset.images) and torch.equal(step_sizes, dset.step_sizes)
               and not dset.images.requires_grad, "The set that came in was changed: work on copies of its tensors.")
        check(mine, *_pool_gradients(other, data, dset, which, networks, first), "pool_gradient(...)", tolerance=1e-3)


def _pool_gradients(pool, data, dset, which, number, first):
    def on(networks, split=data.train, which=which, dset=dset):
        """By the package's other engine."""
        parts = []
        for network in networks:
            loss = dd.loss_of(network)
            value, gradients = dd.adjoint.meta_gradient(
                loss, lambda w, loss=loss: loss(w, split.images[which], split.labels[which]),
                dd.weights_of(network), dset.images, dset.labels, dset.step_sizes)
            parts.append((value, gradients["images"], gradients["step_sizes"]))
        return tuple(torch.stack(part).mean(0) for part in zip(*parts))

    own = list(pool.networks("training", number, first))
    value, by_images, by_sizes = right = on(own)
    # All weights averaged: a network that was never trained.
    mixed = dd.unroll.with_weights(own[0], [sum(w) / number for w in zip(*map(dd.weights_of, own))])
    untrained = on(own, dset=dset.with_step_sizes(0.0))[0]
    one = on(own[:1])
    last = on(own[-1:])
    first_labels = {} if dset.batches == 1 else {"The labels are always those of the first batch: each batch has its own.":
                                                 on(own, dset=replace(dset, labels=dset.labels[:1].expand_as(dset.labels)))}
    return right, first_labels | {
        "This is the sum over the networks: divide by their number.": [part * number for part in right],
        "Only the gradients are averaged; the loss is the sum.": (value * number, by_images, by_sizes),
        "The loss is averaged, the gradients are sums: divide all three.": (value, by_images * number, by_sizes * number),
        "Only one network was used: images learned for one do not serve the others.": one,
        "Only the last network's gradient is returned: add them up.": last,
        "The loss is the last network's alone: take the mean.": (last[0], by_images, by_sizes),
        "The loss is the first network's alone: take the mean.": (one[0], by_images, by_sizes),
        "The real batch is the source's, which the networks know already: look at the target's.": on(own, pool.source.train),
        "The real batch is of the validation images: they are to choose by; use data.train.": on(own, data.validation),
        "The real batch is of the test images: they are to report on; use data.train.": on(own, data.test),
        "Training starts at fresh weights: use pool.networks, which are pre-trained.":
            on(pool.fresh.networks("training", number, first)),
        "These are held-out networks: keep them for the report, and learn with the training role.":
            on(pool.networks("held-out", number, first % 2)) if first < 2 else on(pool.networks("held-out", 1, 0)),
        "These are validation networks: they are to choose by; learn with the training role.":
            on(pool.networks("validation", 1, 0)),
        "These are networks number 0, 1, ...: begin at `first`.": on(pool.networks("training", number)),
        "These networks begin one after `first`.": on(pool.networks("training", number, first + 1)),
        "These are the networks before `first`, too: `number` of them, from `first` on.":
            on(pool.networks("training", number + first)),
        "The networks' weights are averaged, and one network is trained: train each, and average the gradients.": on([mixed]),
        "The gradients have the wrong sign: return them as they are.": (value, -by_images, -by_sizes),
        "The two gradients are in the wrong order: images first.": (value, by_sizes, by_images),
        "The loss is that before any training.": (untrained, by_images, by_sizes),
        "The batch is always the first images of the training part: take number `which`.":
            on(own, which=torch.arange(len(which))),
    }
