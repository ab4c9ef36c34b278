"""A small graph that stands for a large one: what `gcond` learns, and what its baselines choose."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ddlite import results
from ddlite.machinery.arguments import shown
from ddlite.machinery.files import load_tensors, save_tensors


@dataclass(frozen=True, eq=False, repr=False)
class CondensedGraph:
    """A few nodes that stand for a graph, with their labels: in one object, because apart they are worth nothing.

    Attributes:
        features: (n, d), float32.
        labels: (n,) class numbers, int64.
        edges: (n, n), float32, symmetric, 0 or more, zeros along the diagonal; None for nodes without edges.
        data, classes: name of the graph that it stands for, and names of its classes.

    Raises ValueError for other types, shapes that do not fit, labels that are no such numbers, and NaN or infinity.
    """

    features: torch.Tensor
    labels: torch.Tensor
    edges: torch.Tensor | None
    data: str
    classes: tuple

    def __post_init__(self):
        for name, tensor in self.tensors().items():
            wanted = torch.int64 if name == "labels" else torch.float32
            if getattr(tensor, "dtype", None) != wanted:
                raise ValueError(f"{name}: a {type(tensor).__name__} of {getattr(tensor, 'dtype', 'no type')}, and a tensor of "
                                 f"{wanted} is needed, {name}.{'long' if name == 'labels' else 'float'}().")
        n = self.labels.numel()
        if self.labels.dim() != 1 or self.features.dim() != 2 or len(self.features) != n or n == 0:
            raise ValueError(f"Features {tuple(self.features.shape)} and labels {tuple(self.labels.shape)} do not fit: (n, d) "
                             "and (n,) are needed.")
        if not 0 <= self.labels.min() <= self.labels.max() < len(self.classes):
            raise ValueError(f"The labels must be class numbers in 0..{len(self.classes) - 1}.")
        if not all(tensor.isfinite().all() for tensor in self.tensors().values()):
            raise ValueError("The features or edges hold NaN or infinity: learn them with a smaller learning_rate.")
        edges = torch.zeros(n, n) if self.edges is None else self.edges
        if edges.shape != (n, n) or not torch.allclose(edges, edges.T) or edges.diagonal().any() or edges.min() < 0:
            raise ValueError(f"Edges {tuple(edges.shape)}: ({n}, {n}) are needed, symmetric, 0 or more, zeros along the "
                             "diagonal, e.g. (edges + edges.T) / 2.")

    @property
    def floats(self) -> int:
        """How many numbers it takes: features, and each edge's weight once."""
        n = len(self.labels)
        return self.features.numel() + (0 if self.edges is None else n * (n - 1) // 2)

    @property
    def propagation(self) -> torch.Tensor:
        """Â of the small graph, (n, n)."""
        return normalised(torch.zeros(len(self), len(self)) if self.edges is None else self.edges)

    def without_edges(self, below: float = float("inf")) -> "CondensedGraph":
        """The same nodes without the edges that are weaker than a threshold; by default without any."""
        kept = None if below == float("inf") or self.edges is None else self.edges * (self.edges >= below)
        return replace(self, edges=kept)

    def folded(self) -> "CondensedGraph":
        """Nodes without edges whose features are Â² X: what two rounds of propagation make of these nodes."""
        return replace(self, features=self.propagation @ (self.propagation @ self.features), edges=None)

    def tensors(self) -> dict[str, torch.Tensor]:
        """All its numbers by name."""
        return {"features": self.features, "labels": self.labels, **({} if self.edges is None else {"edges": self.edges})}

    def with_tensors(self, tensors: dict[str, torch.Tensor]) -> "CondensedGraph":
        """The same with other numbers, by these names."""
        return replace(self, **tensors)

    def save(self, path: str | Path) -> None:
        """Write it as one safetensors file, atomically."""
        save_tensors(path, self.tensors(), {"condensed graph": 1, "data": self.data, "classes": self.classes})

    @classmethod
    def load(cls, path: str | Path) -> "CondensedGraph":
        """Read what `save` wrote. Raises FileNotFoundError, or ValueError for another or a damaged file."""
        tensors, about = load_tensors(path)
        needed = {"features", "labels"} <= set(tensors) <= {"features", "labels", "edges"} and {"data", "classes"} <= set(about)
        if about.get("condensed graph") != 1 or not needed:
            raise ValueError(f"{path} holds no condensed graph that this ddlite can read: save one with its save(path).")
        return cls(tensors["features"], tensors["labels"], tensors.get("edges"), about["data"], tuple(about["classes"]))

    @classmethod
    def shipped(cls, name: str) -> "CondensedGraph":
        """One that comes with the package, e.g. "gallery/gcond-cora-35"."""
        if name not in results.shipped("gallery"):
            raise ValueError(f"No graph {shown(name)} comes with ddlite. These do: "
                             f"{', '.join(each for each in results.shipped('gallery') if 'gcond' in each)}.")
        with results.resources.as_file(results.ASSETS / f"{name}.safetensors") as path:
            return cls.load(path)

    def __len__(self):
        return len(self.labels)

    def __repr__(self):
        edges = "no edges" if self.edges is None else f"edges of mean weight {self.edges.mean():.2f}"
        return f"CondensedGraph({self.data!r}: {len(self)} nodes of {self.features.shape[1]} features, {edges})"


def normalised(edges: torch.Tensor) -> torch.Tensor:
    """Â of weighted edges (n, n), dense and differentiable."""
    looped = edges + torch.eye(len(edges)).to(edges)
    scale = looped.sum(1) ** -0.5
    return scale[:, None] * looped * scale
