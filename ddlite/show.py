"""Still pictures, each with a sentence that says what is to be seen."""

import base64
import io
import itertools
import re
import statistics
import textwrap
from html import escape

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

from ddlite.layout import ACROSS, LINES, grey_range, in_words, lines_of, table, tiles
from ddlite.valid import need_set

BLUE, ORANGE = "#0072b2", "#d55e00"  # told apart by colour-blind readers too
COLOURS = (BLUE, ORANGE, "#999999", "#009e73", "#cc79a7", "#56b4e9", "#f0e442", "#000000")
INK = "#757575"  # words and axes: a grey that is read on white and on black pages, for pictures have no ground of their own
STYLE = {"text.color": INK, "axes.labelcolor": INK, "axes.edgecolor": INK, "xtick.color": INK, "ytick.color": INK,
         "axes.titlecolor": INK}


class Picture:
    """A PNG with words for those who cannot see it; a notebook shows a figure with a caption, a terminal the words.

    Args:
        figure: matplotlib's.
        words: what is to be seen, with the numbers.
        caption: what stands below the picture; by default the beginning of the words.
    """

    def __init__(self, figure, words, caption=None):
        self.words, self.caption = words, caption or re.split(r"(?:[:.;] |\.$)", words)[0] + "."
        file = io.BytesIO()
        figure.savefig(file, format="png", dpi=100, bbox_inches="tight", transparent=True)
        self.png = _small(file)

    def _repr_mimebundle_(self, include=None, exclude=None):
        png, words = base64.b64encode(self.png).decode(), escape(self.words, quote=True)
        figure = (f'<figure style="margin:0.5em 0"><img alt="{words}" style="max-width:100%;height:auto" '
                  f'src="data:image/png;base64,{png}"><figcaption>{escape(self.caption)}</figcaption></figure>')
        return ({"text/html": figure, "image/png": png, "text/plain": self.words}, {"image/png": {"alt": self.words}})

    def __repr__(self):
        return self.words


def _small(file):
    """A PNG in half the bytes: with a palette, where colours rounded by at most 1 of 255 (and 8 of opacity) are few enough."""
    with Image.open(file) as image:
        pixels = np.array(image.convert("RGBA"))
    pixels[..., :3] |= 1
    pixels[..., 3] = (pixels[..., 3].astype(np.uint16) + 8) // 17 * 17
    colours, which = np.unique(pixels.view(np.uint32), return_inverse=True)
    if len(colours) > 256:
        return file.getvalue()
    image, small = Image.fromarray(which.reshape(pixels.shape[:2]).astype(np.uint8), "P"), io.BytesIO()
    image.putpalette(colours.view(np.uint8).tobytes(), "RGBA")
    image.save(small, "png", optimize=True)
    return small.getvalue()


def predicted(mine, unit=" %"):
    """What a reader predicted, in a line; or, where nothing was, that it is worth the while."""
    if mine is None or mine == "":
        return "no prediction yet: put yours in place of None in the cell above, and run both again"
    return f"you said {mine}{unit}"


