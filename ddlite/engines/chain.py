"""First and second derivatives of a chain of layers, written out: what a gradient step and the way back through it need.

PyTorch can differentiate any network twice. On ten images that is mostly bookkeeping: hundreds of small operations for each
gradient step, and convolutions made for many images. LeNet and its like are chains of a few kinds of layers, whose derivatives
fit on a few pages.

Of a loss L at weights w, the way back needs the product of the second derivatives with a direction u. It is how the gradient
changes when the weights move along u (Pearlmutter 1994), and likewise for the images x:

    d/dw <dL/dw, u> = d/de dL/dw(w + e u) at e = 0,    d/dx <dL/dw, u> = d/de dL/dx(w + e u) at e = 0

What each kind of layer does is in `layers`; here, they are put together.
"""

import contextlib

import torch
from torch import fx, nn
from torch.nn import functional as F

from ddlite.engines.layers import Conv, Flatten, Linear, MaxPool, ReLU, Weighted

# Numbers in a batch (ten MNIST images have half of it) for which a second thread gains nothing, and loses much where the
# machine has other work.
FEW = 2**14


@contextlib.contextmanager
def threads_for(images):
    """As many threads as pay for so many images, and no bookkeeping of autograd's."""
    before = torch.get_num_threads()
    try:
        if images.numel() < FEW:
            torch.set_num_threads(1)
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(before)


HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Chain:
    """Layers one after another, and a cross-entropy at the end.

    Args:
        layers: of the kinds above; `weight` and `bias` of a layer are places in the list of weights (a bias may be None).
    """

    def __init__(self, layers):
        self.layers = layers
        self.weighted = [k for k, layer in enumerate(layers) if isinstance(layer, Weighted)]

    def columns(self, weights, shape):
        """How many numbers the largest matrix of columns has for one picture of a shape (channels, height, width)."""
        (channels, height, width), largest = shape, 0
        for layer in self.layers:
            if isinstance(layer, Conv):
                height, width = (side + 2 * layer.padding - layer.kernel + 1 for side in (height, width))
                largest = max(largest, channels * layer.kernel**2 * height * width)
                channels = len(weights[layer.weight])
            elif isinstance(layer, MaxPool):
                height, width = height // layer.side, width // layer.side
        return largest

    def derivatives(self, weights, images, labels, twice=True):
        """The gradient of the mean cross-entropy of a batch with respect to the weights, and the way back through it.

        Args:
            weights: a list of tensors.
            images: (N, C, H, W).
            labels: (N,) class numbers, or (N, classes) distributions.
            twice: there for the sake of callers of `adjoint.by_autograd`; the way back costs nothing until it is called.

        Returns the gradients, a list, and `back(direction)`: the gradients of the inner product of these gradients with a
        direction (a list like the weights), with respect to the weights (a list), the images, and labels (N, classes).
        All are inference tensors (`torch.inference_mode`): compute with them, but do not change them in place, nor
        differentiate through them.
        """
        with threads_for(images):
            return self._derivatives(weights, images, labels)

    def _derivatives(self, weights, images, labels):
        # What enters each layer and, as a gradient, comes back to it, and what else it has to remember. Columns are many times
        # larger than the pictures that they are made of: for the way back they are made again, which is quicker than to have
        # kept them in memory that has long left the cache.
        hidden, entering, arriving, known, given = images.permute(1, 2, 3, 0), {}, {}, {}, {}
        for k, layer in enumerate(self.layers):
            if k in self.weighted:
                entering[k] = hidden
                given[k], known[k] = layer.prepare(hidden)
                hidden = layer.product(*layer.of(weights), given[k], known[k])
            else:
                hidden, known[k] = layer.value(hidden)
        if not labels.is_floating_point():
            labels = F.one_hot(labels.long(), hidden.shape[1]).to(hidden.dtype)
        shares, mass = hidden.softmax(1), labels.sum(1, keepdim=True) / len(labels)
        gradient, gradients = shares * mass - labels / len(labels), [None] * len(weights)
        for k, layer in reversed([*enumerate(self.layers)][self.weighted[0]:]):  # nobody asks for the images' own gradient
            if k in self.weighted:
                arriving[k] = gradient
                layer.put(gradients, layer.to_weight(gradient, given[k]), gradient)
                if k != self.weighted[0]:
                    gradient = layer.restore(layer.to_input([weights[layer.weight]], [gradient]), known[k])
            else:
                gradient = layer.pull(gradient, known[k])

        def back(direction):
            with threads_for(images):
                return second(direction)

        def second(direction):
            # How what is hidden changes when the weights move, how what layers are given moves, and what it was.
            change, moved, again = None, {}, {}
            for k, layer in enumerate(self.layers):
                if k in self.weighted:
                    again[k], _ = layer.prepare(entering[k])
                    outcome = layer.product(*layer.of(direction), again[k], known[k])
                    if change is not None:
                        moved[k], _ = layer.prepare(change)
                        outcome += layer.product(weights[layer.weight], None, moved[k], known[k])
                    change = outcome
                elif change is not None:
                    change = layer.push(change, known[k])
            change = change - (shares * change).sum(1, keepdim=True)  # of the logarithms of the shares
            bent, found = shares * mass * change, [None] * len(weights)  # bent: how the gradient changes
            for k, layer in reversed([*enumerate(self.layers)]):
                if k in self.weighted:
                    of_weight = layer.to_weight(bent, again[k])
                    if k in moved:
                        of_weight += layer.to_weight(arriving[k], moved[k])
                    layer.put(found, of_weight, bent)
                    both = [weights[layer.weight], direction[layer.weight]]
                    bent = layer.restore(layer.to_input(both, [bent, arriving[k]]), known[k])
                else:
                    bent = layer.pull(bent, known[k])
            return found, bent.permute(3, 0, 1, 2), change / -len(labels)

        return gradients, back


