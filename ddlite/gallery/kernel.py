"""The tangent kernel: what an infinitely wide ReLU network, trained to the end on squares, knows of two images.

    first layer:        S = 2 x·z / d + b²,      T = S,      q(x) = S(x, x)
    each hidden layer:  c = S / √(q(x) q(z)),    a = arccos c,
    its two means:      E = √(q(x) q(z)) (sin a + (π − a) c) / 2π,    D = (π − a) / 2π,
    and so              S ← 2 E + b²,    T ← S + 2 D T,    q ← q + b²
    the answers:        f(X) = T(X, S) (T(S, S) + λ tr T(S, S) / n · I)⁻¹ Y

Jacot, Gabriel, Hongler: "Neural Tangent Kernel", NeurIPS 2018; the arc-cosine formula is Cho and Saul's, NIPS 2009. Weights of
variance 2 and biases b = 0.1 are those of Nguyen, Chen, Lee (`kip`). E and D are the means of two ReLUs' product and of their
slopes' product. Ours: where two images are alike up to rounding, the angle is 0 and constant, so that no gradient is NaN.
"""

import math
from itertools import pairwise

import torch
from torch import nn

from ddlite.machinery.arguments import number, whole
from ddlite.networks import sizes


def tangent(x: torch.Tensor, z: torch.Tensor, depth: int = 1, bias: float = 0.1) -> torch.Tensor:
    """The tangent kernel of a fully connected ReLU network of infinite width, (n, m).

    Args:
        x, z: images (n, ...) and (m, ...) of d numbers each, of one type; float64 for learning.
        depth: hidden layers, 0 or more; without one the kernel is linear.
        bias: the standard deviation b of the biases.

    Raises ValueError for images of other sizes or of length zero, and for NaN or infinity.
    """
    return kernels(x, z, depth, bias)[1]


def kernels(x: torch.Tensor, z: torch.Tensor, depth: int = 1, bias: float = 0.1) -> tuple[torch.Tensor, torch.Tensor]:
    """S and T, (n, m) each: the covariance of a fresh network's answers (NNGP), and the tangent kernel; see `tangent`."""
    (x, xx), (z, zz) = _flat(x, "x"), _flat(z, "z")
    depth, bias = whole("depth", depth, 0), number("bias", bias, least=0)
    if x.shape[1] != z.shape[1] or x.dtype != z.dtype:
        raise ValueError(f"Images of {x.shape[1]} numbers ({x.dtype}) and {z.shape[1]} ({z.dtype}): a kernel compares images "
                         "of the same size and type, normalised alike.")
    d = x.shape[1]
    T = S = 2 * x @ z.T / d + bias**2
    qx, qz = 2 * xx / d + bias**2, 2 * zz / d + bias**2
    for _ in range(depth):
        scale = (qx[:, None] * qz).sqrt()
        c = S / scale
        a = angle(c)
        E, D = scale * (a.sin() + (math.pi - a) * c) / (2 * math.pi), (math.pi - a) / (2 * math.pi)
        S = 2 * E + bias**2
        T = S + 2 * D * T  # the new S
        qx, qz = qx + bias**2, qz + bias**2
    return S, T


def angle(c: torch.Tensor) -> torch.Tensor:
    """arccos(c), with a derivative everywhere: within rounding of 1 and -1, where arccos has none, it is constant."""
    near = c.abs() >= 1 - 64 * torch.finfo(c.dtype).eps
    ends = torch.where(c > 0, 0.0, math.pi).to(c.dtype)
    return torch.where(near, ends, torch.where(near, 0, c).arccos())  # the inner one keeps infinities out of the gradient


def regress(between: torch.Tensor, support: torch.Tensor, targets: torch.Tensor, ridge: float = 1e-6) -> torch.Tensor:
    """Kernel ridge regression: the answers (m, classes) that an infinitely wide network ends at.

    Args:
        between: the kernel of images and support, (m, n).
        support: that of the support with itself, (n, n).
        targets: (n, classes).
        ridge: λ, relative to the mean of the support's diagonal.

    Raises ValueError where shapes or types do not fit, a kernel or the targets hold NaN, or the support's kernel is not
    symmetric and positive definite.
    """
    ridge, n = number("ridge", ridge, least=0), len(targets)
    _check_kernels(between, support, targets, n)
    factor, failed = torch.linalg.cholesky_ex(support + ridge * support.diagonal().mean() * torch.eye(n).to(support))
    least = n * torch.finfo(support.dtype).eps * support.diagonal().amax()  # a smaller pivot is rounding
    if failed or factor.diagonal().amin() ** 2 < least:
        raise ValueError(f"The kernel of {n} images is not positive definite with ridge={ridge:g}: two are alike, rounding is "
                         f"too coarse ({support.dtype}), or the function is no kernel. Set a larger ridge, e.g. "
                         f"{max(1e-6, 10 * ridge):g}, or compute in float64.")
    return between @ torch.cholesky_solve(targets, factor)


