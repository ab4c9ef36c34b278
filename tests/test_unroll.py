"""The gradient through the unroll is exact: by hand, by finite differences, in closed form, against a slow loop."""

import copy
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import ddlite as dd


def squared(weights, x, y):
    return ((weights[0] * x - y) ** 2).mean()


def small_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(2 * 2 * 2, 3)).double()


def small_problem(soft, batches=2, passes=2):
    generator = torch.Generator().manual_seed(1)
    images = torch.randn(batches, 3, 1, 6, 6, generator=generator, dtype=torch.float64)
    labels = torch.rand(batches, 3, 3, generator=generator, dtype=torch.float64).softmax(-1) if soft else \
        torch.arange(3).repeat(batches, 1)
    step_sizes = torch.tensor([0.5, 0.2, 0.3, 0.1], dtype=torch.float64)[: batches * passes]
    real = torch.randn(7, 1, 6, 6, generator=generator, dtype=torch.float64), torch.randint(3, (7,), generator=generator)
    return images, labels, step_sizes, real


def meta_gradient(network, images, labels, step_sizes, real, momentum=None):
    outputs = dd.outputs_of(network)
    return dd.meta_gradient(dd.loss_of(network), lambda w: F.cross_entropy(outputs(w, real[0]), real[1]),
                            dd.weights_of(network), images, labels, step_sizes, momentum)


def test_two_numbers_by_hand():
    """w = 1, x = 2, y = 1, eta = 0.1: gradient 4, w1 = 0.6; for (w1 - 0.5)**2: d/dx = -0.12, d/dy = 0.08, d/deta = -0.8."""
    w, x, y, eta = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.0, 2.0, 1.0, 0.1))
    [w1] = dd.train(squared, [w], [(x, y, eta)])
    assert w1.item() == pytest.approx(0.6, abs=1e-15)
    gradients = torch.autograd.grad((w1 - 0.5) ** 2, (x, y, eta))
    assert [g.item() for g in gradients] == pytest.approx([-0.12, 0.08, -0.8], abs=1e-14)


def test_two_steps_by_hand():
    """The same example twice with eta = 0.1: each step maps w - y/x to (1 - 2 * eta * x**2) of it, 0.2: 0.5 -> 0.1 -> 0.02."""
    w, x, y, eta = (torch.tensor(v, dtype=torch.float64, requires_grad=True) for v in (1.0, 2.0, 1.0, 0.1))
    [w2] = dd.train(squared, [w], [(x, y, eta), (x, y, eta)])
    assert w2.item() == pytest.approx(0.52, abs=1e-15)
    [d_eta] = torch.autograd.grad(w2, eta)
    assert d_eta.item() == pytest.approx(2 * 0.2 * -8 * 0.5, abs=1e-13)  # d/deta of 0.5 * (1 - 8 eta)**2


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("momentum", [None, 0.6, [0.1, 0.9, 0.0, 0.5]])
def test_finite_differences(soft, momentum):
    network = small_network()
    images, labels, step_sizes, real = small_problem(soft)
    tensors = {"images": images, "labels": labels, "step_sizes": step_sizes}
    if momentum is not None:
        tensors["momentum"] = torch.tensor(momentum, dtype=torch.float64)
    _, gradients = meta_gradient(network, real=real, **tensors)
    assert set(gradients) == set(tensors) - (set() if soft else {"labels"})
    generator = torch.Generator().manual_seed(2)
    for name, gradient in gradients.items():
        assert gradient.shape == tensors[name].shape and gradient.abs().sum() > 0
        for _ in range(3):
            direction = torch.randn(gradient.shape, generator=generator, dtype=torch.float64)
            values = [meta_gradient(network, real=real, **{**tensors, name: tensors[name] + side * direction})[0].item()
                      for side in (1e-6, -1e-6)]
            expected = (values[0] - values[1]) / 2e-6
            assert (gradient * direction).sum().item() == pytest.approx(expected, rel=1e-6, abs=1e-8)


def test_linear_regression_in_closed_form():
    """One step on mean((X w - y)**2) from w0, then the goal mean((A w1 - b)**2): all derivatives can be written down."""
    generator = torch.Generator().manual_seed(0)
    X, y, A, b, w0 = (torch.randn(*shape, generator=generator, dtype=torch.float64)
                      for shape in ((4, 3), (4,), (6, 3), (6,), (3,)))
    eta = torch.tensor([0.2], dtype=torch.float64)

    def loss(weights, images, labels):
        return ((images @ weights[0] - labels.squeeze(-1)) ** 2).mean()

    def goal(weights):
        return ((A @ weights[0] - b) ** 2).mean()

    value, gradients = dd.meta_gradient(loss, goal, [w0.requires_grad_()], X[None], y[None, :, None], eta)
    r, gradient = X @ w0 - y, 2 / 4 * X.T @ (X @ w0 - y)
    w1 = w0 - eta * gradient
    v = 2 / 6 * A.T @ (A @ w1 - b)  # the goal's gradient at w1
    torch.testing.assert_close(value, ((A @ w1 - b) ** 2).mean())
    torch.testing.assert_close(gradients["step_sizes"], -(gradient @ v)[None])
    torch.testing.assert_close(gradients["labels"][0, :, 0], eta * 2 / 4 * X @ v)
    torch.testing.assert_close(gradients["images"][0], -eta * 2 / 4 * (torch.outer(r, v) + torch.outer(X @ v, w0)))


