"""Networks that are no fixed function of weights and images are refused by what they do; odd ones that are, go right."""

import copy
import random
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from conftest import made_up
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

import ddlite as dd
from ddlite.engines import chain
from ddlite.unrollable import check, gradients_on, not_finite


@pytest.fixture(scope="module")
def data():
    return made_up((1, 8, 8), classes=3, n=240)


def net(between=None, after=None, inputs=64, **parts):
    """A small network whose forward is bent: by `between(self, hidden)` in the middle, or `after(self, logits)` at the end."""

    class Bent(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.last = nn.Linear(inputs, 12), nn.Linear(12, 3)
            for name, part in parts.items():
                setattr(self, name, part)

        def forward(self, images):
            hidden = torch.tanh(self.first(images.flatten(1)))
            logits = self.last(between(self, hidden) if between else hidden)
            return after(self, logits) if after else logits

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return Bent()


class OnceOnly(torch.autograd.Function):
    """A square whose own gradient has no derivative."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0] * gradient


class WrongTwice(torch.autograd.Function):
    """A square whose gradient is right, and whose second derivative is lost."""

    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x**2

    @staticmethod
    def backward(ctx, gradient):
        return 2 * ctx.saved_tensors[0].detach() * gradient


class RunningMean(nn.Module):
    """What BatchNorm does, under no name that is known."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(12))

    def forward(self, hidden):
        if self.training:
            self.mean.lerp_(hidden.detach().mean(0), 0.1)
        return hidden - self.mean


class Recurrent(nn.Module):
    def __init__(self, **options):
        super().__init__()
        self.rows, self.out = nn.GRU(8, 6, batch_first=options.pop("batch_first", True), **options), nn.Linear(6, 3)

    def forward(self, images):
        hidden, _ = self.rows(images.squeeze(1))
        return self.out(hidden[:, -1])


@dataclass
class Output:
    logits: torch.Tensor


def counting(self, hidden):
    self.calls = getattr(self, "calls", 0) + 1
    return hidden * self.calls


def clamped(self, hidden):
    self.last.weight.data.mul_(0.99)
    return hidden


def hooked(self, hidden):
    if hidden.requires_grad:
        hidden.register_hook(lambda gradient: gradient.clamp(-1e-4, 1e-4).detach())
    return hidden


def flash(self, hidden):
    parts = hidden.view(len(hidden), 1, 3, 4)
    return torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(parts, parts, parts)[0].reshape(len(hidden), 12)


def rounded(self, hidden):
    return hidden + ((8 * hidden).round() / 8 - hidden).detach()


def root(self, hidden):
    return torch.cat([hidden[:, 1:], (hidden[:, :1] - hidden[:, :1]).sqrt()], 1)


REFUSED = {  # what a network does: the words that say so
    "functional dropout": (lambda: net(lambda self, h: F.dropout(h, 0.5, self.training)), "draws random numbers"),
    "dropout that is rare": (lambda: net(lambda self, h: h * (torch.rand(()) > 1e-6)), "draws random numbers"),
    "noise of numpy's": (lambda: net(lambda self, h: h + float(np.random.rand())), "remembers earlier calls"),
    "noise of Python's": (lambda: net(lambda self, h: h + random.random()), "remembers earlier calls"),
    "random slopes": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 9), nn.RReLU(), nn.Linear(9, 3)), "RReLU, is random"),
    "functional RReLU": (lambda: net(lambda self, h: F.rrelu(h, training=self.training)), "draws random numbers"),
    "recurrent dropout": (lambda: Recurrent(num_layers=2, dropout=0.3), "'rows', a GRU, is random"),
    "a counter": (lambda: net(counting), "remembers earlier calls"),
    "dropout before a last layer of zeros": (lambda: zeros_at_the_end(net(lambda self, h: F.dropout(h))), "draws random"),
    "running statistics": (lambda: net(lambda self, h: self.norm(h), norm=nn.BatchNorm1d(12)), "running statistics.*eval"),
    "a running mean by hand": (lambda: net(lambda self, h: self.norm(h), norm=RunningMean()), "'norm.mean'.*changes.*eval"),
    "no running statistics": (lambda: net(lambda self, h: self.norm(h), norm=nn.BatchNorm1d(12, track_running_stats=False)),
                              "other images of a batch.*GroupNorm"),
    "batch statistics by hand": (lambda: net(lambda self, h: h - h.mean(0)), "other logits alone than among others"),
    "functional batch norm": (lambda: net(lambda self, h: F.batch_norm(h, None, None, training=True)), "not one alone"),
    "the batch taken for time": (lambda: Recurrent(batch_first=False), "other logits alone than among others"),
    "a batch of three only": (lambda: net(lambda self, h: h.view(3, 12)), "not one alone"),
    "spectral norm": (lambda: net(norm=parametrizations.spectral_norm(nn.Linear(12, 3))), "moves its vectors.*eval"),
    "spectral norm of old": (lambda: nn.Sequential(nn.Flatten(), nn.utils.spectral_norm(nn.Linear(64, 3))), "moves its"),
    "weight norm of old": (lambda: nn.Sequential(nn.Flatten(), nn.utils.weight_norm(nn.Linear(64, 3))), "parametrizations"),
    "images changed in place": (lambda: nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(64, 3)), "changes the im"),
    "images changed by a little": (lambda: nn.Sequential(Darker(), nn.Flatten(), nn.Linear(64, 3)), "changes the images"),
    "weights changed by a call": (lambda: net(clamped), "'last.weight'.*changes"),
    "a part of the gradient detached": (lambda: net(lambda self, h: h * h.detach()), "second derivatives"),
    "images detached": (lambda: nn.Sequential(Detached(), nn.Flatten(), nn.Linear(64, 3)), "No gradient.*reaches the images"),
    "images as whole numbers": (lambda: nn.Sequential(Whole(), nn.Flatten(), nn.Linear(64, 3)), "No gradient.*the images"),
    "rounding with a gradient of its own": (lambda: net(rounded), "second derivatives"),
    "a gradient cut by a hook": (lambda: net(hooked), "second derivatives"),
    "a second derivative lost": (lambda: net(lambda self, h: WrongTwice.apply(h)), "second derivatives"),
    "no second derivative": (lambda: net(lambda self, h: OnceOnly.apply(h)), "second derivatives|differentiated twice"),
    "a kernel without second derivatives": (lambda: net(flash), "cannot be differentiated twice"),
    "all under no_grad": (lambda: net(after=lambda self, logits: logits.detach()), "cannot be differentiated"),
    "division by zero": (lambda: net(lambda self, h: h / (h - h)), "before any training.*division by 0"),
    "a root of zero": (lambda: net(root), "makes NaN or infinity.*gradients.*root"),
    "weights of NaN": (lambda: filled(net(), float("nan")), "'first.weight'.*NaN.*diverged"),
    "a tuple": (lambda: net(after=lambda self, logits: (logits, logits)), "returns a tuple.*wrap it"),
    "a dict": (lambda: net(after=lambda self, logits: {"logits": logits}), "returns a dict.*wrap it"),
    "an object with logits": (lambda: net(after=lambda self, logits: Output(logits)), "returns a Output.*wrap it"),
    "nothing": (lambda: net(after=lambda self, logits: None), "returns a NoneType"),
    "one row for all": (lambda: net(after=lambda self, logits: logits.mean(0)), "one row for each image"),
    "class numbers": (lambda: net(after=lambda self, logits: logits.argmax(1, keepdim=True).expand(-1, 3)), "not the number"),
    "other classes": (lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 5)), "gives 5 logits.*3 classes need 3"),
    "other pictures": (lambda: net(inputs=65), r"does not take images \(1, 8, 8\)"),
    "other channels": (lambda: nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten(), nn.Linear(72, 3)), r"take images \(1, 8, 8\)"),
    "a forward of two arguments": (lambda: nn.Bilinear(64, 64, 3), "does not take images"),
    "no forward": (lambda: nn.ModuleList([nn.Linear(64, 3)]), "does not take images"),
    "double precision": (lambda: net().double(), r"float64.*float32.*network.float\(\)"),
    "half precision": (lambda: net().bfloat16(), r"bfloat16.*float32.*network.float\(\)"),
    "lazy layers": (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(3)), "lazy.*call the network once"),
    "no numbers": (lambda: net().to("meta"), "meta"),
    "no weights": (lambda: nn.Sequential(nn.Flatten(), nn.AvgPool1d(2)), "no weights to train: it has none"),
    "frozen throughout": (lambda: net().requires_grad_(False), "all its weights are frozen"),
    "a class": (lambda: nn.Flatten, "not the class Flatten"),
    "a function": (lambda: torch.relu, "an nn.Module, is needed"),
}


