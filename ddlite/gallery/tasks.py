"""Learning one task after another: the old data are gone, and a memory of few floats has to stand for them.

A task is a `Data` of some of the classes, numbered from 0. `joined` puts memories side by side that were each made for a task
of their own. `remembering` lets a new memory be made of all classes so far: of the new ones from real images, of the old ones
from what the last memory kept. See `past` for the paper.
"""

from dataclasses import replace

import torch

from ddlite.data import need_data
from ddlite.distill import distill
from ddlite.distilled import DistilledSet
from ddlite.gallery import past
from ddlite.goals import Fit
from ddlite.machinery.arguments import several, whole
from ddlite.networks import MLP
from ddlite.scratch import Recipe
from ddlite.starts import RandomStart
from ddlite.storage import PIXELS
from ddlite.valid import need_set


def of_classes(data, labels):
    """A `Data` of some classes, given by their numbers, which count from 0 in it.

    Raises ValueError for a task of one class, in which there is nothing to tell apart, and for classes that do not exist.
    """
    need_data(data)
    last = len(data.classes) - 1
    labels = list(several("labels", labels, lambda name, label: whole(name, label, 0, last)))
    if len(set(labels)) < max(2, len(labels)):
        raise ValueError(f"A task of the classes {labels}: two or more are needed, all different, or there is nothing to tell "
                         "apart.")
    names, number = tuple(data.classes[label] for label in labels), torch.full((len(data.classes),), -1)
    number[labels] = torch.arange(len(labels))

    def part(split):
        new = number.to(split.labels.device)[split.labels]
        return replace(split, images=split.images[new >= 0], labels=new[new >= 0], classes=names)

    return replace(data, name=f"{data.name}, classes {' '.join(names)}", classes=names, train=part(data.train),
                   validation=part(data.validation), test=part(data.test))


def remembering(data, memory):
    """The same `Data`, where a memory's images stand for the real ones of its classes, which are the first ones of the data.

    They are repeated, so that each old class has about as many images as a new one. The test images stay.
    """
    need_data(data)
    need_set(memory)
    images, labels = memory.examples()
    if images.shape[1:] != data.shape:
        raise ValueError(f"The memory's images are {tuple(images.shape[1:])}, those of the data {data.shape}: they must agree.")
    old = len(memory.classes)
    if tuple(memory.classes) != tuple(data.classes[:old]):
        raise ValueError(f"The memory knows the classes {', '.join(memory.classes)}, and the data begin with "
                         f"{', '.join(data.classes[:old])}: they must be the same, in the same order.")
    if old == len(data.classes):
        raise ValueError("The memory knows all classes of the data: there is no new one to learn.")

    def part(split):
        new = split.labels >= old
        each = int(new.sum()) / max(1, len(data.classes) - old)
        times = max(1, round(each * old / len(images)))
        return replace(split, images=torch.cat([images.repeat(times, 1, 1, 1), split.images[new]]),
                       labels=torch.cat([labels.repeat(times), split.labels[new]]))

    return replace(data, train=part(data.train), validation=part(data.validation))


def joined(memories, recipe=None):
    """One ordinary set of memories of several tasks, for protocol B: the second one's classes follow the first one's.

    Its floats are those of decoded images: count what the memories keep.
    """
    if not (memories := list(memories)):
        raise ValueError("There is no memory to join: a list of at least one set is needed.")
    for memory in memories:
        need_set(memory)
    if len(shapes := {tuple(memory.images.shape[2:]) for memory in memories}) > 1:
        raise ValueError(f"The memories' images are {' and '.join(map(str, sorted(shapes)))}: they must be of one size.")
    images, labels, classes = [], [], ()
    for memory in memories:
        own, which = memory.examples()
        images, labels, classes = [*images, own], [*labels, which + len(classes)], (*classes, *memory.classes)
    return replace(memories[0], images=torch.cat(images)[None], labels=torch.cat(labels)[None], classes=classes,
                   step_sizes=None, momentum=None, tied=False, recipe=recipe or Recipe(), storage=PIXELS, stored=None)


def bases_within(data, budget, down=3, steps=15, seed=0):
    """Bases and addresses from noise, for a task, in at most so many floats: the more classes, the more bases."""
    count = 6 + len(data.classes)
    each = past.addresses_within(budget, data, count, down)
    pool = max(1, each // 10)
    return DistilledSet.noise(data, each // pool, passes=1, step_size=0.05, momentum=0.9, tied=True, seed=seed,
                              storage=past.Bases(count, down, pool, steps))


def learned(begin, data, outer_steps=200, seed=0, make=MLP):
    """All images of a set with addresses that was learned on a task: a memory, for protocol B. The last set counts, not a best
    one, because there may be no validation images of the old classes."""
    *_, state = distill(begin, RandomStart(make, data, seed=seed), Fit(data), outer_steps, seed=seed, validation_networks=1,
                        validate_every=outer_steps)
    return past.everyone(state.distilled)


def in_turn(data, each=2, budget=576, outer_steps=200, down=3, seed=0):
    """Memories of bases after each task, learned in two ways from the same floats for each class.

    A generator of (a `Data` of the classes so far, the memories of single tasks side by side, the memory that is learned anew
    from the last one and the new images). If `each` does not divide the classes, the last task has those that are left, or,
    if that is a single one, is joined to the task before it. Raises ValueError for tasks of fewer than two classes.
    """
    classes, alone, memory = len(data.classes), [], None
    ends = list(range(whole("each", each, 2, classes), classes - 1, each)) + [classes]
    for before, number in zip([0, *ends], ends):
        task, so_far = of_classes(data, range(before, number)), of_classes(data, range(number))
        alone.append(learned(bases_within(task, (number - before) * budget, down, seed=seed), task, outer_steps, seed))
        mixed = remembering(so_far, memory) if memory else so_far
        begin = bases_within(so_far, number * budget, down, seed=seed)
        memory = learned(begin, mixed, outer_steps, seed) if memory else alone[0]
        yield so_far, joined(alone), memory
