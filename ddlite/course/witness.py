"""Witnesses of what an answer does: the batches that networks see, what is learned from them, and what comes back."""

import contextlib
import itertools
import math

import torch
from torch import nn

from ddlite.course.checks import demand


class Shown:
    """A batch that went through a network: its images, its logits, and the gradient that came back to them, if one did.

    `added` says whether that gradient was added to an older one, which the network's weights held in .grad.
    """

    def __init__(self, images, logits, network):
        self.images, self.logits, self.network = images.detach(), logits.detach(), network
        self.gradient, self.added = None, False

    def learned(self, gradient):
        if self.gradient is None:
            self.gradient = gradient.detach()
            for weight in self.network.parameters():
                if weight.grad is not None and weight.grad.any():
                    self._watch(weight)

    def _watch(self, weight):
        """.backward() adds to .grad; torch.autograd.grad does not, and whoever sets .grad then has cleared it."""
        def note(_):
            self.added = True
            handle.remove()

        handle = weight.register_post_accumulate_grad_hook(note)


@contextlib.contextmanager
def watching():
    """Notes each batch that a `small` network sees; a list of `Shown`, in order.

    To learn from a batch is to send a gradient back through its logits: who only watches a loss sends none.
    """
    shown = []

    def note(module, inputs, logits):
        if not isinstance(module, nn.Sequential) or not isinstance(inputs[0], torch.Tensor) or (
                torch._C._functorch.maybe_get_level(inputs[0]) > 0):
            return
        with contextlib.suppress(RuntimeError):  # tensors inside torch.func's transforms have no numbers to note
            shown.append(Shown(inputs[0], logits, module))
            if torch._C._functorch.maybe_get_level(logits) > 0:
                shown[-1].gradient = torch.full_like(shown[-1].logits, math.nan)  # learned from, but unknown how
            elif logits.requires_grad:
                logits.register_hook(shown[-1].learned)

    handle = nn.modules.module.register_module_forward_hook(note)
    try:
        yield shown
    finally:
        handle.remove()


def keys_of(images):
    """Something to recognise each image by."""
    return [image.numpy().tobytes() for image in images.detach().float().contiguous()]


def neighbours(drawn, handed_in):
    """The share of images, lists of keys, that come right after the one that they follow in the data."""
    place, pairs = {key: k for k, key in enumerate(handed_in)}, [pair for keys in drawn for pair in itertools.pairwise(keys)]
    return sum(place.get(a, -2) + 1 == place.get(b, -2) for a, b in pairs) / max(1, len(pairs))


def returned(images, step_sizes, noise, slopes):
    """Complain unless images and step sizes, after a few rounds from `noise`, are what was learned, with nothing put in later.

    Any optimiser moves each pixel against its slope, whatever the noise is there; what is put in takes the place of noise.
    Step sizes that begin far apart stay so for a while.

    Args:
        slopes: the meta-gradient for the images of `noise`, mean over real images and networks.
    """
    change = images.detach() - noise.images
    share = ((change * slopes < 0) * slopes.abs()).sum() / slopes.abs().sum()
    like_noise = nn.functional.cosine_similarity(change.flatten(), noise.images.flatten(), dim=0)
    demand(share > 0.8 and abs(like_noise) < 0.3, "The images that you return have not gone against the meta-gradient, round "
           "after round: is something put in at the end, such as real images? Return what was learned.")
    apart = torch.corrcoef(torch.stack([step_sizes.detach(), noise.step_sizes]))[0, 1]
    demand(apart > 0.3, "The step sizes that you return are not those that were learned, each for its own step: are they "
           "averaged, sorted or exchanged at the end?")  # NaN where all are alike