def of(network):
    """The `Chain` that a network is, whatever its weights.

    Its code is read once (by `torch.fx`), so that its `forward` must not do now this, now that.
    Raises ValueError for a network that is no chain of the layers above, with what does not fit. Not every spelling of these
    layers is known: `x.view(len(x), -1)` or `nn.Identity`, for one, are refused, and such a network goes another way.
    """
    for name, module in network.named_modules():
        if "forward" in vars(module) or any(vars(module)[hooks] for hooks in HOOKS):
            raise ValueError(f"Layer {name!r} of {type(network).__name__} has hooks or a forward of its own, which are no part "
                             "of a chain.")
    if frozen := [name for name, weight in network.named_parameters() if not weight.requires_grad]:
        raise ValueError(f"{type(network).__name__} is no chain that is trained as a whole: {', '.join(frozen[:3])} is frozen.")
    places = {id(weight): place for place, weight in enumerate(network.parameters())}
    modules, layers, flat = dict(network.named_modules()), [], False
    try:
        first, *nodes, last = fx.symbolic_trace(network).graph.nodes
    except Exception as cause:  # whatever code does that does not expect to be read
        raise ValueError(f"The code of {type(network).__name__} could not be read as a chain of layers: {cause}") from cause
    for before, node in zip([first, *nodes], [*nodes, last]):
        layer = None if node is last or node.args[:1] != (before,) else _layer(node, modules, places)
        if node.args[:1] != (before,) or not (flat if node is last else _fits(layer, flat)):
            raise ValueError(f"{type(network).__name__} is no chain of convolutions (stride 1), ReLUs, max-pooling, flatten "
                             f"and linear layers. What does not fit: {node.format_node()}")
        flat = flat or isinstance(layer, Flatten)
        layers += [layer] * (node is not last)
    used = [place for layer in layers if isinstance(layer, Weighted) for place in (layer.weight, layer.bias)]
    if sorted(place for place in used if place is not None) != list(range(len(places))):
        raise ValueError(f"{type(network).__name__} is no chain: it has weights that are used twice, or not at all.")
    return Chain(layers)


def looks(network):
    """All that `of` can depend on but the code: a tuple, hashable, that is equal for two networks of one kind."""
    return (tuple((name, type(module), tuple((key, _plain(value)) for key, value in vars(module).items() if key[0] != "_"),
                   *(len(vars(module)[key]) for key in HOOKS), "forward" in vars(module))
                  for name, module in network.named_modules()),
            tuple((weight.shape, weight.dtype, weight.requires_grad) for weight in network.parameters()))


def _plain(value):
    """A value of an attribute as something hashable; what is no plain value is equal only to itself."""
    if isinstance(value, (int, float, str, type(None))):
        return value
    if isinstance(value, (tuple, list)):
        return (type(value), *map(_plain, value))
    if isinstance(value, dict):
        return (dict, *((_plain(key), _plain(one)) for key, one in value.items()))
    return (type(value), id(value)) if type(value).__hash__ is None or isinstance(value, torch.Tensor) else value


def _fits(layer, flat):
    """Whether a layer can come here: before or after the flattening."""
    return isinstance(layer, ReLU) or (layer is not None and flat == isinstance(layer, Linear))


def _layer(node, modules, places):
    """The layer that a line of a network's code stands for, or None."""
    if node.op != "call_module":
        rule = {F.relu: _relu, torch.relu: _relu, "relu": _relu, F.max_pool2d: _max_pool, torch.flatten: _flatten,
                "flatten": _flatten}.get(node.target)
        return rule and rule(*node.args[1:], **node.kwargs)
    module = modules[node.target]
    if type(module) in (nn.Conv2d, nn.Linear):
        weight, bias = places.get(id(module.weight)), places.get(id(module.bias))
        if weight is None or (bias is None) != (module.bias is None):  # a buffer in a weight's place
            return None
        return Linear(weight, bias) if type(module) is nn.Linear else _conv(module, weight, bias)
    if type(module) is nn.MaxPool2d:
        return _max_pool(module.kernel_size, module.stride, module.padding, module.dilation, module.return_indices,
                         module.ceil_mode)
    if type(module) is nn.Flatten:
        return _flatten(module.start_dim, module.end_dim)
    return ReLU() if type(module) is nn.ReLU else None


def _conv(module, weight, bias):
    kernel, padding = module.kernel_size[0], 0 if module.padding == "valid" else module.padding[0]
    plain = (module.stride, module.dilation, module.groups, module.padding_mode) == ((1, 1), (1, 1), 1, "zeros")
    square = module.kernel_size == (kernel, kernel) and module.padding in ("valid", (padding, padding))
    return Conv(weight, bias, kernel, padding) if plain and square else None


def _relu(inplace=False):
    return ReLU()


def _flatten(start_dim=0, end_dim=-1):
    return Flatten() if (start_dim, end_dim) == (1, -1) else None


def _max_pool(kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False):
    side = kernel_size if isinstance(kernel_size, int) else kernel_size[0]
    plain = side > 1 and kernel_size in (side, (side, side)) and stride in (None, side, (side, side))
    plain = plain and padding in (0, (0, 0)) and dilation in (1, (1, 1)) and not return_indices and not ceil_mode
    return MaxPool(side) if plain else None
