"""A graph network, how it is trained on few nodes, and how it is judged on the whole graph.

    GCN(X) = Â ReLU(Â X W + b) V + c

Kipf and Welling, ICLR 2017; the recipe is that of Jin et al., "Graph Condensation for Graph Neural Networks", ICLR 2022: 256
hidden units, dropout ½, weight decay 5e-4, Adam at 0.01 and then at 0.001, and the best step by the validation nodes of the
whole graph. Ours: it looks at them every tenth step.
"""

import copy
import math

import torch
from torch import nn
from torch.nn import functional as F

from ddlite.evaluate import Report
from ddlite.gallery.graph import Graph, need_graph
from ddlite.machinery.adam import Adam
from ddlite.machinery.arguments import whole
from ddlite.starts import network_seed
from ddlite.unrollable import gradients_on

DECAY, LOOK = 5e-4, 10


class GCN(nn.Module):
    """Two graph convolutions: `forward(propagation, features)`, Â (N, N) and X (N, d), gives logits (N, classes).

    Args:
        features, classes, width: numbers of a node, of outputs and of hidden units.
        seed: of its weights (Xavier uniform; biases are 0).
    """

    def __init__(self, features, classes, width=256, seed=0):
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        spread = [math.sqrt(6 / (inputs + outputs)) for inputs, outputs in ((features, width), (width, classes))]
        self.first = nn.Parameter((2 * torch.rand(features, width, generator=generator) - 1) * spread[0])
        self.second = nn.Parameter((2 * torch.rand(width, classes, generator=generator) - 1) * spread[1])
        self.biases = nn.ParameterList([torch.zeros(width), torch.zeros(classes)])

    def forward(self, propagation, features, dropout=None):
        hidden = (propagation @ (features @ self.first) + self.biases[0]).relu()
        hidden = hidden if dropout is None else hidden * dropout
        return propagation @ (hidden @ self.second) + self.biases[1]


@gradients_on()
def train(propagation, features, labels, graph, steps=600, seed=0):
    """A GCN trained on some nodes: at its best step by validation, and its accuracy there, in percent.

    Args:
        propagation, features, labels: of the nodes to learn from: Â (n, n), X (n, d), and (n,) class numbers, or -1 for a node
            without a label.
        graph: the `Graph` that validates.
        steps: gradient steps, all nodes in each; the learning rate is 0.01 in the first half, then 0.001.
        seed: a number of 32 bits, of weights and dropout.
    """
    steps = whole("steps", steps, 1)
    network, generator = GCN(features.shape[1], len(graph.classes), seed=seed), torch.Generator().manual_seed(seed)
    adam, known = Adam(dict(network.named_parameters())), labels >= 0
    best, score = None, -1.0
    for parameter, tensor in zip(network.parameters(), adam.free.values(), strict=True):
        parameter.data = tensor.data  # what learns is what is used
    weights = list(network.parameters())
    for step in range(1, steps + 1):
        dropout = 2.0 * (torch.rand(len(labels), len(network.biases[0]), generator=generator) > 0.5)
        loss = F.cross_entropy(network(propagation, features, dropout)[known], labels[known])
        gradients = torch.autograd.grad(loss, weights)
        adam.step([gradient + DECAY * weight.detach() for gradient, weight in zip(gradients, weights)],
                  0.01 if step <= steps // 2 else 0.001)
        if step % LOOK == 0 or step == steps:
            now = accuracy(network, graph, graph.validation)
            if now > score:
                best, score = copy.deepcopy(network), now
    return best, score


@torch.no_grad()
def accuracy(network, graph, part):
    """Share of a part's nodes, (N,) bool, that a network classifies correctly on the whole graph, in percent."""
    logits = network(graph.propagation, graph.sparse)[part]
    return 100 * int(((logits.argmax(1) == graph.labels[part]) & logits.isfinite().all(1)).sum()) / int(part.sum())


def judge(small, graph, networks=5, steps=600, role="held-out", seed=0):
    """The `Report` of a `CondensedGraph`: GCNs trained on it from scratch, on the test nodes of the whole graph.

    A `Graph` in the place of the small one is trained on its own labelled nodes: what stands beside all of them.

    Raises ValueError for a small graph of other features or classes than the whole one.
    """
    networks, large = whole("networks", networks, 1), isinstance(small, Graph)
    need_graph(graph)
    if not hasattr(small, "propagation"):
        raise ValueError(f"A {type(small).__name__} was given where a graph is judged: a CondensedGraph, or the whole Graph.")
    if small.features.shape[1] != graph.features.shape[1] or small.classes != graph.classes:
        raise ValueError(f"{small} was not made from {graph}, whose nodes have other features or classes: judge it on the "
                         "graph that it stands for.")
    if large:
        learn = small.propagation, small.sparse, small.labels.where(small.train, -1)
    else:
        learn = small.propagation, small.features, small.labels
    found = [train(*learn, graph, steps, network_seed(role, seed, k))[0] for k in range(networks)]
    scores = [[accuracy(network, graph, graph.test)] for network in found]
    return Report((1,), scores, None, graph.name, "test", int(graph.test.sum()), steps, protocol="B", things="nodes",
                  floats=None if large else small.floats)