def test_equals_a_slow_loop():
    """The obvious way: build a network for each step, put its weights in one by one, and let autograd do the rest."""
    network = small_network()
    images, labels, step_sizes, real = small_problem(soft=False, batches=2, passes=2)
    pixels, sizes = images.clone().requires_grad_(), step_sizes.clone().requires_grad_()
    weights = {name: weight.detach().clone().requires_grad_() for name, weight in network.named_parameters()}

    def logits(weights, x):
        hidden = torch.tanh(F.conv2d(x, weights["0.weight"], weights["0.bias"]))
        return F.avg_pool2d(hidden, 2).flatten(1) @ weights["4.weight"].T + weights["4.bias"]

    step = 0
    for _ in range(2):
        for batch in range(2):
            probabilities = logits(weights, pixels[batch]).softmax(1)
            loss = -(probabilities[0, 0].log() + probabilities[1, 1].log() + probabilities[2, 2].log()) / 3
            new = {}
            for name in weights:
                [gradient] = torch.autograd.grad(loss, weights[name], create_graph=True)
                new[name] = weights[name] - sizes[step] * gradient
            weights, step = new, step + 1
    expected = torch.autograd.grad(F.cross_entropy(logits(weights, real[0]), real[1]), (pixels, sizes))
    _, gradients = meta_gradient(network, images, labels, step_sizes, real)
    torch.testing.assert_close(gradients["images"], expected[0], rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(gradients["step_sizes"], expected[1], rtol=1e-10, atol=1e-12)


@settings(max_examples=15, deadline=None)
@given(batches=st.integers(1, 3), passes=st.integers(1, 3), hidden=st.integers(1, 5), seed=st.integers(0, 1000),
       momentum=st.sampled_from([None, 0.0, 0.5, 0.9]))
def test_trains_like_torch_sgd(batches, passes, hidden, seed, momentum):
    """Without differentiating through it, the unroll is `torch.optim.SGD` with another rate at every step."""
    generator = torch.Generator().manual_seed(seed)
    network = dd.initialise(nn.Sequential(nn.Flatten(), nn.Linear(4, hidden), nn.ReLU(), nn.Linear(hidden, 3)), seed).double()
    images = torch.randn(batches, 3, 1, 2, 2, generator=generator, dtype=torch.float64)
    sizes = torch.rand(batches * passes, generator=generator, dtype=torch.float64)
    other = copy.deepcopy(network)
    sgd = torch.optim.SGD(other.parameters(), lr=1.0, momentum=momentum or 0)
    for t, size in enumerate(sizes.tolist()):
        sgd.param_groups[0]["lr"] = size
        sgd.zero_grad()
        F.cross_entropy(other(images[t % batches]), torch.arange(3)).backward()
        sgd.step()
    steps = [(images[t % batches], torch.arange(3), size) for t, size in enumerate(sizes)]
    for create_graph in (True, False):
        weights = dd.train(dd.loss_of(network), dd.weights_of(network), steps, momentum, create_graph=create_graph)
        for ours, theirs in zip(weights, other.parameters(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)


def test_each_step_may_have_a_momentum_of_its_own():
    """As `torch.optim.SGD` whose momentum is set before each step; equal ones are one, and their derivatives add up to its."""
    network = small_network()
    images, labels, sizes, real = small_problem(False)
    shares, other = torch.tensor([0.3, 0.9, 0.0, 0.6], dtype=torch.float64), copy.deepcopy(network)
    sgd = torch.optim.SGD(other.parameters(), lr=1.0, momentum=0.9)
    for t, (size, share) in enumerate(zip(sizes.tolist(), shares.tolist())):
        sgd.param_groups[0] |= {"lr": size, "momentum": share or 1e-300}  # 0 would make SGD forget its direction
        sgd.zero_grad()
        F.cross_entropy(other(images[t % 2]), labels[t % 2]).backward()
        sgd.step()
    steps = [(images[t % 2], labels[t % 2], size) for t, size in enumerate(sizes)]
    for ours, theirs in zip(dd.train(dd.loss_of(network), dd.weights_of(network), steps, shares), other.parameters()):
        torch.testing.assert_close(ours, theirs, rtol=1e-10, atol=1e-12)
    one, each = (meta_gradient(network, images, labels, sizes, real, momentum)[1]
                 for momentum in (torch.tensor(0.5).double(), torch.full((4,), 0.5).double()))
    torch.testing.assert_close(each["images"], one["images"])
    torch.testing.assert_close(each["momentum"].sum(), one["momentum"])
    assert each["momentum"][0] == 0 and each["momentum"].shape == (4,)


@pytest.mark.parametrize("network", [
    nn.Sequential(nn.Flatten(), nn.Linear(784, 10)),
    nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 26 * 26, 10)),
    dd.LeNet()])