class Detached(nn.Module):
    def forward(self, images):
        return images.detach()


class Darker(nn.Module):
    def forward(self, images):
        images -= 0.1
        return images


class Whole(nn.Module):
    def forward(self, images):
        return images.long().float()


def filled(network, value):
    with torch.no_grad():
        network.first.weight[0, 0] = value
    return network


def zeros_at_the_end(network):
    nn.init.zeros_(network.last.weight)
    return network


@pytest.mark.filterwarnings("ignore:.*weight_norm", "ignore::FutureWarning")
@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_fixed_function_is_refused_before_the_first_step(what, data):
    make, words = REFUSED[what]
    with pytest.raises(ValueError, match=words) as refused:
        dd.distill(dd.DistilledSet.noise(data), dd.FixedStart(make()), dd.Fit(data), outer_steps=1, validation_networks=1)
    assert str(refused.value).count("\n") == 0 and "allow_unused" not in str(refused.value)


@pytest.mark.parametrize("what", ["functional dropout", "a counter", "a running mean by hand", "batch statistics by hand",
                                  "a tuple", "other classes", "other pictures", "double precision", "division by zero"])
def test_using_a_set_asks_the_same_of_a_network(what, data):
    make, words = REFUSED[what]
    dset, network = dd.DistilledSet.noise(data), make()
    with pytest.raises(ValueError, match=words):
        dset.train(network)
    with pytest.raises(ValueError, match=words):
        dd.evaluate(dset, [network], dd.Fit(data), data.test)


