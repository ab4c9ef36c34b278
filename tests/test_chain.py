"""Derivatives that are written out are those of autograd; what is no chain of known layers is refused, and goes another way."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

import ddlite as dd
from ddlite.engines import chain
from ddlite.engines.choose import engine_for


def problem(shape, batches, passes, n, classes, soft, momentum, seed):
    """The arguments of a meta-gradient after the weights, in float64."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(batches, n, *shape, generator=generator, dtype=torch.float64)
    labels = torch.rand(batches, n, classes, generator=generator, dtype=torch.float64).softmax(-1) if soft else \
        (torch.arange(n) % classes).repeat(batches, 1)
    sizes = 0.3 * torch.rand(batches * passes, generator=generator, dtype=torch.float64)
    momentum = torch.rand(sizes.shape, generator=generator) if momentum == "of each step" else momentum
    return images, labels, sizes, None if momentum is None else torch.as_tensor(momentum, dtype=torch.float64)


def assert_same(network, arguments, precision, tolerance):
    """The chain's meta-gradient, kept and computed again, against the plain one; tolerance in units of the largest."""
    network, real = network.to(precision), torch.randn(7, *arguments[0].shape[2:], dtype=precision)
    cast = [each.to(precision) if each is not None and each.is_floating_point() else each for each in arguments]
    loss, goal_loss = dd.loss_of(network), dd.Fit.loss_of(None, network, real, torch.arange(7) % 3)
    value, plain = dd.meta_gradient(loss, goal_loss, dd.weights_of(network), *cast)
    for keep in (False, True):
        again, written = dd.adjoint.meta_gradient(None, goal_loss, dd.weights_of(network), *cast, keep=keep,
                                                  derivatives=chain.of(network).derivatives)
        assert again.item() == pytest.approx(value.item(), rel=tolerance) and set(written) == set(plain)
        for name, gradient in plain.items():
            assert (written[name] - gradient).abs().max() <= tolerance * gradient.abs().max().clamp(min=1e-2), name


def random_network(layers, shape, width, kernel, padding, side, bias, seed):
    """A chain of so many convolutions and a head, with ReLUs and pooling in either order."""
    parts, channels = [], shape[0]
    for k in range(layers):
        parts += [nn.Conv2d(channels, width, kernel, padding=padding, bias=bias), nn.ReLU(), nn.MaxPool2d(side)][:3 - k % 2]
        channels = width
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = nn.Sequential(*parts, nn.Flatten(), nn.LazyLinear(5, bias=bias), nn.ReLU(), nn.Linear(5, 3)).double()
        network(torch.zeros(1, *shape, dtype=torch.float64))
    return network


@settings(max_examples=40, deadline=None, derandomize=True)
@given(batches=st.integers(1, 3), passes=st.integers(1, 3), soft=st.booleans(),
       momentum=st.sampled_from([None, 0.0, 0.7, "of each step"]), seed=st.integers(0, 1000), layers=st.integers(0, 2),
       width=st.integers(1, 4), channels=st.integers(1, 3), height=st.integers(9, 12), wider=st.integers(0, 2),
       kernel=st.integers(1, 3), padding=st.integers(0, 2), side=st.integers(2, 3), n=st.sampled_from([1, 3, 17]),
       bias=st.booleans())
def test_the_chain_is_the_plain_gradient(batches, passes, soft, momentum, seed, layers, width, channels, height, wider, kernel,
                                         padding, side, n, bias):
    """To 1e-10 in float64, to 1e-5 of the largest in float32, also where pixels are left over by pooling."""
    shape = (channels, height, height + wider)
    network = random_network(layers, shape, width, kernel, padding, side, bias, seed)
    arguments = problem(shape, batches, passes, n, 3, soft, momentum, seed)
    assert_same(network, arguments, torch.float64, 1e-10)
    assert_same(network, arguments, torch.float32, 1e-5)


@pytest.mark.parametrize("network, shape", [
    (dd.LeNet(), (1, 28, 28)), (dd.LeNet((3, 32, 32)), (3, 32, 32)), (dd.SmallLeNet(), (1, 24, 24)), (dd.MLP(), (1, 28, 28))])
def test_own_networks(network, shape):
    arguments = problem(shape, 2, 2, 10, 10, True, 0.5, 0)
    assert_same(network, arguments, torch.float64, 1e-10)
    assert_same(network, arguments, torch.float32, 1e-5)


