"""Whether a network can be trained on a distilled set and differentiated through: found by what it does.

All of ddlite takes a network for a fixed function of its weights and of each image. One that draws random numbers, remembers
earlier calls or looks at the other images of a batch is none, and would give wrong numbers without a word.
"""

import contextlib
import copy
import random

import numpy as np
import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.utils.spectral_norm import SpectralNorm

from ddlite import derivatives

FEW = 3  # images that a network is tried on


@contextlib.contextmanager
def gradients_on():
    """Gradients can be taken inside, even twice, and even if the caller is under `torch.no_grad()` or `inference_mode()`.

    Attention is computed by the one of PyTorch's kernels that has second derivatives, and convolutions with all 32 bits of
    their numbers. Works as a decorator, too.
    """
    with torch.inference_mode(False), sdpa_kernel(SDPBackend.MATH), _all_bits():
        yield


@contextlib.contextmanager
def _all_bits():
    """Convolutions on a GPU in full precision.

    By default, PyTorch rounds what goes into them to 10 bits (TF32). That is enough for a training. The gradient through
    thirty steps of AlexCifarNet was 29 % off with it, and 5e-7 without.
    """
    where, name = torch.backends.cudnn, "allow_tf32"
    if hasattr(where, "conv"):  # the newer name, which does not mix with the older one
        where, name = where.conv, "fp32_precision"
    before = getattr(where, name)
    setattr(where, name, False if name == "allow_tf32" else "ieee")
    try:
        yield
    finally:
        setattr(where, name, before)


def check(network, images=None, classes=None, twice=False):
    """Refuse a network that gradient descent cannot be unrolled through.

    It must be a fixed function of its weights and of each image: two calls agree, no call changes a weight or a buffer, and an
    image gets the same logits alone as among others. BatchNorm in evaluation mode is such a function, in training mode it is
    none. Neither the network nor any generator of random numbers is changed.

    Args:
        network: an `nn.Module`.
        images: (N, C, H, W), as it will be given; the first few are tried, with the network's own and with slightly other
            weights. Without images, only what its layers say of themselves is looked at.
        classes: how many logits it should give.
        twice: whether it will be differentiated twice, as learning a set does: then its second derivatives are compared with
            differences of its first ones, in double precision.

    Returns the network. Raises ValueError with the layer or the behaviour, and what to do about it.
    """
    _check_layers(network)
    if images is not None:
        with _undisturbed(images.device), gradients_on():
            images = images.detach()[:FEW].clone()
            if twice:  # in learning, real and distilled images are laid out channels last in memory
                images = images.to(memory_format=torch.channels_last)
            if len(images) == 1:  # to see one among others, another is needed
                images = torch.cat([images, images.flip(-1).roll(1, -1)])
            own = copied(network)
            _check_calls(own, images, classes)
            derivatives.check(own, images, twice)
    return network


def copied(network):
    """A copy of a network. Raises ValueError, with the way out, for one that PyTorch cannot copy."""
    try:
        with gradients_on():
            return copy.deepcopy(network)
    except Exception as cause:  # whatever the attributes of a module do that are not made for copying
        raise ValueError(f"This {type(network).__name__} cannot be copied ({derivatives.line(cause)}). In place of "
                         "nn.utils.weight_norm and spectral_norm, take those of nn.utils.parametrizations; and keep no results "
                         "of earlier calls in the network.") from cause