def learned(data, start, **options):
    """The best set of a short distillation."""
    noise = dd.DistilledSet.noise(data, passes=2, step_size=0.1)
    settings = {"batch_size": 16, "validation_networks": 1, **options}
    return list(dd.distill(noise, start, dd.Fit(data), 2, **settings))[-1].best


def attends():
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.embed, self.out = nn.Linear(8, 8), nn.Linear(8, 3)
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True)

        def forward(self, images):
            return self.out(self.layer(self.embed(images.squeeze(1))).mean(1))

    return Attends()


def tied():
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 3))
    network[3].weight = network[1].weight
    return network


def frozen():
    network = net()
    network.first.requires_grad_(False)
    return network


def half_frozen():
    network = net()
    network.first.weight.requires_grad_(False)
    return network


def batchnorm():
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Tanh(), nn.Flatten(), nn.Linear(144, 3))
    network(torch.randn(50, 1, 8, 8) + 1)  # statistics of something
    return network.eval()


def random_features():
    network = net(lambda self, h: torch.cos(h @ self.projection))
    network.register_buffer("projection", torch.randn(12, 12))
    return network


RIGHT = {
    "attention": attends,
    "a recurrent network": Recurrent,
    "unused weights": lambda: net(decoder=nn.Linear(3, 64)),
    "a frozen layer": frozen,
    "a frozen weight beside its bias": half_frozen,
    "frozen BatchNorm": batchnorm,
    "random features in a buffer": random_features,
    "weights that are used twice": tied,
    "spectral norm in evaluation mode": lambda: net(
        lambda self, h: self.norm(h), norm=parametrizations.spectral_norm(nn.Linear(12, 12))).eval(),
    "orthogonal weights": lambda: net(lambda self, h: self.norm(h), norm=parametrizations.orthogonal(nn.Linear(12, 12))),
    "dropout of no share": lambda: net(lambda self, h: F.dropout(h, 0.0)),
    "dropout in evaluation mode": lambda: net(lambda self, h: F.dropout(h, 0.5, self.training)).eval(),
    "smooth activations": lambda: net(lambda self, h: F.gelu(F.silu(F.mish(h)))),
    "learned slopes": lambda: net(lambda self, h: self.slope(h), slope=nn.PReLU(12)),
    "instance norm": lambda: nn.Sequential(nn.Conv2d(1, 4, 3), nn.InstanceNorm2d(4), nn.Flatten(), nn.Linear(144, 3)),
    "a picture's spectrum": lambda: nn.Sequential(Spectrum(), nn.Flatten(), nn.Linear(40, 3)),
    "other precisions within": lambda: net(lambda self, h: h.double().exp().float().to(self.last.weight.dtype)),
    "a last layer of zeros": lambda: zeros_at_the_end(net()),
}


