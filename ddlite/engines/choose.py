"""Which engine computes a network's meta-gradients: the one asked for, or the one that fits."""

from functools import partial

import torch

from ddlite import unroll
from ddlite.engines import adjoint, chain

ENGINES = ("plain", "adjoint", "chain")
SYNCHRONOUS = ("cpu",)  # devices that do what they are told at once; a GPU is told far ahead, and should not be waited for
LARGE = 5_000_000  # gradient steps x weights from which on the graph of a whole training is not kept (100 MB and more)
COLUMNS = 2**20  # numbers in a convolution's largest matrix of columns up to which a chain is faster than autograd


def engine_for(network, dset, engine=None):
    """The function that computes meta-gradients for a network on a distilled set: an engine by its name, or what fits."""
    weights, images, device = list(network.parameters()), dset.images, dset.images.device
    chained, keep = None, len(dset.step_sizes) * sum(weight.numel() for weight in weights) <= LARGE
    if engine == "chain" or (engine is None and device.type in SYNCHRONOUS):  # elsewhere nothing is gained
        try:
            chained = chain.of(network)
            _check_chain(chained, network, images[0], dset.labels[0])
        except ValueError:
            if engine:
                raise
            chained = None
    if chained and (engine or images.shape[1] * chained.columns(weights, images.shape[2:]) <= COLUMNS):
        return partial(adjoint.meta_gradient, derivatives=chained.derivatives, keep=keep)
    return unroll.meta_gradient if engine == "plain" or (engine is None and keep) else adjoint.meta_gradient


def _check_chain(chained, network, images, labels):
    """Refuse a chain that is not what its network does, however that came about."""
    # In double precision: in single, rounding now and then decides otherwise which pixel is the largest.
    weights = [weight.detach().double().requires_grad_() for weight in network.parameters()]
    images, labels = images.double(), labels.double() if labels.is_floating_point() else labels
    expected = torch.autograd.grad(unroll.loss_of(network)(weights, images, labels), weights)
    for ours, theirs in zip(chained.derivatives(weights, images, labels)[0], expected):
        if not torch.allclose(ours, theirs, rtol=1e-3, atol=1e-3 * theirs.abs().max().item(), equal_nan=True):
            raise ValueError(f"The gradient of {type(network).__name__} is not that of the chain that its code was read as.")
