"""A few nodes chosen without learning: random ones, herding, k-center, a coarsened graph, and k-means of propagated features.

The last trains nothing: it groups the twice propagated features Â² X of each class's labelled nodes, and takes the centres,
without edges. Gao and others, "Rethinking and Accelerating Graph Condensation" (CGC), WWW 2025, found that this does as well as
learning. Herding is Welling's (2009), k-center Sener and Savarese's (2018).
"""

import torch

from ddlite.gallery.condensed import CondensedGraph
from ddlite.gallery.graph import need_graph
from ddlite.machinery import arguments
from ddlite.machinery.arguments import whole


def shares(graph, number):
    """How many of so many nodes each class gets, by its share of the labelled nodes, one or more: a list.

    Raises ValueError for fewer nodes than classes, or more than are labelled.
    """
    need_graph(graph)
    counts = torch.bincount(graph.labels[graph.train], minlength=len(graph.classes))
    number = whole("nodes", number, len(counts), int(counts.sum()))
    wanted = (counts / counts.sum() * number).tolist()
    found = [max(1, int(share)) for share in wanted]
    while sum(found) != number:
        more = sum(found) < number
        gaps = [(share - have) if more else (have - share) - 10.0 * (have == 1) for share, have in zip(wanted, found)]
        found[gaps.index(max(gaps))] += 1 if more else -1
    return found


def labelled(graph, number):
    """(class, its labelled training nodes, how many of them are wanted) for each class."""
    for label, wanted in enumerate(shares(graph, number)):
        yield label, (graph.train & (graph.labels == label)).nonzero().flatten(), wanted


def of_nodes(graph, nodes):
    """Some nodes as they are, with the edges between them."""
    return CondensedGraph(graph.features[nodes], graph.labels[nodes], graph.among(nodes), graph.name, graph.classes)


def random(graph, number, seed=0):
    """Labelled nodes drawn at random, as many of each class as it has shares."""
    generator = torch.Generator().manual_seed(arguments.seed(seed))
    return of_nodes(graph, torch.cat([own[torch.randperm(len(own), generator=generator)[:wanted]]
                                      for _, own, wanted in labelled(graph, number)]))


def herding(graph, number, seed=0):
    """One node after the other, so that the mean of Â² X over those chosen comes near the class's mean."""
    chosen = []
    for _, own, wanted in labelled(graph, number):
        z, left, total = graph.propagated[own], torch.ones(len(own), dtype=torch.bool), 0
        for k in range(wanted):
            distance = (z.mean(0) - (total + z) / (k + 1)).norm(dim=1).masked_fill(~left, float("inf"))
            nearest = int(distance.argmin())
            left[nearest], total = False, total + z[nearest]
            chosen.append(own[nearest])
    return of_nodes(graph, torch.stack(chosen))


def k_center(graph, number, seed=0):
    """The node nearest to the class's mean of Â² X, then always the one that is farthest from those chosen."""
    chosen = []
    for _, own, wanted in labelled(graph, number):
        z = graph.propagated[own]
        which = [int((z - z.mean(0)).norm(dim=1).argmin())]
        while len(which) < wanted:
            which.append(int(torch.cdist(z, z[which]).amin(1).argmax()))
        chosen.append(own[which])
    return of_nodes(graph, torch.cat(chosen))


def coarse(graph, number, seed=0):
    """k-means of all nodes' Â² X, whatever their class: a group becomes a node, with the mean features of its members.

    Its label is the commonest among its labelled members; groups without one are left out. Edges are counted and summed.
    """
    need_graph(graph)
    number = whole("nodes", number, 1, len(graph.features))
    _, groups = _clusters(graph.propagated, number, seed)
    own = torch.zeros(number, len(graph.classes))
    own.index_put_((groups[graph.train], graph.labels[graph.train]), torch.tensor(1.0), accumulate=True)
    member = torch.nn.functional.one_hot(groups, number).float()
    kept, sizes = own.sum(1) > 0, member.sum(0)
    between = (member.T @ torch.sparse.mm(_adjacency(graph), member)).fill_diagonal_(0) / (sizes[:, None] * sizes).sqrt()
    return CondensedGraph((member.T @ graph.features / sizes[:, None])[kept], own[kept].argmax(1), between[kept][:, kept],
                          graph.name, graph.classes)


def k_means(graph, number, seed=0, propagated=True):
    """The centres of k-means of each class's labelled nodes, without edges: of Â² X, or of the features as they are."""
    features = graph.propagated if propagated else graph.features
    centres = [_clusters(features[own], wanted, seed)[0] for _, own, wanted in labelled(graph, number)]
    labels = torch.arange(len(centres)).repeat_interleave(torch.tensor(shares(graph, number)))
    return CondensedGraph(torch.cat(centres), labels, None, graph.name, graph.classes)


# What stands beside a learned graph, by name; each is called as (graph, number of nodes, seed).
BASELINES = {"random nodes": random, "herding": herding, "k-center": k_center, "k-means coarsening": coarse,
             "propagated k-means": k_means}


def _clusters(features, number, seed):
    """The centres of k-means (scikit-learn, k-means++), (number, d), and each row's group (n,)."""
    from sklearn.cluster import KMeans  # takes seconds to import

    found = KMeans(number, n_init=3, random_state=arguments.seed(seed)).fit(features.numpy())
    return torch.from_numpy(found.cluster_centers_).to(features), torch.from_numpy(found.labels_).long()


def _adjacency(graph):
    n = len(graph.features)
    return torch.sparse_coo_tensor(graph.edges, torch.ones(graph.edges.shape[1]), (n, n), check_invariants=True)
