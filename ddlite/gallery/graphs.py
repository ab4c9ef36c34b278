"""The graphs that have a name: scikit-learn's digits, joined with those that look alike, and Cora.

Cora is that of Sen and others (2008), in the split of Yang, Cohen and Salakhutdinov ("Planetoid", ICML 2016). The neighbour
graph of the digits is ours: its nodes can be looked at.
"""

from pathlib import Path

import numpy as np
import torch

from ddlite.data import data_root
from ddlite.gallery.graph import Graph
from ddlite.known import DIGITS, digits
from ddlite.machinery.arguments import shown
from ddlite.machinery.arrays import set_aside

CORA = ("Theory", "Reinforcement learning", "Genetic algorithms", "Neural networks", "Probabilistic methods", "Case-based",
        "Rule learning")


def load(name: str, root: str | Path | None = None) -> Graph:
    """A graph by its name: "digits" (comes with the package), or "cora", a file cora.npz under the data root.

    Raises ValueError for another name or a damaged file, FileNotFoundError where there is no such file.
    """
    if name not in ("digits", "cora"):
        raise ValueError(f"There is no graph {shown(name)}. Known: 'digits', 'cora'; others by Graph.from_pyg(data, name).")
    return neighbours() if name == "digits" else cora(root)


def neighbours(number: int = 8, labelled: int = 20) -> Graph:
    """The digits as a graph: each of 1,797 pictures of 8x8 pixels, joined with those nearest to it.

    Two are joined if one is among the other's `number` nearest. `labelled` nodes of each class are for training, 500 of all
    nodes for validation, 1,000 for the test, in the classes' proportions.
    """
    images, labels = digits()
    features = torch.from_numpy(images.reshape(len(images), -1) / 16).float()
    distances = torch.cdist(features, features).fill_diagonal_(float("inf"))
    near = distances.topk(number, largest=False).indices
    edges = torch.stack([torch.arange(len(near)).repeat_interleave(number), near.flatten()])
    rest, test = set_aside(labels, 1000)
    left, chosen = set_aside(labels[rest], 500)
    own = np.concatenate([rest[left][labels[rest[left]] == label][:labelled] for label in range(10)])
    masks = [torch.zeros(len(labels), dtype=torch.bool).index_fill(0, torch.from_numpy(nodes), True)
             for nodes in (own, rest[chosen], test)]
    return Graph("digits-graph", features, torch.cat([edges, edges.flip(0)], 1), torch.from_numpy(labels), *masks, DIGITS,
                 picture=(8, 8))


def cora(root: str | Path | None = None) -> Graph:
    """Cora: 2,708 papers, 1,433 words, who cites whom; 140 labelled, 500 for validation, 1,000 for the test, as is usual.

    The file cora.npz under the data root holds `edges` (2, E), each once, `x_row` and `x_col`, where the words are, `y`,
    `num_nodes`, `num_features`, `train_idx`, `val_idx` and `test_idx`. Each row of words is divided by its sum.
    """
    path = (data_root() if root is None else Path(root).expanduser()) / "cora.npz"
    if not path.is_file():
        raise FileNotFoundError(f"cora: there is no {path}. Set DDLITE_DATA to a folder that has it, take torch-geometric's, "
                                "Graph.from_pyg(Planetoid(folder, 'Cora')[0], 'cora'), or use the graph 'digits', which needs "
                                "no file.")
    try:
        with np.load(path, allow_pickle=False) as file:
            kept = {key: torch.from_numpy(file[key].astype(np.int64)) for key in file.files}
        features = torch.zeros(int(kept["num_nodes"]), int(kept["num_features"]))
        features[kept["x_row"], kept["x_col"]] = 1
        masks = [torch.zeros(len(features), dtype=torch.bool).index_fill(0, kept[f"{part}_idx"], True)
                 for part in ("train", "val", "test")]
        edges, labels = kept["edges"], kept["y"]
    except Exception as cause:  # a damaged file raises many things
        raise ValueError(f"{path} cannot be read as Cora ({cause!r}): copy it again.") from cause
    features = features / features.sum(1, keepdim=True).clamp(min=1)
    return Graph("cora", features, torch.cat([edges, edges.flip(0)], 1), labels, *masks, CORA)
