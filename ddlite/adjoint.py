"""The same gradient as `unroll.meta_gradient`, in less memory: keep only the weights, and compute each step again.

The plain version keeps the graph of every step. This one walks back through the training by hand, one step at a time: it
carries v, the derivative of the goal's loss with respect to the weights of the moment (the adjoint), and needs of each step
only the product of its second derivatives with a vector. It is exact. The price is one more forward and backward pass of
each step.
"""

import torch


def meta_gradient(loss, goal_loss, weights, images, labels, step_sizes, momentum=None):
    """What `unroll.meta_gradient` returns, from the same arguments; memory grows by the weights alone with each step.

    With momentum, each step's direction is kept too: twice the weights.
    """
    step_sizes, momentum = step_sizes.detach(), None if momentum is None else momentum.detach()  # no graph over the steps
    learned = {"images": images, "step_sizes": step_sizes, "labels": labels, "momentum": momentum}
    learned = {name: tensor for name, tensor in learned.items() if tensor is not None and tensor.is_floating_point()}
    sums = {name: torch.zeros_like(tensor) for name, tensor in learned.items()}
    examples = [name for name in ("images", "labels") if name in learned]
    steps = [(t, t % len(images)) for t in range(len(step_sizes))]

    def gradients_at(weights, batch, create_graph):
        """The gradients of one step, the weights they were taken at, and the learned part of the batch."""
        weights = [w.detach().requires_grad_() for w in weights]
        x, y = images[batch].detach(), labels[batch].detach()
        parts = [part.requires_grad_() for name, part in (("images", x), ("labels", y)) if name in examples]
        return torch.autograd.grad(loss(weights, x, y), weights, create_graph=create_graph), weights, parts

    kept, directions = [], None
    weights = [w.detach() for w in weights]
    for t, batch in steps:  # there: d = momentum * d + g, w = w - step_size * d
        gradients, _, _ = gradients_at(weights, batch, create_graph=False)
        before = directions
        plain = momentum is None or directions is None
        directions = list(gradients) if plain else [momentum * d + g for d, g in zip(directions, gradients)]
        kept.append((weights, None if momentum is None else (before, directions)))
        weights = [(d * -step_sizes[t]).add_(w) for w, d in zip(weights, directions)]

    final = [w.requires_grad_() for w in weights]
    value = goal_loss(final)
    v = [a.clone() for a in torch.autograd.grad(value, final, materialize_grads=True)]
    u = None  # the adjoint of the directions, where momentum carries them on
    for t, batch in reversed(steps):  # and back
        weights, carried = kept.pop()
        gradients, weights, parts = gradients_at(weights, batch, create_graph=True)
        before, directions = (None, gradients) if carried is None else carried
        sums["step_sizes"][t] = -sum(torch.dot(d.detach().flatten(), a.flatten()) for d, a in zip(directions, v))
        u = [a * -step_sizes[t] for a in v] if u is None else [b - step_sizes[t] * a for a, b in zip(v, u)]
        if before is not None:
            sums["momentum"] += sum((d * b).sum() for d, b in zip(before, u))
        curved, along = zip(*[(g, b) for g, b in zip(gradients, u) if g.requires_grad])  # in some the loss is linear
        *back, = torch.autograd.grad(curved, [*weights, *parts], along, materialize_grads=True)
        v = [a.add_(b) for a, b in zip(v, back)]
        for name, gradient in zip(examples, back[len(weights):]):
            sums[name][batch] += gradient
        u = None if momentum is None else [momentum * b for b in u]
    return value.detach(), sums
