"""Graphs: images, each joined with those that look alike, and Cora.

Cora is that of Sen and others (2008), in the split of Yang, Cohen and Salakhutdinov ("Planetoid", ICML 2016). The graph
of neighbouring images is ours: its nodes can be looked at.
"""

from pathlib import Path

import numpy as np
import torch

from ddlite.data import Data, data_root, grey_levels, need_data
from ddlite.data import load as load_images
from ddlite.gallery.graph import Graph
from ddlite.machinery.arguments import shown, whole

CORA = ("Theory", "Reinforcement learning", "Genetic algorithms", "Neural networks", "Probabilistic methods", "Case-based",
        "Rule learning")


def load(name: str, root: str | Path | None = None) -> Graph:
    """A graph by its name: "digits" (comes with the package), or "cora", a file cora.npz under the data root.

    Raises ValueError for another name or a damaged file, FileNotFoundError where there is no such file.
    """
    if name not in ("digits", "cora"):
        raise ValueError(f"There is no graph {shown(name)}. Known: 'digits', 'cora'; others by Graph.from_pyg(data, name).")
    return neighbours(load_images("digits", size=8)) if name == "digits" else cora(root)


def neighbours(data: Data, number: int = 8, labelled: int = 20, most: int = 1200) -> Graph:
    """The images of a data set as a graph: each is a node, joined with those nearest to it.

    Args:
        data: a `Data`; at most `most` images of each of its three parts are taken, the first ones.
        number: two are joined if one is among the other's so many nearest.
        labelled: nodes of each class with a label to learn from, always the same ones; the other training images only lie
            between.
    """
    need_data(data)
    number, labelled, most = (whole(name, value, 1) for name, value in (("number", number), ("labelled", labelled),
                                                                        ("most", most)))
    splits = data.train, data.validation, data.test
    features = torch.cat([grey_levels(split.images[:most], data.mean, data.std).flatten(1) for split in splits])
    labels = torch.cat([split.labels[:most] for split in splits])
    distances = torch.cdist(features, features).fill_diagonal_(float("inf"))
    near = distances.topk(min(number, len(labels) - 1), largest=False).indices
    edges = torch.stack([torch.arange(len(near)).repeat_interleave(near.shape[1]), near.flatten()])
    of = torch.cat([torch.full_like(split.labels[:most], k) for k, split in enumerate(splits)])
    order = torch.randperm(int((of == 0).sum()), generator=torch.Generator().manual_seed(0))  # not those of the first writers
    own = torch.cat([order[labels[order] == label][:labelled] for label in range(len(data.classes))])
    train = torch.zeros(len(labels), dtype=torch.bool).index_fill(0, own, True)
    height, width = data.shape[1:]
    return Graph(f"{data.name}-graph", features, torch.cat([edges, edges.flip(0)], 1), labels, train, of == 1, of == 2,
                 data.classes, picture=(height, width) if data.shape[0] == 1 else None)


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
            kept = {key: torch.from_numpy(file[key].astype(np.int64, casting="same_kind")) for key in file.files}
        features = torch.zeros(int(kept["num_nodes"]), int(kept["num_features"]))
        features[kept["x_row"], kept["x_col"]] = 1
        masks = [torch.zeros(len(features), dtype=torch.bool).index_fill(0, kept[f"{part}_idx"], True)
                 for part in ("train", "val", "test")]
        edges, labels = kept["edges"], kept["y"]
    except Exception as cause:  # a damaged file raises many things
        raise ValueError(f"{path} cannot be read as Cora ({cause!r}): copy it again.") from cause
    features = features / features.sum(1, keepdim=True).clamp(min=1)
    return Graph("cora", features, torch.cat([edges, edges.flip(0)], 1), labels, *masks, CORA)
