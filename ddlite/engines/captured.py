"""An outer step recorded as a CUDA graph: a GPU then repeats its thousands of small kernels without waiting for Python."""

import copy
import warnings

import torch

TRIES = 5  # at seeing the record agree with the step, in one call
CALLS = 20  # after which a step that does not even agree with itself is no longer compared


class Captured:
    """A function of a network, a goal and tensors, recorded at its first call and repeated with other numbers afterwards.

    Calls are made both ways until the record has twice given what the function gives (to 1e-3): the first two, as a rule. Where
    it gives something else, or where a GPU or a network cannot be recorded, a warning says so and every call is one of the
    function.

    Args:
        function: called as `function(network, goal, *tensors)`, gives a list of tensors. Nothing that it does may depend on
            the values of tensors; their shapes, the kind of network and the goal are those of the first call.
    """

    def __init__(self, function):
        self._function, self._repeat, self._compared, self._calls = function, None, 0, 0

    def __call__(self, network, goal, *tensors):
        if self._compared == 2:
            return self._repeat(network, goal, *tensors)
        expected, self._calls = self._function(network, goal, *tensors), self._calls + 1
        try:
            self._repeat = self._repeat or self._recorded(network, goal, tensors)
            agrees = self._agrees(expected, network, goal, tensors)
            if agrees is False:
                raise RuntimeError("the record gave other numbers than the step itself")
            if agrees is None and self._calls == CALLS:
                raise RuntimeError("the step gives other numbers at each call, so that no record can be compared with it")
            self._compared += agrees is True
        except (RuntimeError, ValueError, AssertionError) as cause:  # the latter two where there is no CUDA
            self._repeat, self._compared = self._function, 2
            warnings.warn(f"The outer step was not captured in a CUDA graph ({str(cause).splitlines()[0]}): it works without, "
                          "but slower.", stacklevel=2)
        return expected

    def _agrees(self, expected, network, goal, tensors):
        """Whether the record gives what the function gives; None where the function does not agree with itself.

        A GPU adds in no fixed order. Where that decides on which side of a ReLU a number lies, a step now and then differs from
        itself: by a few per cent, or by all of it where a training is at the edge of diverging.
        """
        results = [expected]
        for _ in range(TRIES):
            found = self._repeat(network, goal, *tensors)
            if any(_alike(found, each) for each in results):
                return True
            results.append(self._function(network, goal, *tensors))
        return False if all(_alike(expected, each) for each in results[1:]) else None

    def _recorded(self, network, goal, tensors):
        own, static = copy.deepcopy(network), [tensor.detach().clone() for tensor in tensors]
        inputs = [*own.parameters(), *own.buffers(), *static]  # the record reads these places in memory, and no others

        with torch.cuda.device(static[0].device):
            aside, graph = torch.cuda.Stream(), torch.cuda.CUDAGraph()
            aside.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(aside):
                for _ in range(3):  # PyTorch asks for some calls on another stream, where libraries set themselves up
                    self._function(own, goal, *static)
                with torch.cuda.graph(graph, stream=aside):
                    found = self._function(own, goal, *static)
            torch.cuda.current_stream().wait_stream(aside)

        def repeat(network, goal, *tensors):
            with torch.no_grad():
                for place, now in zip(inputs, [*network.parameters(), *network.buffers(), *tensors]):
                    place.copy_(now)
            graph.replay()
            return [tensor.clone() for tensor in found]

        return repeat


def _alike(some, others):
    largest = [other.abs().nan_to_num(posinf=0).max().item() for other in others]  # the loop tells of a divergence
    return all(torch.allclose(one, other, rtol=1e-3, atol=1e-3 * most, equal_nan=True)
               for one, other, most in zip(some, others, largest, strict=True))
