"""One graph as data: nodes with features, some of them labelled, and edges between them.

    Â = D^(-½) (A + I) D^(-½),     D the row sums of A + I

Kipf and Welling: "Semi-Supervised Classification with Graph Convolutional Networks", ICLR 2017. Â is made once.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import torch

from ddlite.machinery.arguments import shown
from ddlite.machinery.files import fingerprint

PARTS = ("train", "validation", "test")
KINDS = {"features": torch.float32, "edges": torch.int64, "labels": torch.int64}
WHOLE = (torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)


@dataclass(frozen=True, eq=False, repr=False)
class Graph:
    """An undirected graph some of whose nodes are labelled: these learn, others choose, others only report.

    Attributes:
        name: what tables and manifests call it.
        features: (N, d), any real numbers, kept as float32.
        edges: (2, E), node numbers; each edge in both directions. Loops and repeated edges are dropped.
        labels: (N,) whole class numbers; only those of nodes in one of the three parts are looked at.
        train, validation, test: (N,) bool, which nodes are in that part; no node is in two.
        classes: the names of the classes.
        picture: (height, width) of a node's features where they are a picture, else None.

    All of it is kept on the CPU. Raises ValueError for numbers that do not fit, edges in one direction only, nodes without an
    edge, parts that overlap or are empty, and a class without a labelled training node.
    """

    name: str
    features: torch.Tensor
    edges: torch.Tensor
    labels: torch.Tensor
    train: torch.Tensor
    validation: torch.Tensor
    test: torch.Tensor
    classes: tuple
    picture: tuple | None = None

    def __post_init__(self):
        _check_kinds(self)
        for name in ("features", "edges", "labels", *PARTS):
            kept = getattr(self, name).detach().cpu().to_dense()
            object.__setattr__(self, name, kept.to(KINDS.get(name, torch.bool)))
        object.__setattr__(self, "classes", tuple(map(str, self.classes or ())))
        _check_numbers(self)
        n, (one, other) = len(self.features), self.edges
        codes = torch.unique(one[one != other] * n + other[one != other])
        object.__setattr__(self, "edges", torch.stack([codes // n, codes % n]))
        back = torch.isin(codes % n * n + codes // n, codes)
        if not back.all():
            one, other = self.edges[:, ~back][:, 0].tolist()
            raise ValueError(f"{int((~back).sum())} edges have no way back (the first: {one} to {other}), and the graph is "
                             "undirected: give each in both directions, torch.cat([edges, edges.flip(0)], 1).")
        if len(lonely := (self.degrees == 0).nonzero().flatten()):
            raise ValueError(f"{len(lonely)} nodes have no edge to another one (the first: {int(lonely[0])}), so that nothing "
                             "reaches them: leave them out of the graph, or give each an edge.")
        _check_parts(self)

    @classmethod
    def from_pyg(cls, data, name: str = "own", classes=None) -> "Graph":
        """What a torch-geometric `Data` holds: its `x`, `edge_index`, `y`, `train_mask`, `val_mask`, `test_mask`, as they are.

        The library itself is not needed: any object with these attributes will do. Classes are named by their numbers, unless
        their names are given. Weights of edges are not read. Raises ValueError for an object that lacks some attribute.
        """
        names = ("x", "edge_index", "y", "train_mask", "val_mask", "test_mask")
        if missing := [each for each in names if getattr(data, each, None) is None]:
            raise ValueError(f"This {type(data).__name__} has no {', '.join(missing)}: a graph whose nodes have features, "
                             "classes and the three masks is needed, e.g. torch_geometric.datasets.Planetoid(...)[0].")
        try:
            x, edges, y, *masks = (torch.as_tensor(getattr(data, each)) for each in names)
        except (TypeError, ValueError, RuntimeError) as cause:
            raise ValueError(f"This {type(data).__name__} has {', '.join(names)}, and not all are tensors ({cause}): give each "
                             "as a tensor or an array of numbers.") from cause
        if classes is None:  # what is wrong with labels, if anything is, the graph will say
            classes = range(int(y.max()) + 1 if y.numel() and y.dtype in WHOLE else 0)
        return cls(name, x, edges, y.squeeze(-1), *masks, tuple(classes))

    @cached_property
    def degrees(self) -> torch.Tensor:
        """How many edges each node has, (N,)."""
        return torch.bincount(self.edges[0], minlength=len(self.features))

    @cached_property
    def propagation(self) -> torch.Tensor:
        """Â, (N, N), sparse."""
        n, scale = len(self.features), (self.degrees + 1.0) ** -0.5
        edges = torch.cat([self.edges, torch.arange(n).expand(2, n)], 1)
        return torch.sparse_coo_tensor(edges, scale[edges[0]] * scale[edges[1]], (n, n), check_invariants=True).coalesce()

    @cached_property
    def propagated(self) -> torch.Tensor:
        """Â² X, (N, d): what two layers of a graph network can see of a node."""
        return self.propagation @ (self.propagation @ self.features)

    @cached_property
    def sparse(self) -> torch.Tensor:
        """X in the form in which it is quickest multiplied: sparse, where most of it is zeros."""
        return self.features.to_sparse() if (self.features != 0).float().mean() < 0.1 else self.features

    @cached_property
    def fingerprint(self) -> str:
        """Of all its numbers."""
        return fingerprint(self.features, self.edges, self.labels, self.train, self.validation, self.test)

    def among(self, nodes: torch.Tensor) -> torch.Tensor:
        """The edges between some nodes, (n, n), 0 or 1."""
        place = torch.full((len(self.features),), -1).scatter(0, nodes, torch.arange(len(nodes)))
        one, other = place[self.edges]
        inside = (one >= 0) & (other >= 0)
        return torch.zeros(len(nodes), len(nodes)).index_put((one[inside], other[inside]), torch.tensor(1.0))

    def __repr__(self):
        sizes = ", ".join(f"{part}={int(getattr(self, part).sum())}" for part in PARTS)
        return (f"Graph({self.name!r}, nodes={len(self.features)}, edges={self.edges.shape[1] // 2}, "
                f"features={self.features.shape[1]}, classes={len(self.classes)}, {sizes})")


def need_graph(graph):
    """Raise ValueError, with the way out, for what is no `Graph` where one is needed."""
    if not isinstance(graph, Graph):
        raise ValueError(f"A {type(graph).__name__} was given where a graph is needed: gallery.graphs.load('digits'), or "
                         "Graph.from_pyg(data) for torch-geometric's.")


def _check_kinds(graph):
    """Raise ValueError for what is no tensor, or of a type that could not be converted without losing something."""
    for name in ("features", "edges", "labels", *PARTS):
        tensor = getattr(graph, name)
        if not isinstance(tensor, torch.Tensor):
            raise ValueError(f"{name} is a {type(tensor).__name__}: a tensor is needed, torch.as_tensor({name}).")
        if name == "features" and tensor.is_complex():
            raise ValueError("The features are complex: real numbers are needed, e.g. features.abs().")
        if name in ("edges", "labels") and tensor.dtype not in WHOLE:
            raise ValueError(f"{name} is of {tensor.dtype}: whole numbers are needed, {name}.long().")
        if name in PARTS and tensor.dtype != torch.bool:
            raise ValueError(f"{name} is of {tensor.dtype}: a mask of bool is needed, {name}.bool(), or of node numbers "
                             "torch.zeros(N, dtype=torch.bool).index_fill(0, numbers, True).")


def _check_numbers(graph):
    features, edges = graph.features, graph.edges
    if features.dim() != 2 or features.numel() == 0:
        raise ValueError(f"Features {tuple(features.shape)}: (nodes, d) are needed, a row for each node.")
    n = len(features)
    if len(broken := (~features.isfinite().all(1)).nonzero().flatten()):
        raise ValueError(f"The features of {len(broken)} nodes hold NaN or infinity (the first: {int(broken[0])}): repair "
                         "them, e.g. features.nan_to_num(), or leave these nodes out.")
    if graph.picture is not None and math.prod(graph.picture) != features.shape[1]:
        raise ValueError(f"A picture of {graph.picture} has {math.prod(graph.picture)} pixels, and a node {features.shape[1]} "
                         "features: give its height and width, or None.")
    if edges.dim() != 2 or len(edges) != 2:
        raise ValueError(f"Edges {tuple(edges.shape)}: (2, E) node numbers are needed, from and to. If each edge is a row, "
                         "edges.T; of a matrix of all pairs, matrix.nonzero().T.")
    if edges.numel() and not 0 <= edges.min() <= edges.max() < n:
        raise ValueError(f"Edges lead from {edges.min()} to {edges.max()}, and the nodes are 0..{n - 1}: number the nodes from "
                         "0 in the order of their features, or leave these edges out.")
    for name in ("labels", *PARTS):
        if (shape := tuple(getattr(graph, name).shape)) != (n,):
            way = "Of one-hot rows take labels.argmax(1)." if name == "labels" else "Of several splits choose one, mask[:, 0]."
            raise ValueError(f"{name} is {shape}, and there are {n} nodes: ({n},), one for each, is needed. {way}")


def _check_parts(graph):
    parts = {name: getattr(graph, name) for name in PARTS}
    for name, mask in parts.items():
        if not mask.any():
            raise ValueError(f"There is no {name} node: each of the three masks needs some.")
        for other, theirs in parts.items():
            if name < other and (both := mask & theirs).any():
                raise ValueError(f"{int(both.sum())} nodes are both in {name} and in {other} (the first: "
                                 f"{int(both.nonzero()[0])}): a node that learned or chose must not report. Make the masks "
                                 "disjoint.")
    own, classes = graph.labels[graph.train | graph.validation | graph.test], len(graph.classes)
    if classes < 2 or len(set(graph.classes)) < classes or not 0 <= own.min() <= own.max() < classes:
        raise ValueError(f"Labels from {own.min()} to {own.max()} and classes {shown(graph.classes)}: two or more names, all "
                         f"different, and labels in 0..{classes - 1} are needed.")
    for label, name in enumerate(graph.classes):
        if not (graph.labels[graph.train] == label).any():
            raise ValueError(f"Class {name} has no labelled training node, so that there is no gradient to match: label one, "
                             "or leave the class out.")
