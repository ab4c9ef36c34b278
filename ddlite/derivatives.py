"""Whether a network's derivatives are there, finite and right: PyTorch's second ones against differences of the first ones."""

import torch
from torch.func import functional_call
from torch.nn import functional as F

LARGE = 5_000_000  # weights from which on second derivatives are not compared with differences: too much memory


def check(network, images, twice):
    """Refuse a network without the derivatives that are needed, or with wrong ones.

    Args:
        network: a copy, which may be changed.
        images: (N, C, H, W), a few.
        twice: whether second derivatives are needed, too.

    Raises ValueError with the behaviour, and what to look for.
    """
    name = type(network).__name__
    weights = {place: weight for place, weight in network.named_parameters() if weight.requires_grad}
    inputs = [images.requires_grad_(), *(weight.detach().clone().requires_grad_() for weight in weights.values())]
    places, along = ["the images", *weights], like(inputs, 0)

    def first(inputs, twice=False):
        logits = functional_call(network, dict(zip(weights, inputs[1:])), (inputs[0],))
        loss = F.cross_entropy(logits, torch.arange(len(logits), device=logits.device) % logits.shape[1])
        return torch.autograd.grad(loss, inputs, create_graph=twice, materialize_grads=True)

    def second(inputs, along):
        curved = [(gradient, u) for gradient, u in zip(first(inputs, twice=True), along) if gradient.requires_grad]
        return torch.autograd.grad([one for one, _ in curved], inputs, [u for _, u in curved], materialize_grads=True)

    try:
        found = second(inputs, along) if twice else first(inputs)
    except RuntimeError as cause:
        raise ValueError(f"This {name} cannot be differentiated {'twice ' * twice}({line(cause)}): no layer may detach its "
                         "result, compute it under torch.no_grad(), or lack a derivative.") from cause
    for place, one in zip(places, found):
        if not one.isfinite().all():
            raise ValueError(f"The {'second ' * twice}derivatives of this {name} are NaN or infinite at {place!r} before any "
                             "training: look for a root or a norm of 0, or a division by 0, in its forward.")
    if not twice:
        return
    if not found[0].any():
        raise ValueError(f"No gradient of this {name} reaches the images, so that they could not be learned: is there a "
                         "detach(), a rounding or a change to whole numbers in its forward?")
    if sum(weight.numel() for weight in weights.values()) > LARGE:
        return
    network.double()
    inputs = [torch.randn(images.shape, generator=torch.Generator().manual_seed(0)), *inputs[1:]]
    inputs = [one.detach().to(images.device, torch.float64).requires_grad_() for one in inputs]
    for attempt in range(3):
        along = like(inputs, attempt)

        def differences(length, along=along):
            there, back = (first([(one + side * length * u).detach().requires_grad_() for one, u in zip(inputs, along)])
                           for side in (1, -1))
            return [(one - other) / (2 * length) for one, other in zip(there, back)]

        try:
            differ, exact = differences(1e-6), second(inputs, along)
        except RuntimeError:  # code made for one precision only
            return
        if not (wrong := _apart(differ, exact)):
            return
        # Two differences that are at odds say nothing: a kink (as of ReLU) lies between, or there is single precision within.
        if not _apart(differ, differences(1e-7)):
            raise ValueError(f"PyTorch's second derivatives of this {name} differ from differences of its first ones (at "
                             f"{places[wrong[0]]!r}): what is learned through them would be wrong. Somewhere a gradient is not "
                             "that of what is computed, by a detach(), by rounding with a gradient of its own, by a hook or an "
                             "autograd.Function.")


def _apart(ours, theirs):
    """The places where tensors in two lists differ by a thousandth and more of their size (and not by next to nothing)."""
    largest = max(one.norm() for one in ours)
    return [place for place, (one, other) in enumerate(zip(ours, theirs))
            if not (one - other).norm() <= 1e-3 * one.norm() + 1e-5 * largest]


def like(tensors, seed):
    """Random tensors (the same at every call) of like shapes and like size, or of size 0.1 where there are zeros."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(one.shape, generator=generator).to(one) * (one.detach().square().mean().sqrt() + 0.1 * (not one.any()))
            for one in tensors]


def line(cause):
    """The first line of what an error says, or its kind where it says nothing."""
    return (str(cause) or type(cause).__name__).strip().splitlines()[0]