def logits_of(network, images, classes=None):
    """What a network gives for images (N, C, H, W): logits (N, classes).

    Raises ValueError for a network that does not take them, or gives something else, with what to change.
    """
    name, shape = type(network).__name__, tuple(images.shape[1:])
    for weight in network.parameters():
        if weight.requires_grad and weight.is_floating_point() and weight.dtype != images.dtype:
            way = "float()" if images.dtype == torch.float32 else f"to({images.dtype})"
            raise ValueError(f"The weights of this {name} are {weight.dtype}, the images {images.dtype}: call "
                             f"network.{way} first.")
    try:
        logits = network(images)
    except Exception as cause:  # the code of a network may raise anything when it is given images of another shape
        way = ("use flatten(1) in its forward, since images are laid out channels last in memory" if "view" in str(cause) else
               "build it for them, as in make(data.shape, len(data.classes)), and pre-train it on a source of the same shape: "
               "load(..., size=, channels=)")
        raise ValueError(f"This {name} does not take images {shape} ({derivatives.line(cause)}): {way}.") from cause
    if not isinstance(logits, torch.Tensor):
        raise ValueError(f"This {name} returns a {type(logits).__name__}, and logits (N, classes), a tensor, are needed: wrap "
                         "it in a module whose forward returns the logits alone.")
    if logits.dim() != 2 or len(logits) != len(images):
        raise ValueError(f"This {name} gives {tuple(logits.shape)} for {len(images)} image(s) {shape}, and logits "
                         f"({len(images)}, {classes or 'classes'}) are needed: one row for each image.")
    if logits.shape[1] != (classes or logits.shape[1]):
        raise ValueError(f"This {name} gives {logits.shape[1]} logits for an image, and {classes} classes need {classes}: "
                         f"build it for them, as in make(shape, {classes}).")
    if not logits.is_floating_point():
        raise ValueError(f"This {name} gives {logits.dtype} numbers: logits are needed, not the number of a class.")
    return logits


def takes(network, images, classes=None):
    """Refuse a network that does not give such images a logit for each class, whatever else it does; returns how many it gives.

    For what trains networks that may have BatchNorm and dropout: it is tried in evaluation mode. Raises ValueError.
    """
    _check_numbers(network)
    own = copied(network).eval()
    with torch.no_grad(), _undisturbed(images.device):
        return logits_of(own, images[:1].clone(memory_format=torch.channels_last), classes).shape[1]


def not_finite(network, images=None, classes=None):
    """Why a network is not finite before any training, in words, or "": its weights, its logits for images, or their gradients.

    This tells a network that makes NaN by itself from a training that diverged.
    """
    name = type(network).__name__
    for place, numbers in (*network.named_parameters(), *network.named_buffers()):
        if not numbers.isfinite().all():
            return (f"{place!r} of this {name} holds NaN or infinity: it diverged in a training of its own. Take it from "
                    "before that, or initialise it again.")
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    for some in () if images is None else images.split(50):
        with _undisturbed(some.device), gradients_on():
            logits = logits_of(network, some, classes)
            found = [logits]
            if logits.requires_grad:
                found += torch.autograd.grad(logits.square().sum(), weights, materialize_grads=True)
        if not all(one.isfinite().all() for one in found):
            return (f"This {name} makes NaN or infinity of the images, or of their gradients, before any training: look for a "
                    "division by 0, a logarithm or a root in its forward. A smaller step size does not help.")
    return ""


def _check_numbers(network):
    """Refuse what is no network, or one whose weights are no numbers yet."""
    if not isinstance(network, nn.Module):
        what = f"the class {network.__name__}" if isinstance(network, type) else f"a {type(network).__name__}"
        raise ValueError(f"A network, an nn.Module, is needed, and not {what}.")
    for name, tensor in (*network.named_parameters(), *network.named_buffers()):
        if nn.parameter.is_lazy(tensor):
            raise ValueError(f"{name!r} of this {type(network).__name__} is lazy and has no shape yet: call the network once "
                             "before, e.g. network(data.train.images[:1]), in `make` network(torch.zeros(1, *shape)).")
        if tensor.is_meta:
            raise ValueError(f"{name!r} of this {type(network).__name__} has no numbers (device meta): load them first.")


def _check_layers(network):
    """Refuse what can be told without images."""
    _check_numbers(network)
    for name, module in network.named_modules():
        if words := _said(module):
            raise ValueError(f"Layer {name!r}, a {type(module).__name__}, {words}")
    if not any(weight.requires_grad for weight in network.parameters()):
        frozen = "all its weights are frozen (requires_grad=False)" if [*network.parameters()] else "it has none"
        raise ValueError(f"This {type(network).__name__} has no weights to train: {frozen}.")


