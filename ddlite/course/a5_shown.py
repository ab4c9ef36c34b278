"""What the cells of assignment 5's checks show where an answer is right: pictures made with the answers."""

from dataclasses import replace

import torch

import ddlite as dd
from ddlite import batches, show
from ddlite.course.checks import small
from ddlite.gallery import idc


def from_noise(match_gradient, data, steps=80):
    """Task 2: ten images of noise, moved by the answer's gradient, at a fresh network each time."""
    noise, generator = dd.DistilledSet.noise(data, seed=0), torch.Generator().manual_seed(0)
    images = noise.images[0].clone()
    adam = torch.optim.Adam([images], 0.1, betas=(0.5, 0.999))
    for network in dd.RandomStart(small, data).networks("training", steps):
        real = batches.draw_by_class(data, 16, generator)
        images.grad = match_gradient(dd.loss_of(network), dd.weights_of(network), images, noise.labels[0], *real, _whole,
                                     _draw_nothing)
        adam.step()
    return _page(noise, torch.stack([noise.images[0], images]), f"Noise (top), and after {steps} steps of yours")


def on_their_way(condense, match_gradient, data, networks=30, matches=3):
    """Task 3: ten images from noise, by the answers to tasks 3 and 2."""
    noise, generator = dd.DistilledSet.noise(data, seed=0), torch.Generator().manual_seed(0)
    fresh = dd.RandomStart(small, data).networks("training", networks)
    loss = dd.loss_of(fresh[0])

    def slope(weights, images):
        real = batches.draw_by_class(data, 16, generator)
        return match_gradient(loss, weights, images, noise.labels[0], *real, _whole, _draw_nothing)

    images = condense(loss, [dd.weights_of(network) for network in fresh], noise.images[0], noise.labels[0], slope, matches, 5,
                      0.05, 20, 0.5)
    return _page(noise, images[None], f"Learned at {networks} networks, each matched {matches} times on its way")


def mosaics(enlarge, data):
    """Task 4: ten mosaics, and the pictures that the answer makes of them."""
    noise, kept = dd.DistilledSet.noise(data, seed=0), dd.DistilledSet.real(data, storage=idc.Patches(2))
    stored = kept.numbers()["patches"][0]
    rows = torch.cat([stored, enlarge(stored, noise.labels[0], 2)[0]]).unflatten(0, (-1, 10))
    return _page(noise, rows, "Ten mosaics (top), and the forty pictures that they stand for")


def blind(collective, distance, data):
    """Task 5: both of the answer's distances, at a network with all weights zero, as one picture is added to all images."""
    linear = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10, bias=False))
    torch.nn.init.zeros_(linear[1].weight)
    loss, weights, noise = dd.loss_of(linear), dd.weights_of(linear), dd.DistilledSet.noise(data, seed=0)
    real, curves = batches.draw_by_class(data, 16, torch.Generator()), {}
    for name, warm_up in {"by class": (1, 1), "all classes": (0, 0)}.items():
        moved = [(noise.images[0] + a * real[0][0]).requires_grad_() for a in (0, 1, 2, 3)]
        found = [collective(loss, weights, images, noise.labels[0], *real, distance, 0, 0, warm_up).item() for images in moved]
        curves[name] = [(a, each / found[0]) for a, each in enumerate(found)]
    return show.lines(curves, "how much of one picture is added to all images", "distance, relative",
                      "One picture added to all images: by class, and the mean of all classes")


def _page(noise, rows, words):
    """A picture of rows of ten images each, (rows, 10, 1, 8, 8)."""
    return show.images(replace(noise, images=rows, labels=noise.labels.repeat(len(rows), 1), step_sizes=torch.ones(len(rows))),
                       words)


def _whole(ours, theirs):
    """1 - cosine of the whole gradients, for networks in which half of the rows are zero."""
    a, b = (torch.cat([each.flatten() for each in side]) for side in (ours, theirs))
    return 1 - torch.cosine_similarity(a, b, 0)


def _draw_nothing():
    return lambda images: images