class Wide(nn.Module):
    """A finite network whose tangent kernel comes to `tangent` as it grows wider: weights N(0, 1), scaled when they are used.

    Args:
        shape, classes: as of any network.
        width, depth: of the hidden layers, and how many.
        bias: as for `tangent`.
        centred: subtract what the fresh network answers, f - f₀. The formula begins at 0, and a finite network does not.

    Its weights come from PyTorch's generator: `RandomStart(partial(Wide, width=64), data, init="pytorch")`.
    """

    def __init__(self, shape=(1, 28, 28), classes=10, width=1024, depth=1, bias=0.1, centred=True):
        super().__init__()
        self.bias, self.centred = number("bias", bias, least=0), centred
        layers = [math.prod(sizes(shape, classes)), *[whole("width", width, 1)] * whole("depth", depth, 0), classes]
        self.weights = nn.ParameterList(torch.randn(outputs, inputs) for inputs, outputs in pairwise(layers))
        self.biases = nn.ParameterList(torch.randn(outputs) for outputs in layers[1:])
        for k, (weight, shift) in enumerate(zip(self.weights, self.biases) if centred else ()):
            self.register_buffer(f"weight{k}", weight.detach().clone())
            self.register_buffer(f"bias{k}", shift.detach().clone())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        answers = self._answers(images, self.weights, self.biases)
        if not self.centred:
            return answers
        first = [[getattr(self, f"{kind}{k}") for k in range(len(self.weights))] for kind in ("weight", "bias")]
        return answers - self._answers(images, *first)  # these are buffers, and do not learn

    def _answers(self, images, weights, biases):
        hidden = images.flatten(1)
        for k, (weight, shift) in enumerate(zip(weights, biases)):
            hidden = (hidden.relu() if k else hidden) @ weight.T * (2 / weight.shape[1]) ** 0.5 + self.bias * shift
        return hidden


def empirical(network: nn.Module, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """The tangent kernel that a finite network has, (n, m): products of the gradients of its first answer.

    Raises ValueError where there is no image in x or in z.
    """
    if not (len(x) and len(z)):
        raise ValueError(f"{len(x)} images and {len(z)}: at least one on each side is needed.")

    def gradients(images):
        return torch.stack([torch.cat([each.flatten() for each in torch.autograd.grad(network(image[None])[0, 0],
                                                                                      list(network.parameters()))])
                            for image in images])

    return gradients(x) @ gradients(z).T


def _check_kernels(between, support, targets, n):
    """Raise ValueError for what cannot be regressed with."""
    if n == 0 or targets.dim() != 2 or support.shape != (n, n) or between.dim() != 2 or between.shape[1] != n:
        raise ValueError(f"Kernels {tuple(between.shape)} and {tuple(support.shape)} and targets {tuple(targets.shape)} do not "
                         "fit: (m, n), (n, n) and (n, classes) are needed.")
    if len(types := {between.dtype, support.dtype, targets.dtype}) > 1 or not types <= {torch.float32, torch.float64}:
        raise ValueError(f"Kernels of {between.dtype} and {support.dtype} and targets of {targets.dtype}: all three must be "
                         "float64, or all float32, e.g. by .double().")
    if not targets.isfinite().all():
        raise ValueError("The targets hold NaN or infinity: nothing can be regressed on them. Repair these labels.")
    if not (support.isfinite().all() and between.isfinite().all()):
        raise ValueError("The kernel holds NaN or infinity: look for such images, clamp the cosine before arccos, or set a "
                         "smaller learning_rate.")
    if (support - support.T).abs().amax() > 1e-4 * support.abs().amax():
        raise ValueError("The kernel of the support is not symmetric: k(x, z) and k(z, x) must be one number. Use a kernel "
                         "that is, e.g. the mean of both.")


def _flat(images, name):
    """Images as rows (n, d), and their squared lengths (n,)."""
    if not isinstance(images, torch.Tensor) or images.dim() < 2 or not images.is_floating_point() or images.numel() == 0:
        raise ValueError(f"{name}: images (n, ...), a tensor of floats with at least one image, are needed, e.g. by "
                         "images.double().")
    flat = images.flatten(1)
    squared = torch.linalg.vecdot(flat, flat)
    if not squared.isfinite().all():
        raise ValueError(f"{name} holds NaN, infinity, or numbers too large to be squared: remove or repair these images.")
    if (squared == 0).any():
        raise ValueError(f"Image {int((squared == 0).nonzero()[0])} of {name} has length zero, so that it has no angle with "
                         "any other: leave it out, or normalise the images.")
    return flat, squared
