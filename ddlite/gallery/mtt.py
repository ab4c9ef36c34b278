"""Matching trajectories: images that lead a network, in a few steps, where real training took it in whole epochs.

    min over S, α of  E_t  ‖θ_N - θ*_(t+M)‖² / ‖θ*_t - θ*_(t+M)‖²,    θ_0 = θ*_t,  θ_(i+1) = θ_i - α ∇ℓ(S_i; θ_i)

θ*_t: the weights of an expert, a network trained on real data, after t epochs. Cazenavette, Wang, Torralba, Efros, Zhu:
"Dataset Distillation by Matching Training Trajectories", CVPR 2022. No real image is looked at while the set is learned.
Ours: the common loop with Adam in place of SGD with momentum; a step size that is positive by construction; minibatches of the
set in a fixed order; no augmentation.
"""

from collections.abc import Iterator
from functools import partial

import torch
from torch import nn

from ddlite import goals, unroll
from ddlite.gallery.experts import Experts
from ddlite.networks import MLP, ConvNet3


class Follow(goals.Fit):
    """A goal: to end where the expert is. The loss is the squared distance to it, as a part of the way there.

    1 means no nearer than at the start, 0 that the network is there. Sets are chosen by the accuracy of fresh networks.

    Args:
        data: a `Data`; choosing looks at `data.validation`, learning at no image at all.

    Raises ValueError, when a set is learned, for networks that do not know where to get, which only `Experts` make.
    """

    name, loss_is = "follow", "squared distance to the expert, as a part of the way"

    def __repr__(self):
        return f"Follow({self.data.name!r})"

    def draw(self, batch_size, generator):
        """One image, which nobody looks at."""
        return self.data.train.images[:1], self.data.train.labels[:1]

    def loss_of(self, network, images, labels):
        """The normalised distance as a function of the weights where a training ended."""
        buffers = dict(network.named_buffers())
        if "_way" not in buffers:
            raise ValueError(f"This {type(network).__name__} has no expert to follow: learn with start=mtt.Experts(...).")
        way, target = buffers["_way"], [buffers[f"_target_{k}"] for k in range(len(unroll.weights_of(network)))]
        return lambda weights: sum((w - t).square().sum() for w, t in zip(weights, target)) / way


def walk(dset, network: nn.Module) -> Iterator[list[torch.Tensor]]:
    """The weights of a network before and after each step that a set with step sizes takes with it, recipe or not."""
    loss, weights = unroll.loss_of(network), unroll.weights_of(network)
    yield weights
    for t, step_size in enumerate(dset.step_sizes):
        step = [(dset.images[t % dset.batches], dset.labels[t % dset.batches], step_size)]
        weights = unroll.train(loss, weights, step, create_graph=False)
        yield weights


# A ConvNet follows short ways only, and learns the paths of few experts by heart: many, each with images of its own.
CONV = {"data": "mnist", "network": partial(ConvNet3, width=16), "step_size": 0.03, "learning_rate": 0.1, "validate_every": 200,
        "experts": 60, "expert_images": 2000, "expert_epochs": 7, "ahead": 1, "last": 6, "expert_batch": 128}

# What `ddlite distill --method` and lesson 6 learn, by profile. All begin with real images.
PROFILES = {
    "mtt": {
        "quick": {"data": "digits", "network": MLP, "outer_steps": 500},
        "quick-100": {"data": "digits", "network": MLP, "outer_steps": 250, "images_per_class_and_batch": 10},
        # A training on few images takes longer steps than an expert's minibatches do: these are large, so that its are as few.
        "laptop": {"data": "mnist", "network": MLP, "outer_steps": 600, "passes": 30, "step_size": 0.1, "experts": 5,
                   "expert_epochs": 2, "ahead": 1, "last": 1, "expert_rate": 0.1, "expert_batch": 512},
        "laptop-100": {"data": "mnist", "network": MLP, "outer_steps": 600, "images_per_class_and_batch": 10, "passes": 20,
                       "step_size": 0.1, "expert_epochs": 4, "ahead": 1, "last": 3, "expert_rate": 0.1, "expert_batch": 1024},
        "laptop-conv": {**CONV, "outer_steps": 800, "passes": 15},
        "laptop-conv-100": {**CONV, "outer_steps": 400, "batches": 10, "passes": 2, "validation_networks": 2},
        # The field's network, judged as in lesson 5's full setting. Experts take a minute or two each, so these are fewer.
        "full": {**CONV, "network": partial(ConvNet3, padding=3), "outer_steps": 800, "passes": 15, "experts": 24,
                 "expert_images": 1000, "expert_epochs": 5, "last": 4, "expert_batch": 64, "epochs": 1000, "augment": True,
                 "validate_every": 200, "validation_networks": 1},
    },
}

__all__ = ["PROFILES", "Experts", "Follow", "walk"]
