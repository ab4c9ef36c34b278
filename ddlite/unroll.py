"""Training on a distilled set, and the exact gradient through it: tensors in, tensors out.

This file is the paper. `train` is ordinary gradient descent, written so that PyTorch can differentiate
*through* it: the new weights are a function of the images, labels and step sizes they were trained with.
"""

from collections.abc import Callable, Iterable

import torch
from torch import nn
from torch.func import functional_call
from torch.nn import functional as F

from ddlite.unrollable import check, copied, gradients_on


@gradients_on()
def weights_of(network: nn.Module) -> list[torch.Tensor]:
    """A network's weights as a list of tensors that a training can start from (copies, in `parameters()` order).

    Only those that are to be trained: a frozen parameter (`requires_grad=False`) stays in the network as it is.
    """
    return [weight.detach().clone().requires_grad_() for weight in network.parameters() if weight.requires_grad]


def with_weights(network: nn.Module, weights: Iterable[torch.Tensor]) -> nn.Module:
    """A copy of the network with other weights, a list as `weights_of` gives them.

    Raises ValueError for weights of other shapes, or another number of them.
    """
    return put_weights(copied(network), weights)


@gradients_on()
def put_weights(network: nn.Module, weights: Iterable[torch.Tensor]) -> nn.Module:
    """The same in place: the network itself gets the weights, and is returned."""
    own, weights = [weight for weight in network.parameters() if weight.requires_grad], list(weights)
    if [weight.shape for weight in own] != [weight.shape for weight in weights]:
        raise ValueError(f"These {len(weights)} weights are not the {len(own)} that this {type(network).__name__} has to "
                         "train: pass a list as weights_of(network) gives it.")
    with torch.no_grad():
        for weight, new in zip(own, weights):
            weight.copy_(new)
    return network


def outputs_of(network: nn.Module) -> Callable:
    """The network as a function of its weights.

    Returns `outputs(weights, images)`: weights as from `weights_of`, images (N, C, H, W), logits (N, classes).
    """
    names = [name for name, weight in network.named_parameters() if weight.requires_grad]

    def outputs(weights, images):
        return functional_call(network, dict(zip(names, weights, strict=True)), (images,))

    return outputs


def loss_of(network: nn.Module) -> Callable:
    """The mean cross-entropy of a batch as a function of the network's weights.

    Returns `loss(weights, images, labels)`, a scalar. Labels: (N,) class numbers, or (N, classes) distributions.
    Raises ValueError for a network with layers that cannot be unrolled through (see `unrollable.check`).
    """
    outputs = outputs_of(check(network))

    def loss(weights, images, labels):
        return F.cross_entropy(outputs(weights, images), labels)

    return loss


@gradients_on()
def train(loss: Callable, weights: list[torch.Tensor], gradient_steps: Iterable[tuple],
          momentum: torch.Tensor | float | None = None, create_graph: bool = True) -> list[torch.Tensor]:
    """Gradient descent on a distilled set: one batch and one step size per step (eq. 2 of the paper).

    Args:
        loss: `loss(weights, images, labels)`, a scalar tensor.
        weights: a list of tensors that require a gradient.
        gradient_steps: (images, labels, step_size) of each step, in order.
        momentum: share of the last step's direction that is carried into each (not in the paper), one for all steps or a
            tensor of one for each, of which the first is not used; None for none.
        create_graph: keep the graph of every step, so that a gradient can flow back through the training.
            Memory then grows with the number of steps.

    Returns the new weights, a list. The weights given are left as they were.

    One step on the loss (w * x - y)**2, from w = 1, with x = 2, y = 1 and step size 0.1: the gradient is
    2 * 2 * (2 - 1) = 4, the new weight 1 - 0.1 * 4 = 0.6. Its derivative with respect to the step size is -4:

    >>> w, x, y, step_size = (torch.tensor(value, requires_grad=True) for value in (1.0, 2.0, 1.0, 0.1))
    >>> squared = lambda weights, x, y: (weights[0] * x - y) ** 2
    >>> [new_w] = train(squared, [w], [(x, y, step_size)])
    >>> round(new_w.item(), 4), round(torch.autograd.grad(new_w, step_size)[0].item(), 4)
    (0.6, -4.0)
    """
    directions = None
    for t, (images, labels, step_size) in enumerate(gradient_steps):
        gradients = torch.autograd.grad(loss(weights, images, labels), weights, create_graph=create_graph,
                                        materialize_grads=True)
        if momentum is None or directions is None:
            directions = gradients
        else:
            share = momentum[t] if isinstance(momentum, torch.Tensor) and momentum.dim() else momentum
            directions = [share * d + g for d, g in zip(directions, gradients)]
        weights = [w - step_size * d for w, d in zip(weights, directions)]
        if not create_graph:
            weights = [w.detach().requires_grad_() for w in weights]
    return weights


@gradients_on()
def meta_gradient(loss: Callable, goal_loss: Callable, weights: list[torch.Tensor], images: torch.Tensor, labels: torch.Tensor,
                  step_sizes: torch.Tensor,
                  momentum: torch.Tensor | None = None) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """The gradient of the goal's loss after training, with respect to all that the training was done with.

    PyTorch remembers the whole training and differentiates through it.

    Args:
        loss: `loss(weights, images, labels)`, what each gradient step descends (see `loss_of`).
        goal_loss: `goal_loss(weights)`, a scalar: how badly the trained network does what it should.
        weights: where training starts, as from `weights_of`.
        images: (batches, n, C, H, W).
        labels: (batches, n) class numbers, or (batches, n, classes) distributions.
        step_sizes: (batches * passes,); step t uses batch t mod batches.
        momentum: a scalar tensor, or (batches * passes,), one for each step; None for plain gradient descent.

    Returns the goal's loss (a scalar tensor) and a dict of its gradients with respect to `images`, `step_sizes` and,
    where they are floats, `labels` and `momentum`, each shaped like what it belongs to.
    """
    inputs = {"images": images, "step_sizes": step_sizes, "labels": labels, "momentum": momentum}
    learned = {name: tensor.detach().requires_grad_() for name, tensor in inputs.items()
               if tensor is not None and tensor.is_floating_point()}
    inputs.update(learned)
    images, step_sizes, labels, momentum = inputs.values()
    batches = list(zip(images.unbind(), labels.unbind()))  # unbind's gradient is put together once, not at every step
    gradient_steps = [(*batches[t % len(batches)], step_size) for t, step_size in enumerate(step_sizes)]
    value = goal_loss(train(loss, weights, gradient_steps, momentum))
    gradients = torch.autograd.grad(value, list(learned.values()), materialize_grads=True)
    return value.detach(), dict(zip(learned, gradients))
