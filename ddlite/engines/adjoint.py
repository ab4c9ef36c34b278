"""The same gradient as `unroll.meta_gradient`, in less memory: keep only the weights, and compute each step again.

The plain version keeps the graph of every step. This one walks back through the training by hand, one step at a time: it
carries v, the derivative of the goal's loss with respect to the weights of the moment (the adjoint), and needs of each step
only the product of its second derivatives with a vector. It is exact. The price is one more forward and backward pass of
each step.
"""

from collections.abc import Callable

import torch

from ddlite import unrollable


@unrollable.gradients_on()
def meta_gradient(loss: Callable | None, goal_loss: Callable, weights: list[torch.Tensor], images: torch.Tensor,
                  labels: torch.Tensor, step_sizes: torch.Tensor, momentum: torch.Tensor | None = None,
                  derivatives: Callable | None = None, keep: bool = False) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """What `unroll.meta_gradient` returns, from the same arguments; memory grows by the weights alone with each step.

    With momentum, each step's direction is kept too: twice the weights.

    Args:
        derivatives: how a step is differentiated, once and twice: by default by autograd, from `loss`; `Chain.derivatives` is
            another way, which needs no loss (None).
        keep: compute no step again, but keep what the way back needs of it: faster, in more memory.
    """
    derivatives = derivatives or by_autograd(loss)
    step_sizes, momentum = step_sizes.detach(), None if momentum is None else momentum.detach()  # no graph over the steps
    learned = {"images": images, "step_sizes": step_sizes, "labels": labels, "momentum": momentum}
    learned = {name: tensor for name, tensor in learned.items() if tensor is not None and tensor.is_floating_point()}
    sums = {name: torch.zeros_like(tensor) for name, tensor in learned.items()}
    batches = list(zip(images.detach().unbind(), labels.detach().unbind()))
    steps = [(t, t % len(batches), downhill) for t, downhill in enumerate((-step_sizes).unbind())]
    shares = None if momentum is None else momentum.expand(len(steps)).unbind()  # one for each step
    by_shares = [torch.zeros_like(shares[0])] * len(steps) if shares else []

    kept, directions = [], None
    weights = [w.detach() for w in weights]
    for t, batch, downhill in steps:  # there: d = momentum * d + g, w = w - step_size * d
        gradients, back = derivatives(weights, *batches[batch], twice=keep)
        before = directions
        gradients = [g.detach() for g in gradients]
        plain = momentum is None or directions is None
        directions = gradients if plain else [shares[t] * d + g for d, g in zip(directions, gradients)]
        kept.append((weights, before, directions if keep or momentum is not None else None, back if keep else None))
        weights = [(d * downhill).add_(w) for w, d in zip(weights, directions)]
        directions = None if momentum is None else directions

    final = [w.requires_grad_() for w in weights]
    value = goal_loss(final)
    v = [a.clone() for a in torch.autograd.grad(value, final, materialize_grads=True)]
    u = None  # the adjoint of the directions, where momentum carries them on
    for t, batch, downhill in reversed(steps):  # and back
        weights, before, directions, back = kept.pop()
        if back is None:
            gradients, back = derivatives(weights, *batches[batch])
            directions = directions or gradients
        along = [torch.dot(d.detach().flatten(), a.flatten()) for d, a in zip(directions, v)]
        sums["step_sizes"][t] = -torch.stack(along).sum()
        u = [a * downhill for a in v] if u is None else [b + downhill * a for a, b in zip(v, u)]
        if before is not None:
            by_shares[t] = sum((d * b).sum() for d, b in zip(before, u))
        by_weights, by_images, by_labels = back(u)
        v = [a.add_(b) for a, b in zip(v, by_weights)]
        sums["images"][batch] += by_images
        if "labels" in sums:
            sums["labels"][batch] += by_labels
        u = None if momentum is None else [shares[t] * b for b in u]
    if shares:
        sums["momentum"] = torch.stack(by_shares).sum_to_size(momentum.shape)
    return value.detach(), sums


def by_autograd(loss):
    """How PyTorch differentiates a step on any `loss(weights, images, labels)`.

    Returns a function of weights, images and labels, which returns the gradients with respect to the weights and, unless
    `twice` is false, `back(direction)`: the gradients of the inner product of these gradients with a direction (a list like the
    weights), with respect to the weights (a list), the images and, where they are floats, the labels.
    """

    def derivatives(weights, images, labels, twice=True):
        weights, images = [w.detach().requires_grad_() for w in weights], images.detach().requires_grad_()
        if labels.is_floating_point():
            labels = labels.detach().requires_grad_()
        gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=twice, materialize_grads=True)

        def back(direction):
            # In some weights the loss is linear, or does not depend on them at all: their gradient depends on nothing.
            curved, along = zip(*[(g, u) for g, u in zip(gradients, direction) if g.requires_grad])
            inputs = [*weights, images, *([labels] if labels.is_floating_point() else [])]
            found = torch.autograd.grad(curved, inputs, along, materialize_grads=True)
            return found[:len(weights)], found[len(weights)], found[-1]

        return gradients, back

    return derivatives