class Spectrum(nn.Module):
    def forward(self, images):
        return torch.view_as_real(torch.fft.rfft2(images)).square().sum(-1)


def by_hand(network, images, labels, step_sizes, real):
    """The goal's loss after training by torch.optim.SGD: another way, with nothing of ddlite's."""
    trained = copy.deepcopy(network)
    optimiser = torch.optim.SGD([weight for weight in trained.parameters() if weight.requires_grad], lr=1.0)
    for t, step_size in enumerate(step_sizes.tolist()):
        optimiser.param_groups[0]["lr"] = step_size
        optimiser.zero_grad()
        F.cross_entropy(trained(images[t % len(images)]), labels[t % len(images)]).backward()
        optimiser.step()
    with torch.no_grad():
        return F.cross_entropy(trained(real[0]), real[1]).item(), trained


@pytest.mark.parametrize("what", RIGHT)
def test_odd_networks_give_the_right_meta_gradient(what, data):
    """Both engines against differences of a training by hand, in double precision; and the network is left as it was."""
    torch.manual_seed(3)
    network = RIGHT[what]().double()
    before = copy.deepcopy(network.state_dict())
    images, labels = torch.randn(2, 3, 1, 8, 8).double(), torch.arange(3).repeat(2, 1)
    step_sizes = torch.tensor([0.2, 0.1]).double()
    real = data.train.images[:20].double(), data.train.labels[:20]
    check(network, real[0], 3, twice=True)
    loss, goal = dd.loss_of(network), dd.Fit(data).loss_of(network, *real)
    value, gradients = dd.meta_gradient(loss, goal, dd.weights_of(network), images, labels, step_sizes)
    again, others = dd.adjoint.meta_gradient(loss, goal, dd.weights_of(network), images, labels, step_sizes)
    torch.testing.assert_close((value, gradients), (again, others), rtol=1e-8, atol=1e-12)
    assert value.item() == pytest.approx(by_hand(network, images, labels, step_sizes, real)[0], rel=1e-9)
    way, length = torch.randn(images.shape).double(), 1e-6
    there, back = (by_hand(network, images + side * length * way, labels, step_sizes, real)[0] for side in (1, -1))
    tolerance = 0.1 if what == "other precisions within" else 1e-5  # steps of 1e-6 are lost in single precision
    assert (gradients["images"] * way).sum().item() == pytest.approx((there - back) / (2 * length), rel=tolerance, abs=1e-8)
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, before[key]), key


@pytest.mark.parametrize("what", RIGHT)
def test_odd_networks_go_through_distill_and_training(what, data, tmp_path):
    torch.manual_seed(3)
    start = dd.FixedStart(RIGHT[what]())
    best, other = learned(data, start), learned(data, start, engine="adjoint")
    torch.testing.assert_close(best.images, other.images, rtol=1e-3, atol=1e-4)
    best.save(tmp_path / "set.safetensors", initial=start.network.parameters())
    loaded, [network] = dd.DistilledSet.load(tmp_path / "set.safetensors"), start.networks()
    trained = loaded.train(network)
    _, expected = by_hand(network, loaded.images, loaded.labels, loaded.step_sizes, (data.test.images, data.test.labels))
    for (name, ours), theirs in zip(trained.named_parameters(), expected.parameters()):
        torch.testing.assert_close(ours, theirs, msg=name, rtol=1e-4, atol=1e-5)


