"""Graph condensation (GCond): few nodes, and edges derived from them, whose gradients are alike to the whole graph's.

    min over X', φ  of  E_W Σ_c (n'_c / max n') Σ_j (1 − cos(G_c[:, j], G'_c[:, j]))
    G_c = Z_cᵀ (softmax(Z_c W + b) − Y_c) / n_c,     Z = Â² X of the real graph, Z' = Â'² X' of the small one
    A' = σ((MLP_φ[x_i; x_j] + MLP_φ[x_j; x_i]) / 2)

Jin, Zhao, Zhang, Liu, Tang, Shah: "Graph Condensation for Graph Neural Networks", ICLR 2022. The network that is matched is
SGC: two propagations and one linear map, so that the gradient of class c is a formula (the second line), and Â² X of the real
graph is computed once. Ours: Adam's betas are this package's; BatchNorm in the MLP always takes the statistics of all pairs;
the first features are laid down for their own classes; but for profile "full" the rates, which fall along half a cosine, and
the lengths.
"""

import math

import torch
from torch.nn import functional as F

from ddlite.gallery import gcn, nodes
from ddlite.gallery.condensed import CondensedGraph, normalised
from ddlite.machinery import arguments
from ddlite.machinery.adam import Adam
from ddlite.machinery.arguments import number, whole
from ddlite.machinery.files import fingerprint
from ddlite.progress import Progress
from ddlite.starts import network_seed
from ddlite.unrollable import gradients_on

HIDDEN = 128
WORDS = "accuracy of a GCN on validation nodes, %", "distance of the classes' gradients"


