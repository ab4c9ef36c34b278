"""Still pictures, each with a sentence that says what is to be seen."""

import base64
import io

import torch
from matplotlib.figure import Figure
from PIL import Image

from ddlite.data import grey_levels

BLUE, ORANGE = "#0072b2", "#d55e00"  # told apart by colour-blind readers too


class Picture:
    """A PNG with words for those who cannot see it; a notebook shows the picture, a terminal the words."""

    def __init__(self, figure, words):
        self.words = words
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=100, bbox_inches="tight")
        self.png = file.getvalue()

    def _repr_mimebundle_(self, include=None, exclude=None):
        return ({"image/png": base64.b64encode(self.png).decode(), "text/plain": self.words},
                {"image/png": {"alt": self.words}})

    def __repr__(self):
        return self.words


def grey_range(dset):
    """The grey levels that a picture of the set maps to black and white: 98 % of its pixels lie between them.

    0 and 1 are the black and white of the data; learned images are not bound to them.
    """
    levels = grey_levels(dset.images, dset.mean, dset.std).flatten()
    levels = levels[:: max(1, len(levels) // 100_000)]  # enough of them
    low, high = torch.quantile(levels, torch.tensor([0.01, 0.99], device=levels.device)).tolist()
    return round(low, 2) + 0.0, round(max(high, low + 0.01), 2) + 0.0  # + 0.0 turns -0.0 into 0.0


def table(dset):
    """How a set is laid out: images (rows, columns, C, H, W), and the class number above each column.

    A row is a batch. A batch of several images of each class, in class order, takes several rows, with a column for each
    class. Where labels are learned, a column is named after the likeliest class of its image in the first batch.
    """
    labels, classes = dset.labels[0], len(dset.classes)
    labels = (labels if labels.dim() == 1 else labels.argmax(-1)).tolist()
    each = len(labels) // classes
    if each > 1 and labels == [label for label in range(classes) for _ in range(each)]:
        return dset.images.unflatten(1, (classes, each)).transpose(1, 2).flatten(0, 1), list(range(classes))
    return dset.images, labels


def tiles(dset, limits=None, zoom=3, gap=2):
    """All images of a set, laid out as in `table`, as a PIL image; black and white are `grey_range(dset)`."""
    low, high = grey_range(dset) if limits is None else limits
    levels = grey_levels(table(dset)[0], dset.mean, dset.std).sub(low).div(high - low).clamp(0, 1)
    pixels = (levels.permute(0, 1, 3, 4, 2) * 255).to(torch.uint8)  # rows, columns, H, W, C
    rows, columns, height, width, channels = pixels.shape
    canvas = torch.full((rows * (height + gap) - gap, columns * (width + gap) - gap, channels), 255, dtype=torch.uint8)
    for row in range(rows):
        for column in range(columns):
            y, x = row * (height + gap), column * (width + gap)
            canvas[y:y + height, x:x + width] = pixels[row, column].cpu()
    image = Image.fromarray(canvas.squeeze(2).numpy())
    return image.resize((image.width * zoom, image.height * zoom), Image.Resampling.NEAREST)


def images(dset, title=""):
    """A `Picture` of a distilled set, laid out as in `table`, the label above each column."""
    low, high = grey_range(dset)
    pictures, labels = table(dset)
    rows, columns, _, height, width = pictures.shape
    figure = Figure(figsize=(10, 0.7 + rows * 10 / columns), layout="constrained")
    axis = figure.subplots()
    axis.imshow(tiles(dset, (low, high), zoom=1), cmap="gray", interpolation="nearest")
    axis.set_xticks([k * (width + 2) + width / 2 for k in range(columns)], [dset.classes[label] for label in labels])
    named = range(0, rows, rows // dset.batches) if dset.batches > 1 else ()
    axis.set_yticks([k * (height + 2) + height / 2 for k in named], [f"batch {k + 1}" for k in range(len(named))])
    axis.tick_params(length=0, labeltop=True, labelbottom=False)
    axis.spines[:].set_visible(False)
    words = f"black = grey level {low:.2f}, white = {high:.2f} (0 and 1 in the data)"
    figure.supxlabel(f"{title}: {words}" if title else words, fontsize=9)
    names = ", ".join(dset.classes[label] for label in labels)
    return Picture(figure, f"{title or 'A distilled set'}: {rows} x {columns} images, labelled {names}; {words}.")


def step_sizes(dset, title="Step sizes"):
    """A `Picture` of a set's step sizes, one bar for each gradient step."""
    figure = Figure(figsize=(max(4, 0.3 * len(dset.step_sizes) + 2), 2.2))
    axis = figure.subplots()
    _draw_step_sizes(axis, dset)
    axis.set_title(title, fontsize=10)
    return Picture(figure, f"{title}: {', '.join(f'{size:.2g}' for size in dset.step_sizes.tolist())}.")


def learning(state, losses, scores, title="Learning"):
    """A `Picture` of a distillation: the images, the loss, the validation scores and the step sizes as they are now.

    Args:
        state: the last `State`.
        losses, scores: lists of (outer step, value).
    """
    rows, columns = table(state.distilled)[0].shape[:2]
    height = 3.5 + 10 * rows / columns
    figure = Figure(figsize=(10, height), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(10 * rows / columns, 2.6))
    axis = top.subplots()
    axis.imshow(tiles(state.distilled, zoom=1), cmap="gray", interpolation="nearest")
    axis.axis("off")
    left, middle, right = bottom.subplots(1, 3)
    left.plot(*zip(*losses), color=BLUE, linewidth=1)
    left.set(title="loss on real batches", xlabel="outer step", ylim=(0, None))
    if scores:
        middle.plot(*zip(*scores), color=ORANGE, marker=".", linewidth=1)
    middle.set(title="validation score, %", xlabel="outer step", ylim=(0, 100))
    _draw_step_sizes(right, state.distilled)
    low, high = grey_range(state.distilled)
    axis.set_title(f"outer step {state.outer_step} of {state.outer_steps}; black = grey level {low:.2f}, white = {high:.2f}",
                   fontsize=10)
    return Picture(figure, f"{title}: {sentence(state)}")


def sentence(state):
    """Where a distillation stands, in words."""
    sizes = ", ".join(f"{size:.2g}" for size in state.distilled.step_sizes[:10].tolist())
    more = ", ..." if len(state.distilled.step_sizes) > 10 else ""
    return (f"outer step {state.outer_step} of {state.outer_steps}, loss {state.loss:.3f}, "
            f"best validation score {state.best_score:.1f} %, step sizes {sizes}{more}.")


def lines(curves, xlabel, ylabel, words, log=False):
    """A `Picture` of curves: {name: list of (x, y)}. `words` say what is to be seen; `log` makes the x axis logarithmic."""
    figure = Figure(figsize=(6, 3))
    axis = figure.subplots()
    for style, (name, points) in zip(("o-", "s--", "^:", "v-.", "D-", "x--"), curves.items()):
        axis.plot(*zip(*points), style, markersize=4, linewidth=1.2, label=name)
    axis.set(xlabel=xlabel, ylabel=ylabel)
    if log:
        axis.set_xscale("log")
        places = sorted({x for points in curves.values() for x, _ in points})
        places = places if len(places) < 10 else places[::4]
        axis.set_xticks(places, [f"{place:g}" for place in places])
        axis.set_xticks([], minor=True)
    axis.grid(alpha=0.3)
    axis.legend(frameon=False, fontsize=9)
    return Picture(figure, words)


def histogram(scores, xlabel="test accuracy, %", words=""):
    """A `Picture` of how scores are spread: {name: list of percents}, one row of bars for each name, on a common axis."""
    figure = Figure(figsize=(7, 1 + 0.9 * len(scores)), layout="constrained")
    rows = figure.subplots(len(scores), 1, sharex=True, squeeze=False)[:, 0]
    for axis, color, (name, values) in zip(rows, (BLUE, ORANGE) * len(scores), scores.items()):
        axis.hist(values, bins=range(0, 101, 2), color=color)
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=9)
        axis.set_yticks([])
        axis.set_xlim(0, 100)
    rows[-1].set_xlabel(xlabel)
    spans = "; ".join(f"{name}: {min(values):.1f} to {max(values):.1f}, mean {sum(values) / len(values):.1f} "
                      f"({len(values)} networks)" for name, values in scores.items())
    return Picture(figure, f"{words or 'Histogram'}: {spans}.")


def bars(groups, words):
    """A `Picture` of percentages side by side: {row: {measure: percent}}, every row with the same measures."""
    measures = list(next(iter(groups.values())))
    figure = Figure(figsize=(8, 0.9 + 0.24 * len(groups) * len(measures)), layout="constrained")
    axis, height = figure.subplots(), 0.8 / len(measures)
    for k, (measure, color) in enumerate(zip(measures, (BLUE, ORANGE, "#999999"))):
        places = [row + k * height for row in range(len(groups))]
        drawn = axis.barh(places, [values[measure] for values in groups.values()], height * 0.9, color=color, label=measure)
        axis.bar_label(drawn, fmt="%.0f", padding=2, fontsize=8)
    axis.set_yticks([row + (len(measures) - 1) * height / 2 for row in range(len(groups))], list(groups))
    axis.set(xlim=(0, 109), xlabel="%")
    axis.invert_yaxis()
    axis.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(measures))
    numbers = "; ".join(f"{row}: " + ", ".join(f"{measure} {value:.0f} %" for measure, value in values.items())
                        for row, values in groups.items())
    return Picture(figure, f"{words}: {numbers}.")


def _draw_step_sizes(axis, dset):
    sizes = dset.step_sizes.tolist()
    axis.bar(range(1, len(sizes) + 1), sizes, color=BLUE)
    axis.set(title="step size", xlabel="gradient step", ylim=(0, None))
    if len(sizes) <= 10:
        axis.set_xticks(range(1, len(sizes) + 1))