def test_a_view_of_coloured_pictures_is_told_in_words():
    """Images are laid out channels last in memory: a convolution's result cannot be viewed as rows, but flattened."""

    class Views(nn.Module):
        def __init__(self, rows):
            super().__init__()
            self.conv, self.out, self.rows = nn.Conv2d(3, 2, 3), nn.Linear(72, 3), rows

        def forward(self, images):
            hidden = self.conv(images)
            return self.out(self.rows(hidden))

    coloured = made_up((3, 8, 8), classes=3, n=60)
    learned(coloured, dd.FixedStart(Views(lambda hidden: hidden.flatten(1))))
    with pytest.raises(ValueError, match=r"use flatten\(1\) in its forward"):
        learned(coloured, dd.FixedStart(Views(lambda hidden: hidden.view(len(hidden), -1))))
    views, goal = Views(lambda hidden: hidden.view(len(hidden), -1)), dd.Fit(coloured)
    flat = dd.unroll.with_weights(Views(lambda hidden: hidden.flatten(1)), dd.weights_of(views))
    one, other = (dd.evaluate(dd.DistilledSet.noise(coloured), [each], goal, coloured.test).scores for each in (views, flat))
    assert one == other  # a set that is there can be used on it
    with pytest.raises(ValueError, match="use flatten"):
        dd.pretrain(views, coloured, epochs=1)


def test_a_check_disturbs_nothing_and_is_made_once_for_each_kind(data):
    calls = []

    class Counted(dd.MLP):
        def forward(self, images):
            calls.append(len(images))
            return super().forward(images)

    states = random.getstate(), np.random.get_state()[1].copy(), torch.get_rng_state()
    check(Counted(data.shape, 3), data.train.images, 3, twice=True)
    assert len(calls) < 40 and max(calls) <= 4
    with pytest.raises(ValueError):
        check(net(lambda self, h: F.dropout(h + random.random() + np.random.rand())), data.train.images, 3)
    assert states[0] == random.getstate() and (states[1] == np.random.get_state()[1]).all()
    once = len(calls)
    torch.manual_seed(0)
    dset, goal, start = dd.DistilledSet.noise(data, passes=1), dd.Fit(data), dd.RandomStart(Counted, data)
    calls.clear()
    state = torch.get_rng_state()
    dd.evaluate(dset, start.networks("held-out", 1), goal, data.test, [1])
    first = len(calls)
    dd.evaluate(dset, start.networks("held-out", 5), goal, data.test, [1])
    assert torch.equal(state, torch.get_rng_state())
    assert len(calls) - first < 5 * first and len(calls) - first - 5 * 2 <= once  # no check but the first


def test_nan_of_the_networks_own_making_is_told_from_a_divergence(data):
    sound = net()
    assert not_finite(sound, data.train.images) == ""
    bright = data.train.images[4:].amax().item()  # not among the first images, which are tried before learning

    class Rare(dd.MLP):
        def forward(self, images):
            darker = bright - images.amax((1, 2, 3))
            return super().forward(images) / darker[:, None].sign()

    assert "before any training" in not_finite(Rare(data.shape, 3), data.train.images)
    with pytest.raises(dd.Diverged, match="outer step 1: .*before any training.*A smaller step size does not help"):
        learned(data, dd.FixedStart(Rare(data.shape, 3)), batch_size=2000)
    with pytest.raises(dd.Diverged, match="Try a smaller learning_rate"):
        list(dd.distill(dd.DistilledSet.noise(data, step_size=1e30), dd.FixedStart(sound), dd.Fit(data), 2))