def class_gradients(z: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """The gradient of each class's mean cross-entropy with respect to a linear map, in closed form: (classes, d, outputs).

    Args:
        z: propagated features, (n, d).
        labels: (n,) class numbers.
        weight, bias: of the map, (d, classes) and (classes,).

    Differentiable with respect to z. Classes without a node have zeros.
    """
    own = F.one_hot(labels, len(bias)).to(z)
    residual = (z @ weight + bias).softmax(1) - own
    each = own / own.sum(0).clamp(min=1)
    return torch.stack([(z * each[:, c:c + 1]).T @ residual for c in range(len(bias))])


def distance(real: torch.Tensor, small: torch.Tensor, share: torch.Tensor) -> torch.Tensor:
    """How far two lists of class gradients (classes, d, outputs) are apart: 1 - cosine of each output's column, summed.

    `share` weighs the classes, (classes,).
    """
    return (share[:, None] * (1 - F.cosine_similarity(real, small, 1))).sum()


def pairwise(features: torch.Tensor, mlp: dict) -> torch.Tensor:
    """A' (n, n) from features (n, d): symmetric, in 0..1, zeros along the diagonal.

    The MLP's first layer on a pair [x_i; x_j] is a sum of two maps, so that no pair's 2d numbers are ever laid side by side.
    """
    n = len(features)
    hidden = (features @ mlp["one"])[:, None] + (features @ mlp["other"])[None]
    for k in range(2):
        flat = hidden.reshape(n * n, -1)
        flat = F.batch_norm(flat + mlp[f"bias{k}"], None, None, mlp[f"scale{k}"], mlp[f"shift{k}"], training=True).relu()
        hidden = flat @ mlp["middle" if k == 0 else "last"]
    raw = (hidden + mlp["bias2"]).reshape(n, n)
    return ((raw + raw.T) / 2).sigmoid() * (1 - torch.eye(n))


def fresh_mlp(d: int, generator: torch.Generator) -> dict:
    """The weights of an MLP 2d-128-128-1 with two BatchNorms, uniform in ± 1/√inputs as PyTorch draws them."""
    def uniform(inputs, *shape):
        return (2 * torch.rand(shape, generator=generator) - 1) / math.sqrt(inputs)

    ones = {f"scale{k}": torch.ones(HIDDEN) for k in range(2)} | {f"shift{k}": torch.zeros(HIDDEN) for k in range(2)}
    return {"one": uniform(2 * d, d, HIDDEN), "other": uniform(2 * d, d, HIDDEN), "bias0": uniform(2 * d, HIDDEN),
            "middle": uniform(HIDDEN, HIDDEN, HIDDEN), "bias1": uniform(HIDDEN, HIDDEN), "last": uniform(HIDDEN, HIDDEN, 1),
            "bias2": uniform(HIDDEN, 1), **ones}


def distill(graph, number_of_nodes: int = 20, outer_steps: int = 600, learning_rate: float = 0.01, matches: int = 10,
            between: int = 5, edges_for: int = 10, features_for: int = 40, seed: int = 0, validate_every: int = 100,
            steps: int = 300, falling: bool = True, checkpoint=None):
    """Learn a small graph; a generator of `State`, as `ddlite.distill` is, whose `best` is a `CondensedGraph`.

    Args:
        graph: a `Graph`.
        number_of_nodes: shared out among the classes as the labelled nodes are.
        outer_steps: updates of features or edges.
        learning_rate: of Adam, on both.
        matches: outer steps with one SGC; then a fresh one is drawn.
        between: steps that it takes on the small graph between two of them (Adam, 0.01).
        edges_for, features_for: for so many SGCs the MLP of the edges learns, then for so many the features, in turn.
        seed: of first nodes, MLP and SGCs.
        validate_every, checkpoint: as for `ddlite.distill`.
        steps: of the GCN that validates, see `gcn.train`.
        falling: whether the learning rate falls to 0 along half a cosine (ours), or stays (the paper's).

    Raises ValueError for settings that cannot be, and `Diverged`.
    """
    settings = {name: whole(name, value, least) for name, value, least in (
        ("outer_steps", outer_steps, 1), ("matches", matches, 1), ("between", between, 0), ("edges_for", edges_for, 0),
        ("features_for", features_for, 0), ("validate_every", validate_every, 1), ("steps", steps, 1))}
    if edges_for + features_for < 1:
        raise ValueError("edges_for=0 and features_for=0: nothing would learn. Give one of them 1 or more.")
    settings |= {"learning_rate": number("learning_rate", learning_rate, above=0), "seed": arguments.seed(seed, most=2**10 - 1),
                 "falling": bool(falling)}
    return _loop(graph, nodes.random(graph, number_of_nodes, seed), settings, checkpoint)


@torch.inference_mode(False)
def _loop(graph, first, settings, checkpoint):
    draws = torch.Generator().manual_seed(settings["seed"])
    labels, classes = first.labels, len(graph.classes)
    features, mlp = Adam({"features": first.features}), Adam(fresh_mlp(first.features.shape[1], draws))
    sgc = Adam({"weight": torch.zeros(first.features.shape[1], classes), "bias": torch.zeros(classes)})
    z, own, counts = graph.propagated[graph.train], graph.labels[graph.train], torch.bincount(labels, minlength=classes)
    period = settings["edges_for"] + settings["features_for"]

    def now():
        x = features.free["features"].detach().clone()
        return CondensedGraph(x, labels, pairwise(x, mlp.free).detach(), graph.name, graph.classes)

    def score(small):
        return gcn.train(small.propagation, small.features, labels, graph, settings["steps"],
                         network_seed("validation", settings["seed"], 0))[1]

    with gradients_on(), Progress(
            now(), score, settings["outer_steps"], settings["validate_every"], WORDS,
            {"features": features, "mlp": mlp, "sgc": sgc}, draws, checkpoint,
            {**settings, "data": graph.fingerprint, "set": fingerprint(first.features, labels)}) as progress:
        for outer_step in progress:
            turn, match = divmod(outer_step - 1, settings["matches"])
            if match == 0:
                reach = 1 / math.sqrt(len(sgc.free["weight"]))
                sgc.begin({name: (2 * torch.rand(tensor.shape, generator=draws) - 1) * reach
                           for name, tensor in sgc.free.items()})
            learner = mlp if turn % period < settings["edges_for"] else features
            x = features.free["features"]
            hat = normalised(pairwise(x, mlp.free))
            weight, bias = (tensor.detach() for tensor in sgc.free.values())
            loss = distance(class_gradients(z, own, weight, bias), class_gradients(hat @ (hat @ x), labels, weight, bias),
                            counts / counts.max())
            done = (outer_step - 1) / settings["outer_steps"] if settings["falling"] else 0
            share = (1 + math.cos(math.pi * done)) / 2
            learner.step(torch.autograd.grad(loss, list(learner.free.values())), share * settings["learning_rate"])
            progress.check(outer_step, loss)
            small = now()
            seen = small.propagation @ (small.propagation @ small.features)
            for _ in range(settings["between"] if match < settings["matches"] - 1 else 0):
                residual = (seen @ sgc.free["weight"].detach() + sgc.free["bias"].detach()).softmax(1)
                residual = (residual - F.one_hot(labels, classes)) / len(labels)
                sgc.step([seen.T @ residual, residual.sum(0)], 0.01)
            yield progress.state(outer_step, loss, lambda small=small: small)


# What `ddlite distill --method gcond` and lesson 8 learn, by profile.
PROFILES = {
    "gcond": {
        "quick": {"data": "digits", "learning_rate": 0.02},
        "laptop": {"data": "cora", "nodes": 35, "matches": 20, "learning_rate": 1e-3, "steps": 600},
        "laptop-70": {"data": "cora", "nodes": 70, "matches": 20, "learning_rate": 1e-3, "steps": 600},
        "full": {"data": "cora", "nodes": 35, "outer_steps": 12_000, "matches": 20, "between": 15, "learning_rate": 1e-4,
                 "steps": 600, "validate_every": 500, "falling": False},
    },
}