def _said(module):
    """What keeps a layer of a well-known kind from being a fixed function, and the way out; else None."""
    if isinstance(module, nn.modules.batchnorm._BatchNorm) and module.running_mean is None:
        return "depends on the other images of a batch: use nn.GroupNorm, or running statistics and network.eval()."
    if not module.training:
        return None
    if getattr(module, "track_running_stats", False):
        return ("has running statistics, which every call changes and no gradient knows of: use nn.GroupNorm, or keep them as "
                "they are by network.eval().")
    spectral = (module, *module._forward_pre_hooks.values())
    if any(isinstance(one, (nn.utils.parametrizations._SpectralNorm, SpectralNorm)) for one in spectral):
        return "moves its vectors (a buffer) at every call: call network.eval() first."
    share = (module.p if isinstance(module, nn.modules.dropout._DropoutNd) else
             module.dropout if isinstance(module, nn.MultiheadAttention) or (
                 isinstance(module, nn.RNNBase) and module.num_layers > 1) else 0)
    if share > 0 or (isinstance(module, nn.RReLU) and module.lower < module.upper):
        return "is random, so that two calls differ: call network.eval() first, or leave it out."
    return None


@contextlib.contextmanager
def _undisturbed(device):
    """All global generators of random numbers are afterwards as they were."""
    pythons, numpys = random.getstate(), np.random.get_state()
    try:
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            yield
    finally:
        random.setstate(pythons)
        np.random.set_state(numpys)


def _check_calls(network, images, classes):
    """Refuse a network whose calls change it or differ; it is left with slightly other weights."""
    name, before, given = type(network).__name__, _state(network), images.clone()
    if words := not_finite(network, images, classes):
        raise ValueError(words)
    for (place, was), now in zip(before.items(), _state(network).values(), strict=True):
        if was.shape != now.shape or not torch.equal(was, now):
            raise ValueError(f"{place!r} of this {name} changes whenever the network is called, and no gradient knows of it: "
                             "call network.eval() first, or leave that layer out.")
    if not torch.equal(images, given):
        raise ValueError(f"This {name} changes the images that it is given: leave inplace=True out of its first layers, and "
                         "write x = x - 1 in place of x -= 1.")
    _move(network)  # where weights are 0, as in a last layer often, nothing would be seen of what comes before
    if not logits_of(network, images).isfinite().all():
        with torch.no_grad():
            for place, weight in network.named_parameters():
                weight.copy_(before[place])
    generators = _generators(images.device)
    logits, again = logits_of(network, images), logits_of(network, images)
    if not all(map(torch.equal, generators, _generators(images.device))) or not _alike(logits, again, 1e-5):
        raise ValueError(f"Two calls of this {name} on the same images are not the same: something in it draws random numbers "
                         "(dropout, noise) or remembers earlier calls. Call network.eval() first, or leave it out.")
    try:
        alone = torch.cat([logits_of(network, images[k:k + 1]) for k in (0, len(images) - 1)])
    except ValueError as cause:
        raise ValueError(f"This {name} takes {len(images)} images together, but not one alone: {cause}") from cause
    if not _alike(logits[[0, -1]], alone, 1e-3):
        raise ValueError(f"This {name} gives an image other logits alone than among others: something in it looks at the whole "
                         "batch (BatchNorm without running statistics, a mean over images). Use nn.GroupNorm, or leave it out.")


def _state(network):
    """Copies of all weights and buffers by name."""
    return {name: tensor.detach().clone() for name, tensor in (*network.named_parameters(), *network.named_buffers())}


def _move(network):
    """Move the weights that are trained a little at random, each by about a tenth of its size."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    with torch.no_grad():
        for weight, way in zip(weights, derivatives.like(weights, 0)):
            weight.add_(way, alpha=0.1)


def _generators(device):
    """States of the generators that a network on a device may draw from."""
    return [torch.get_rng_state(), *([torch.cuda.get_rng_state(device)] if device.type == "cuda" else [])]


def _alike(ours, theirs, share):
    return (ours - theirs).abs().max() <= share * ours.abs().max()