@pytest.mark.filterwarnings("ignore:.*weight_norm", "ignore::FutureWarning")
def test_weight_norm_is_taken_where_pytorch_differentiates_it_correctly(data):
    """In some of PyTorch's versions its second derivative is wrong, which PyTorch's own test of second derivatives tells."""
    v, g = torch.randn(4, 5).double().requires_grad_(), torch.rand(4, 1).double().requires_grad_()
    correct = torch.autograd.gradgradcheck(lambda v, g: torch._weight_norm(v, g, 0), (v, g), raise_exception=False)
    network = net(lambda self, h: self.norm(h), norm=parametrizations.weight_norm(nn.Linear(12, 12)))
    if correct:
        check(network, data.train.images, 3, twice=True)
    else:
        with pytest.raises(ValueError, match="second derivatives.*'norm.parametrizations"):
            check(network, data.train.images, 3, twice=True)
    dd.DistilledSet.noise(data).train(network)  # first derivatives do for this


@pytest.mark.parametrize("off", [torch.no_grad, torch.inference_mode])
def test_everything_works_where_gradients_are_off(off, data):
    network, start = net(), dd.RandomStart(dd.MLP, data)
    with off():
        goal, noise = dd.Fit(data), dd.DistilledSet.noise(data, passes=2, step_size=0.1)
        best = list(dd.distill(noise, dd.FixedStart(network), goal, 2, batch_size=16, validation_networks=1))[-1].distilled
        inside = dd.evaluate(best, [network], goal, data.test).mean
        trained = best.train(network)
        learned(data, start, engine="adjoint")
        pool = dd.PoolStart(dd.MLP, data, 1, epochs=1).fill()
        scratch = dd.train_from_scratch(*best.examples(), network, epochs=1)
        weights = dd.train(dd.loss_of(network), dd.weights_of(network), best.gradient_steps(), create_graph=False)
        moved = dd.unroll.with_weights(network, weights)
    for outside, within in ((best.train(network), trained), (trained, moved),
                            (dd.train_from_scratch(*best.examples(), network, epochs=1), scratch),
                            (dd.PoolStart(dd.MLP, data, 1, epochs=1).networks("training")[0], pool.networks("training")[0])):
        torch.testing.assert_close(list(outside.parameters()), list(within.parameters()))
    assert dd.evaluate(best, [network], goal, data.test).mean == inside
    moved(data.test.images[:2]).sum().backward()  # and what was made in there can be trained on


def test_frozen_weights_stay_and_are_part_of_what_a_set_was_learned_for(data, tmp_path):
    network, goal = frozen(), dd.Fit(data)
    kept = network.first.weight.clone()
    assert len(dd.weights_of(network)) == 2
    start = dd.FixedStart(network)
    best = learned(data, start)
    pretrained, scratch = dd.pretrain(network, data, epochs=1), dd.train_from_scratch(*best.examples(), network, epochs=2)
    for trained in (best.train(network), pretrained, scratch, dd.initialise(copy.deepcopy(network), 5)):
        assert torch.equal(trained.first.weight, kept) and not torch.equal(trained.last.weight, network.last.weight)
    with pytest.raises(ValueError, match=r"learned with first.weight, first.bias frozen.*no weights frozen.*requires_grad"):
        best.train(net())
    with pytest.warns(UserWarning, match="other weights"):
        best.train(filled(net(), 5.0), own_weights=True)
    with pytest.raises(ValueError, match="first.weight, first.bias is frozen"):
        chain.of(network)
    with pytest.raises(ValueError, match="frozen"):
        dd.distill(dd.DistilledSet.noise(data), start, goal, outer_steps=1, engine="chain")
    best.save(tmp_path / "set.safetensors", initial=start.network.parameters())
    other = frozen()
    with torch.no_grad():
        other.first.weight.add_(1)
    trained = dd.DistilledSet.load(tmp_path / "set.safetensors").train(other)
    assert torch.equal(trained.first.weight, kept)


