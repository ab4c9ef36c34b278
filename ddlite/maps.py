"""Still pictures of matrices, and of graphs whose nodes are pictures."""

import torch
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from ddlite.show import Picture

EDGE = 6.0  # width of an edge of weight 1, in points


def maps(matrices, words, limits=None):
    """A `Picture` of matrices side by side: {title: (rows, columns)}, dark is low and bright high, with a bar for the scale.

    Args:
        matrices: {title: a tensor (rows, columns)}.
        words: what is to be seen.
        limits: (lowest, highest) for all of them; by default each has its own scale.
    """
    if not matrices or not all(matrix.dim() == 2 and matrix.numel() for matrix in matrices.values()):
        raise ValueError("There are no matrices to draw: {'title': a tensor (rows, columns)} is needed.")
    figure = Figure(figsize=(min(3.4 * len(matrices), 14), 3.2), layout="constrained")
    low, high = limits or (None, None)
    for axis, (title, matrix) in zip(figure.subplots(1, len(matrices), squeeze=False)[0], matrices.items()):
        image = axis.imshow(matrix.detach().cpu().numpy(), cmap="gray", aspect="auto", interpolation="nearest", vmin=low,
                            vmax=high)
        axis.set_title(title, fontsize=10)
        axis.tick_params(labelsize=7)
        axis.locator_params(integer=True)
        figure.colorbar(image, ax=axis).ax.tick_params(labelsize=7)
    return Picture(figure, words)


def graph(places, edges, labels, words, pictures=None, among=None):
    """A `Picture` of a graph: dots coloured by class, thin edges; and on them a few nodes drawn as pictures, with thick edges.

    Args:
        places: (N, 2), where the dots lie.
        edges: (2, E), node numbers.
        labels: (N,) class numbers.
        words: what is to be seen.
        pictures: {place (x, y): (height, width) picture}, in the order of `among`; None for none.
        among: (n, n), weights of the edges between these pictures; a line is as thick as its weight.
    """
    figure = Figure(figsize=(7.5, 5.5), layout="constrained")
    axis = figure.subplots()
    # Thousands of smoothed hairlines would make a file of half a megabyte.
    axis.add_collection(LineCollection(places[edges.T].numpy(), colors="#dddddd", linewidths=0.3, antialiaseds=False, zorder=1))
    axis.scatter(*places.T.numpy(), s=6, c=labels.numpy() % 20, cmap="tab20", vmin=0, vmax=19, linewidths=0, zorder=2,
                 alpha=0.5 if pictures else 1, antialiaseds=False)
    spots = list(pictures or {})
    for i in range(len(spots)):
        for j in range(i):
            if among is not None and among[i, j] > 0.005:
                axis.plot(*zip(spots[i], spots[j]), color="black", linewidth=EDGE * float(among[i, j]), zorder=3)
    for spot, picture in (pictures or {}).items():
        drawn = OffsetImage(torch.as_tensor(picture).numpy(), zoom=3, cmap="gray")
        axis.add_artist(AnnotationBbox(drawn, spot, pad=0.1, zorder=4))
    axis.autoscale()
    axis.axis("off")
    return Picture(figure, words)
