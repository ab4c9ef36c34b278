"""The layers of a `Chain`, each with its derivatives.

A layer without weights says three things. `value`: what comes out, and what to remember. `push`: how what comes out changes
when what goes in changes. `pull`: the gradient of what goes in, given that of what comes out. Where there are weights, the
rule for products does the rest.

Pictures are laid out as (channels, height, width, pictures), so that a convolution is one matrix product, and whole rows of
pixels of all pictures are copied or added at once. From the flattening on, it is (pictures, features), as usual.
"""

import torch
from torch.nn import functional as F


class Weighted:
    """A layer with weights: `weight` and `bias` are their places in the list of all weights (a bias may be None)."""

    def __init__(self, weight, bias):
        self.weight, self.bias = weight, bias

    def of(self, weights):
        return weights[self.weight], None if self.bias is None else weights[self.bias]

    def put(self, gradients, of_weight, arriving):
        gradients[self.weight] = of_weight
        if self.bias is not None:
            gradients[self.bias] = self.to_bias(arriving)


class Conv(Weighted):
    """Kernels times windows: each window of the pictures is a column, each kernel a row."""

    def __init__(self, weight, bias, kernel, padding):
        super().__init__(weight, bias)
        self.kernel, self.padding = kernel, padding

    def prepare(self, pictures):
        """(c, h, w, n) to (c * k * k, places * n): windows as columns. Linear, so it pushes changes of pictures, too."""
        k, p, pictures = self.kernel, self.padding, pictures.contiguous()
        wide = F.pad(pictures, (0, 0, p, p, p, p)) if p else pictures
        (c, h, w, n), (channel, row, column, picture) = wide.shape, wide.stride()
        down, right = h - k + 1, w - k + 1
        windows = wide.as_strided((c, k, k, down, right, n), (channel, row, column, row, column, picture))
        return windows.reshape(c * k * k, -1), (c, h, w, n, down, right)

    def restore(self, columns, shape):
        """The other way, for gradients: what each pixel gave to several windows comes back to it as a sum."""
        (c, h, w, n, down, right), k, p = shape, self.kernel, self.padding
        rows, pictures = columns.new_zeros(c, k, down, w, n), columns.new_zeros(c, h, w, n)
        # First along the rows of pixels, then across them: 2 * k sums of large blocks in place of k * k.
        for place, part in zip(rows.unfold(3, right, 1).unbind(3), columns.view(c, k, k, down, right, n).mT.unbind(2)):
            place += part
        for place, part in zip(pictures.unfold(1, down, 1).unbind(1), rows.movedim(2, -1).unbind(1)):
            place += part
        return pictures[:, p:h - p, p:w - p] if p else pictures

    def product(self, weight, bias, columns, shape):
        """With its bias, if it has one."""
        weight = weight.flatten(1)
        outcome = weight @ columns if bias is None else torch.addmm(bias.unsqueeze(1), weight, columns)
        return outcome.view(-1, *shape[4:], shape[3])

    def to_input(self, weights, gradients):
        """The gradient of the columns, summed over pairs of weights and gradients of what they gave."""
        gradients = [gradient.reshape(len(gradient), -1) for gradient in gradients]
        return torch.cat(weights).flatten(1).t() @ torch.cat(gradients)

    def to_weight(self, gradient, columns):
        gradient = gradient.reshape(len(gradient), -1)
        return (gradient @ columns.t()).view(len(gradient), -1, self.kernel, self.kernel)

    def to_bias(self, gradient):
        return gradient.sum((1, 2, 3))


class Linear(Weighted):
    """A matrix product; methods as in `Conv`."""

    def prepare(self, features):  # a convolution makes columns, which here is nothing to do
        return features, None

    def restore(self, features, shape):
        return features

    def product(self, weight, bias, features, shape):
        return F.linear(features, weight, bias)

    def to_input(self, weights, gradients):
        first, *others = (gradient @ weight for weight, gradient in zip(weights, gradients))
        return sum(others, first)

    def to_weight(self, gradient, features):
        return gradient.t() @ features

    def to_bias(self, gradient):
        return gradient.sum(0)


class ReLU:
    def value(self, hidden):
        hidden = hidden.relu()
        return hidden, hidden.sign()

    def push(self, change, on):
        return change * on

    pull = push


class MaxPool:
    """The largest of each square of so many by so many pixels; of equal ones the first, as in PyTorch."""

    def __init__(self, side):
        self.side = side

    def value(self, pictures):
        narrow, columns = _largest(self._slices(pictures, 2))
        small, rows = _largest(self._slices(narrow, 1))
        return small, (columns, rows, pictures.shape, narrow.shape)

    def push(self, change, found):
        columns, rows, *_ = found
        return _chosen(self._slices(_chosen(self._slices(change, 2), columns), 1), rows)

    def pull(self, gradient, found):
        columns, rows, shape, narrow = found
        return self._given_back(self._given_back(gradient, rows, narrow, 1), columns, shape, 2)

    def _slices(self, pictures, axis):
        """Every side-th row (axis 1) or column (axis 2): from the first on, from the second on, ... What is left over, not."""
        if over := pictures.shape[axis] % self.side:
            pictures = pictures.narrow(axis, 0, pictures.shape[axis] - over)
        return pictures.unflatten(axis, (-1, self.side)).unbind(axis + 1)

    def _given_back(self, gradient, beats, shape, axis):
        """The gradient in the places that `_largest` chose among slices, and 0 elsewhere."""
        whole = gradient.new_zeros(shape) if shape[axis] % self.side else gradient.new_empty(shape)
        first, *others = self._slices(whole, axis)  # from the last slice back, each takes what it won; the first has the rest
        for beat, place in zip(reversed(beats), reversed(others)):
            torch.mul(gradient, beat, out=place)
            gradient = torch.sub(gradient, place, out=first)
        return whole


def _largest(slices):
    """The largest of several tensors, and for each but the first where it beat all before it (1, else 0)."""
    top, beats = slices[0], []
    for other in slices[1:]:
        beats.append(torch.gt(other, top, out=torch.empty_like(top)))
        top = torch.maximum(top, other)
    return top, beats


def _chosen(slices, beats):
    """What stands in the places that `_largest` chose."""
    kept = slices[0]
    for other, beat in zip(slices[1:], beats):
        kept = kept.lerp(other, beat)
    return kept


class Flatten:
    def value(self, pictures):
        return pictures.flatten(0, 2).t().contiguous(), pictures.shape

    def push(self, change, shape):
        return self.value(change)[0]

    def pull(self, gradient, shape):
        return gradient.t().reshape(shape)