def test_any_module(network):
    images = torch.randn(1, 10, 1, 28, 28)
    loss, gradients = meta_gradient(network, images, torch.arange(10)[None], torch.tensor([0.1, 0.1]),
                                    (torch.randn(8, 1, 28, 28), torch.arange(8)))
    assert gradients["images"].shape == images.shape and gradients["images"].abs().sum() > 0
    assert gradients["step_sizes"].abs().min() > 0 and loss > 0


def test_inputs_are_left_as_they_were():
    network = small_network()
    images, labels, step_sizes, real = small_problem(soft=True)
    before = [t.clone() for t in (images, labels, step_sizes, *network.parameters())]
    meta_gradient(network, images, labels, step_sizes, real)
    for now, then in zip((images, labels, step_sizes, *network.parameters()), before, strict=True):
        assert torch.equal(now, then)
    assert not images.requires_grad and all(weight.grad is None for weight in network.parameters())


def test_a_goal_that_looks_at_some_weights_only():
    """What the goal does not look at has a gradient of zero, in both engines."""
    network = small_network()
    images, labels, step_sizes, _ = small_problem(soft=True)
    arguments = [dd.loss_of(network), lambda weights: (weights[0] ** 2).sum(), dd.weights_of(network),
                 images, labels, step_sizes]
    (value, plain), (again, adjoint) = dd.meta_gradient(*arguments), dd.adjoint.meta_gradient(*arguments)
    assert again == value and plain["images"].abs().max() > 0
    for name, gradient in plain.items():
        torch.testing.assert_close(adjoint[name], gradient)


def network_of(kind, shape, width, seed):
    """A network of two layers of weights, or three."""
    first = {"linear": [nn.Flatten(), nn.Linear(math.prod(shape), width), nn.Tanh()],
             "pooled": [nn.Conv2d(shape[0], width, 3), nn.MaxPool2d(2), nn.ReLU()],
             "normed": [nn.Conv2d(shape[0], 2 * width, 3), nn.GroupNorm(2, 2 * width), nn.Softplus(), nn.AvgPool2d(2)]}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(*first[kind], nn.Flatten(), nn.LazyLinear(3)).double()
        network(torch.zeros(1, *shape, dtype=torch.float64))
    return network


@settings(max_examples=40, deadline=None, derandomize=True)
@given(batches=st.integers(1, 3), passes=st.integers(1, 3), soft=st.booleans(),
       momentum=st.sampled_from([None, 0.0, 0.5, 0.9, "of each step"]), seed=st.integers(0, 1000),
       kind=st.sampled_from(["linear", "pooled", "normed"]), width=st.integers(1, 6), channels=st.integers(1, 3),
       side=st.integers(4, 8), n=st.integers(1, 5))
def test_the_adjoint_is_the_plain_gradient(batches, passes, soft, momentum, seed, kind, width, channels, side, n):
    """Recomputing each step gives the same numbers: to 1e-10 in float64, to 1e-5 of the largest in float32."""
    generator, shape = torch.Generator().manual_seed(seed), (channels, side, side)
    network = network_of(kind, shape, width, seed)
    images = torch.randn(batches, n, *shape, generator=generator, dtype=torch.float64)
    labels = torch.rand(batches, n, 3, generator=generator, dtype=torch.float64).softmax(-1) if soft else \
        (torch.arange(n) % 3).repeat(batches, 1)
    sizes = 0.3 * torch.rand(batches * passes, generator=generator, dtype=torch.float64)
    real = torch.randn(7, *shape, generator=generator, dtype=torch.float64), torch.randint(3, (7,), generator=generator)
    momentum = torch.rand(sizes.shape, generator=generator) if momentum == "of each step" else momentum
    for precision, tolerance in ((torch.float64, 1e-10), (torch.float32, 1e-5)):
        network = network.to(precision)
        goal_loss = dd.Fit.loss_of(None, network, real[0].to(precision), real[1])
        arguments = [dd.loss_of(network), goal_loss, dd.weights_of(network), images.to(precision),
                     labels.to(precision) if soft else labels, sizes.to(precision),
                     None if momentum is None else torch.as_tensor(momentum, dtype=precision)]
        value, plain = dd.meta_gradient(*arguments)
        # As in `distill`, its arguments have graphs of their own; these must not grow with the steps.
        traced = [each.clone().requires_grad_() if getattr(each, "is_floating_point", bool)() else each for each in arguments]
        again, adjoint = dd.adjoint.meta_gradient(*arguments[:3], *traced[3:])
        assert not any(gradient.requires_grad for gradient in adjoint.values())
        assert again.item() == pytest.approx(value.item(), rel=tolerance) and set(adjoint) == set(plain)
        for name, gradient in plain.items():
            assert (adjoint[name] - gradient).abs().max() <= tolerance * gradient.abs().max().clamp(min=1e-2), name