def test_of_equal_pixels_the_first_counts():
    """As in PyTorch: pictures of one colour tie everywhere but at their borders."""
    network = nn.Sequential(nn.Conv2d(1, 2, 3, padding=1), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(2 * 4 * 4, 3)).double()
    images, labels, sizes, _ = problem((1, 8, 8), 1, 2, 3, 3, False, None, 0)
    assert_same(network, (torch.ones_like(images), labels, sizes, None), torch.float64, 1e-10)


def test_words_and_spellings_of_the_same_layers():
    class Spelled(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.pool = nn.Conv2d(1, 2, (3, 3), padding="valid"), nn.MaxPool2d((2, 2), 2)
            self.linear = nn.Linear(18, 3)

        def forward(self, x):
            return self.linear(torch.flatten(torch.relu(self.pool(self.conv(x)).relu()), 1))

    assert_same(Spelled().double(), problem((1, 8, 8), 2, 1, 3, 3, False, None, 0), torch.float64, 1e-10)


class Branching(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(64, 64)

    def forward(self, x):
        x = x.flatten(1)
        return self.linear(x) + x


class Twice(Branching):
    def forward(self, x):
        return self.linear(self.linear(x.flatten(1)))


class Reading(Branching):
    def forward(self, x):
        return self.linear(x.flatten(1)) if x.sum() > 0 else x.flatten(1)


class Unused(Branching):
    def forward(self, x):
        return x.flatten(1)


class Input(Branching):
    def forward(self, x):
        return self.linear(torch.flatten(input=x, start_dim=1))


def changed(change):
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
    change(network)
    return network


def buffered(network):
    bias = network[1].bias.detach()
    del network[1].bias
    network[1].register_buffer("bias", bias)


@pytest.mark.parametrize("network, words", [
    (nn.Sequential(nn.Conv2d(1, 3, 3), nn.MaxPool2d(1), nn.Flatten()), "max-pooling"),
    (dd.ConvNet3(), "GroupNorm|blocks"), (dd.AlexCifarNet(), "no chain"), (dd.AlexNet(width=4), "no chain"),
    (Branching(), "no chain"), (Twice(), "used twice"), (Reading(), "could not be read"), (Unused(), "not at all"),
    (changed(lambda network: network[1].register_forward_hook(print)), "'1'.*hooks"),
    (changed(lambda network: network.register_forward_pre_hook(print)), "hooks"),
    (changed(lambda network: setattr(network[1], "forward", len)), "forward of its own"),
    (changed(buffered), "What does not fit"), (Input(), "What does not fit"),
    (nn.Sequential(nn.Linear(8, 3), nn.Flatten()), "What does not fit"),
    (nn.Sequential(nn.Flatten(), nn.Linear(64, 3), nn.Softmax(1)), "What does not fit"),
    (nn.Sequential(nn.Conv2d(1, 3, 3, stride=2), nn.Flatten()), "stride 1"),
    (nn.Sequential(nn.Conv2d(1, 3, 3, padding="same"), nn.Flatten()), "What does not fit"),
    (nn.Sequential(nn.Conv2d(1, 3, (3, 1)), nn.Flatten()), "What does not fit"),
    (nn.Sequential(nn.Conv2d(1, 3, 3, padding=1, padding_mode="circular"), nn.Flatten()), "What does not fit"),
    (nn.Sequential(nn.Conv2d(1, 3, 3), nn.MaxPool2d(3, stride=2), nn.Flatten()), "max-pooling"),
    (nn.Sequential(nn.Conv2d(1, 3, 3), nn.MaxPool2d(2, ceil_mode=True), nn.Flatten()), "max-pooling"),
    (nn.Sequential(nn.Conv2d(1, 3, 8)), "no chain"), (nn.Sequential(nn.Flatten(0), nn.Linear(64, 3)), "no chain")])
def test_what_is_no_chain_is_refused(network, words):
    """With What does not fit; nothing of it is guessed at."""
    with pytest.raises(ValueError, match=words):
        chain.of(network)


def test_the_engine_that_fits():
    data = pictures((1, 28, 28))
    few, long = (dd.DistilledSet.noise(data, passes=passes) for passes in (3, 300))
    fast = engine_for(dd.LeNet(), few)
    assert fast.func is dd.adjoint.meta_gradient and fast.keywords["keep"]
    assert not engine_for(dd.LeNet(), long).keywords["keep"]  # memory: the weights alone
    assert engine_for(dd.LeNet(), few, "plain") is dd.meta_gradient
    assert engine_for(dd.LeNet(), few, "adjoint") is dd.adjoint.meta_gradient
    assert engine_for(dd.ConvNet3(), few) is dd.meta_gradient
    assert engine_for(dd.ConvNet3(), long) is dd.adjoint.meta_gradient
    with pytest.raises(ValueError, match="no chain"):
        engine_for(dd.ConvNet3(), few, "chain")
    many = dd.DistilledSet.noise(data, images_per_class_and_batch=10)  # on many images autograd is as fast
    assert engine_for(dd.LeNet(), many) is dd.meta_gradient
    assert engine_for(dd.LeNet(), many, "chain").func is dd.adjoint.meta_gradient
    assert engine_for(dd.MLP(), many).func is dd.adjoint.meta_gradient  # no convolution, no columns


def pictures(shape):
    """A `Data` of noise in ten classes."""
    images = torch.rand(120, *shape, generator=torch.Generator().manual_seed(0))
    return dd.from_arrays(images, torch.arange(120) % 10, images[:10], torch.arange(10), name="noise")


class Fickle(nn.Module):
    """Now with one function, now with another; nothing that is a layer tells them apart."""

    def __init__(self, function):
        super().__init__()
        self.function, self.linear = function, nn.Linear(64, 10)

    def forward(self, images):
        return self.linear(self.function(images.flatten(1)))


@pytest.mark.parametrize("make", [
    lambda shape, classes: dd.MLP(shape, classes),
    lambda shape, classes: Fickle(torch.relu if torch.rand(()) < 0.5 else torch.tanh),
    lambda shape, classes: nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(72, classes))])
def test_distilling_by_the_engine_that_fits_gives_what_plain_gives(make):
    """Each network is differentiated as what it is, also where those of one start differ."""
    data = pictures((1, 8, 8))
    start, noise = dd.RandomStart(make, data), dd.DistilledSet.noise(data, batches=2, passes=2, momentum=0.5, learn_labels=True)
    losses = [[state.loss for state in dd.distill(noise, start, dd.Fit(data), 6, networks=2, engine=engine)]
              for engine in ("plain", None)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_hooks_that_no_module_shows_are_noticed():
    """A network that does something else than its code says is not taken for a chain."""
    network, dset = dd.MLP((1, 8, 8)), dd.DistilledSet.noise(pictures((1, 8, 8)))
    hook = nn.modules.module.register_module_forward_hook(lambda module, _, out: out * 2 if module is network else None)
    try:
        assert engine_for(network, dset) is dd.meta_gradient
        with pytest.raises(ValueError, match="not that of the chain"):
            engine_for(network, dset, "chain")
    finally:
        hook.remove()


def test_one_module_twice_and_nested():
    relu = nn.ReLU()
    inner = nn.Sequential(nn.Conv2d(1, 2, 3), relu, nn.MaxPool2d(2))
    network = nn.Sequential(inner, nn.Flatten(), nn.Sequential(nn.Linear(18, 5), relu, nn.Linear(5, 3))).double()
    assert_same(network, problem((1, 8, 8), 2, 1, 3, 3, False, 0.3, 0), torch.float64, 1e-10)


def test_class_numbers_of_any_integer_type():
    weights, images = dd.weights_of(dd.MLP()), torch.randn(3, 1, 28, 28)
    small, large = (chain.of(dd.MLP()).derivatives(weights, images, torch.arange(3, dtype=kind))[0]
                    for kind in (torch.uint8, torch.int64))
    assert all(torch.equal(one, other) for one, other in zip(small, large))


def test_threads_are_put_back():
    network, images, labels = dd.MLP(), torch.randn(10, 1, 28, 28), torch.arange(10)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        gradients, back = chain.of(network).derivatives(dd.weights_of(network), images, labels)
        back(gradients)
        assert torch.get_num_threads() == 2
        with pytest.raises(RuntimeError):
            chain.of(network).derivatives(dd.weights_of(network), images[:, :, :5], labels)
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_the_gradient_is_the_loss_s_own():
    network = dd.LeNet()
    images, labels = torch.randn(5, 1, 28, 28), torch.arange(5)
    weights = dd.weights_of(network)
    gradients, _ = chain.of(network).derivatives(weights, images, labels)
    for ours, theirs in zip(gradients, torch.autograd.grad(F.cross_entropy(network(images), labels), network.parameters())):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)