@rc_context(STYLE)
def images(dset, title="A distilled set", batches=None):
    """A `Picture` of a distilled set, laid out as in `lines_of`, with the label above each column, or below each image;
    `batches` are names in the place of "batch 1", "batch 2" and so on."""
    low, high = grey_range(dset)
    rows, columns = table(dset)[0].shape[:2]
    pictures, labels = lines_of(dset)
    lines, across, _, height, width = pictures.shape
    broken = columns > across
    below = round(0.25 * width) + 1 if broken else 0
    canvas = tiles(dset, (low, high), zoom=1, below=below)
    upright = not broken and columns * max(len(dset.classes[k]) for k in labels[0]) > 120  # long names stand on end
    tall = min(max(10 * canvas.height / canvas.width, 0.3), 60 if broken else 20)
    figure = Figure(figsize=(10, tall + (2.4 if upright else 0.4)), layout="constrained")
    axis = figure.subplots()
    axis.imshow(canvas, interpolation="nearest")
    axis.set(xticks=[], yticks=[])
    if broken:
        for line, column in itertools.product(range(lines), range(across)):
            if labels[line][column] is not None:
                axis.text(column * (width + 2) + width / 2, line * (height + 2 + below) + height,
                          _short(dset.classes[labels[line][column]], 16), fontsize=6, ha="center", va="top")
    else:
        axis.set_xticks([k * (width + 2) + width / 2 for k in range(columns)], [_short(dset.classes[k]) for k in labels[0]],
                        rotation=90 if upright else 0)
    if dset.batches > 1:
        each = (rows if not broken else rows * -(-columns // across)) // dset.batches
        named = range(0, lines, each)
        axis.set_yticks([k * (height + 2 + below) + height / 2 for k in named],
                        batches or [f"batch {k + 1}" for k in range(len(named))])
    axis.tick_params(length=0, labeltop=True, labelbottom=False)
    axis.spines[:].set_visible(False)
    words = f"{in_words(low, high)}{_cut(dset)}"
    return Picture(figure, f"{title}: {rows} x {columns} images, labelled {_names(dset)}; {words}.", f"{title}: {words}.")


def sizes_of(dset):
    """A set's step sizes, a list. Raises ValueError for a set that has none."""
    need_set(dset)
    if dset.step_sizes is None:
        raise ValueError("This set has no step sizes: it is applied by its recipe, dset.recipe.")
    return dset.step_sizes.tolist()


@rc_context(STYLE)
def step_sizes(dset, title="Step sizes"):
    """A `Picture` of a set's step sizes, one bar for each gradient step."""
    figure = Figure(figsize=(min(max(4, 0.3 * len(sizes_of(dset)) + 2), 20), 2.2))
    axis = figure.subplots()
    _draw_step_sizes(axis, dset)
    axis.set_title(_plain(title), fontsize=10)
    return Picture(figure, f"{title}: {_sizes(dset, 100)}.")


@rc_context(STYLE)
def learning(state, losses, scores, title="Learning", marks=None):
    """A `Picture` of a distillation: the images, the loss, the validation scores and the step sizes as they are now.

    Args:
        state: the last `State`.
        losses, scores: lists of (outer step, value).
        marks: {name: percent}, levels to compare the scores with.
    """
    if not hasattr(state, "distilled"):
        raise ValueError(f"A {type(state).__name__} was given: the last State that ddlite.distill(...) yields is needed.")
    canvas = tiles(state.distilled, zoom=1)
    height = min(max(10 * canvas.height / canvas.width, 0.5), 4.5)  # a hundred images, half a window
    figure = Figure(figsize=(10, height + 3.5), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=(height, 2.6))
    axis = top.subplots()
    axis.imshow(canvas, interpolation="nearest")
    axis.axis("off")
    left, middle, right = bottom.subplots(1, 3)
    if losses:
        left.plot(*zip(*losses), color=BLUE, linewidth=1)
    left.set(xlabel="outer step", ylim=(0, None) if all(loss >= 0 for _, loss in losses) else None)
    left.set_title(_plain(textwrap.fill(f"loss on real batches: {state.loss_is}", 36)), fontsize=9)
    if scores:
        middle.plot(*zip(*scores), color=ORANGE, marker=".", linewidth=1)
    for name, level in (marks or {}).items():
        middle.axhline(level, color=INK, linestyle="--", linewidth=1)
        middle.text(state.outer_steps, level - 1, f"{name} {level:.1f}", fontsize=8, ha="right", va="top")
    middle.set(xlabel="outer step", ylim=(0, 100))
    middle.set_title(_plain(textwrap.fill(f"validation score: {state.score_is}", 36)), fontsize=9)
    _draw_step_sizes(right, state.distilled)
    seen = f"{in_words(*grey_range(state.distilled))}{_cut(state.distilled)}"
    where = f"{title}, outer step {state.outer_step} of {state.outer_steps}"
    return Picture(figure, f"{title}: {sentence(state)}", f"{where}: {seen}.")


def sentence(state):
    """Where a distillation stands, in words."""
    sizes = "" if state.distilled.step_sizes is None else f", step sizes {_sizes(state.distilled, 10)}"
    return (f"outer step {state.outer_step} of {state.outer_steps}, loss {state.loss:.3f}, "
            f"best validation score {state.best_score:.1f} %{sizes}.")


@rc_context(STYLE)
def lines(curves, xlabel, ylabel, words, log=False):
    """A `Picture` of curves: {name: list of (x, y)}. `words` say what is to be seen; `log` makes the x axis logarithmic, or
    "both" axes. Where y is a list, one number for each network, the mean is drawn, with a bar of one standard deviation.
    """
    _some(curves, "curves")
    figure = Figure(figsize=(6, 3) if len(curves) <= 12 else (6, 4.5))
    axis = figure.subplots()
    for style, (name, points) in zip(itertools.cycle(("o-", "s--", "^:", "v-.", "D-", "x--")), curves.items()):
        x, heights = zip(*points)
        y, spread = zip(*map(_mean, heights))
        axis.errorbar(x, y, spread if any(spread) else None, fmt=style, markersize=4, linewidth=1.2, capsize=2,
                      label=_short(name))
    axis.set(xlabel=_plain(xlabel), ylabel=_plain(ylabel))
    if log:
        axis.set_xscale("log")
        places = sorted({x for points in curves.values() for x, _ in points})
        places = places if len(places) < 10 else places[::4]
        axis.set_xticks(places, [f"{place:g}" for place in places])
        axis.set_xticks([], minor=True)
    if log == "both":
        axis.set_yscale("log")
    axis.grid(alpha=0.3)
    if len(curves) <= 12:
        axis.legend(frameon=False, fontsize=9)
    else:  # beside the curves, which it would hide
        axis.legend(frameon=False, fontsize=6, loc="upper left", bbox_to_anchor=(1, 1), ncols=-(-len(curves) // 36))
    return Picture(figure, words)


@rc_context(STYLE)
def histogram(scores, xlabel="test accuracy, %", words=""):
    """A `Picture` of how scores are spread: {name: list of percents}, one row of bars for each name, on a common axis."""
    _some(scores, "scores")
    figure = Figure(figsize=(7, min(1 + 0.9 * len(scores), 60)), layout="constrained")
    rows = figure.subplots(len(scores), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (name, values) in zip(rows, scores.items()):
        axis.hist(values, bins=range(0, 101, 2), color=ORANGE)  # as in all pictures, of what is measured on real images
        axis.set_ylabel(_short(name, 40), rotation=0, ha="right", va="center", fontsize=9)
        axis.set(yticks=[], xlim=(0, 100))
    rows[-1].set_xlabel(_plain(xlabel))
    spans = "; ".join(f"{name}: {min(values):.1f} to {max(values):.1f}, mean {sum(values) / len(values):.1f} "
                      f"({len(values)} networks)" for name, values in scores.items())
    return Picture(figure, f"{words or 'Histogram'}: {spans}.", f"{words or 'Histogram'}.")


@rc_context(STYLE)
def bars(groups, words):
    """A `Picture` of percentages side by side: {row: {measure: percent}}, every row with the same measures.

    A list in place of a percent has one for each network: the mean is drawn, with a bar of one standard deviation.
    """
    _some(groups, "rows")
    measures = list(next(iter(groups.values())))
    if other := [row for row, values in groups.items() if set(values) != set(measures)]:
        raise ValueError(f"Row {other[0]!r} has other measures than the first, {', '.join(measures)}: all need the same.")
    figure = Figure(figsize=(8, min(0.9 + 0.24 * len(groups) * len(measures), 60)), layout="constrained")
    axis, height = figure.subplots(), 0.8 / len(measures)
    for k, (measure, color) in enumerate(zip(measures, itertools.cycle(COLOURS))):
        places = [row + k * height for row in range(len(groups))]
        means, spread = zip(*(_mean(values[measure]) for values in groups.values()))
        drawn = axis.barh(places, means, height * 0.9, color=color, label=_short(measure, 40),
                          xerr=spread if any(spread) else None, error_kw={"ecolor": INK, "capsize": 2})
        axis.bar_label(drawn, fmt="%.0f", padding=2, fontsize=8)
    axis.set_yticks([row + (len(measures) - 1) * height / 2 for row in range(len(groups))],
                    [_short(row, 40) for row in groups])
    axis.set(xlim=(0, 109), xlabel="%")
    axis.invert_yaxis()
    axis.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=min(len(measures), 3))
    numbers = "; ".join(f"{row}: " + ", ".join(f"{measure} {_rounded(value)} %" for measure, value in values.items())
                        for row, values in groups.items())
    return Picture(figure, f"{words}: {numbers}.", f"{words}.")


def _mean(value):
    """A number and no spread; of a list, its mean and its standard deviation."""
    many = isinstance(value, list)
    return (statistics.mean(value), statistics.stdev(value) if len(value) > 1 else 0) if many else (value, 0)


def _rounded(value):
    """In words, `value` as in `_mean`."""
    mean, spread = _mean(value)
    return f"{mean:.1f} ± {spread:.1f}" if isinstance(value, list) and len(value) > 1 else f"{mean:.0f}"


def _draw_step_sizes(axis, dset):
    if dset.step_sizes is None:
        axis.axis("off")
        axis.text(0.5, 0.5, "no step sizes:\ntrained by a recipe", ha="center", va="center")
        return
    sizes = dset.step_sizes.tolist()
    axis.bar(range(1, len(sizes) + 1), sizes, color=BLUE)
    axis.set_title("step size", fontsize=9)
    axis.set(xlabel="gradient step", ylim=(0, None if max(sizes) > 0 else 1))
    if len(sizes) <= 10:
        axis.set_xticks(range(1, len(sizes) + 1))


def _sizes(dset, most):
    """The first step sizes of a set, in words."""
    sizes = dset.step_sizes.tolist()
    return ", ".join(f"{size:.2g}" for size in sizes[:most]) + (", ..." if len(sizes) > most else "")


def _names(dset):
    """The classes above the columns of a picture, in words; of many, the first and the last."""
    names = [dset.classes[label] for label in table(dset)[1]]
    return ", ".join(names) if len(names) <= ACROSS else f"{', '.join(names[:3])}, ..., {names[-1]}"


def _cut(dset):
    rows, columns = table(dset)[0].shape[:2]
    lines = rows * -(-columns // lines_of(dset)[0].shape[1])
    return "" if lines <= LINES else f"; the first {LINES} of {lines} lines"


def _some(things, what):
    if not things or not all(len(values) for values in things.values()):
        raise ValueError(f"There are no {what} to draw: at least one name with numbers is needed, e.g. {{'name': [...]}}.")


def _short(text, length=24):
    """A name as matplotlib draws it, cut to a length; a first underscore would hide it from a legend."""
    text = str(text) if len(str(text)) <= length else f"{str(text)[:length - 1]}…"
    return _plain(f" {text}" if text.startswith("_") else text)


def _plain(text):
    """Text as matplotlib draws it: between two dollar signs it would read a formula."""
    return str(text).replace("$", r"\$")