def test_buffers_of_a_fixed_start_are_kept_restored_and_told_apart(data, tmp_path):
    torch.manual_seed(1)
    start, goal = dd.FixedStart(random_features()), dd.Fit(data)
    best = learned(data, start)
    here = dd.evaluate(best, start.networks(), goal, data.test).to_dict()
    best.save(tmp_path / "set.safetensors", initial=start.network.parameters())
    loaded, other = dd.DistilledSet.load(tmp_path / "set.safetensors"), random_features()
    assert loaded.train(other).projection.equal(start.network.projection)
    assert not other.projection.equal(start.network.projection)
    assert dd.evaluate(loaded, start.networks(), goal, data.test).to_dict() == here
    assert {name: buffer.tolist() for name, buffer in loaded.buffers.items()} == {
        name: buffer.tolist() for name, buffer in best.buffers.items()}
    bare = replace(best, buffers=None)
    bare.train(start.network)
    with pytest.raises(ValueError, match="other buffers"):
        bare.train(random_features())
    with pytest.warns(UserWarning, match="other buffers"):
        loaded.train(other, own_weights=True)
    assert bare != best


def test_buffers_that_make_draws_are_part_of_each_network(data, tmp_path):
    start = dd.RandomStart(lambda shape, classes: random_features(), data)
    one, two, again = *start.networks("training", 2), start.networks("training")[0]
    assert one.projection.equal(again.projection) and not one.projection.equal(two.projection)
    pools = [dd.PoolStart(lambda shape, classes: random_features(), data, 2, folder=tmp_path, epochs=1) for _ in range(2)]
    first = pools[0].networks("training", 2)[1]
    [path] = pools[0].folder.glob("*training-000001*")
    assert "projection" in dd.pools.load_tensors(path)[0]
    assert first.state_dict().keys() == pools[1].networks("training", 2)[1].state_dict().keys()
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(first.state_dict().values(),
                                                                 pools[1].networks("training", 2)[1].state_dict().values()))

    def masked(share):
        def make(shape, classes):
            network = nn.Sequential(nn.Flatten(), nn.Linear(64, 3))
            network.register_buffer("mask", torch.full((3,), share))
            return network
        return dd.PoolStart(make, data, 1, folder=tmp_path, epochs=1).folder

    assert masked(0.5) != masked(0.25)


def test_with_weights_gives_a_copy_and_says_what_does_not_fit():
    network = net()
    before, weights = copy.deepcopy(network.state_dict()), [weight + 1 for weight in dd.weights_of(network)]
    other = dd.unroll.with_weights(network, weights)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert torch.equal(other.last.bias, network.last.bias + 1)
    assert dd.unroll.put_weights(network, weights) is network and torch.equal(other.last.bias, network.last.bias)
    for wrong in (weights[1:], weights[::-1], []):
        with pytest.raises(ValueError, match="weights_of"):
            dd.unroll.with_weights(network, wrong)


def test_looks_are_hashable_and_equal_for_networks_of_one_kind():
    assert hash(chain.looks(dd.MLP())) == hash(chain.looks(dd.MLP())) and chain.looks(dd.LeNet()) == chain.looks(dd.LeNet())
    frozen, plain = dd.MLP(), chain.looks(dd.MLP())
    frozen.linear1.weight.requires_grad_(False)
    for other in (dd.LeNet(), dd.MLP((1, 32, 32)), dd.MLP().eval(), dd.MLP().double(), frozen):
        assert chain.looks(other) != plain
    odd = net(config={"a": 1}, table=torch.ones(3), options={"a": [1, {2}]})
    assert chain.looks(odd) == chain.looks(odd)


def test_convolutions_are_computed_in_full_precision_inside_alone():
    where, name = torch.backends.cudnn, "allow_tf32"
    if hasattr(where, "conv"):
        where, name = where.conv, "fp32_precision"
    before = getattr(where, name)
    with pytest.raises(KeyError), gradients_on():
        assert getattr(where, name) in (False, "ieee")
        raise KeyError
    assert getattr(where, name) == before != "ieee"
