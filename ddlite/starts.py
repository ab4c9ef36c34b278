"""Where training starts: one known network, so far."""

import copy

from ddlite import unroll
from ddlite.files import fingerprint
from ddlite.networks import check


class FixedStart:
    """One known network: every training begins at the same weights (section 3.2 of the paper).

    Args:
        network: an `nn.Module`; a copy is kept. Its results are one number, without a spread.

    Raises ValueError for a network that cannot be unrolled through (BatchNorm, active dropout).
    """

    def __init__(self, network):
        self.network = copy.deepcopy(check(network))

    def networks(self, role="held-out", number=1):
        """The one network, whatever the role ("training", "validation" or "held-out") and the number asked for."""
        yield copy.deepcopy(self.network)

    def describe(self):
        """What a distilled set has to know of its start, as a JSON-able dict (see `DistilledSet.start`)."""
        return {"kind": "fixed", "network": type(self.network).__name__,
                "shapes": {name: list(weight.shape) for name, weight in self.network.named_parameters()},
                "fingerprint": fingerprint(*unroll.weights_of(self.network))}
