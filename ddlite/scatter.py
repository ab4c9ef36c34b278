"""A picture of marks with their names, in which no name covers a mark or another name."""

from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from ddlite.show import BLUE, INK, STYLE, Picture

KINDS = ({"marker": "o", "color": BLUE}, {"marker": "o", "color": BLUE, "markerfacecolor": "none"},
         {"marker": "s", "color": INK}, {"marker": "^", "color": INK})  # told apart by their shapes, too
SIDES = {-1: "right", 0: "center", 1: "left"}
PLACES = [(side, reach * up) for reach in (1, 2, 3) for side in (1, -1, 0) for up in (1, -1)]


@rc_context(STYLE)
def scatter(groups, xlabel, ylabel, words, caption=None):
    """A `Picture` of marks, each with its name, on a logarithmic x axis.

    Args:
        groups: {what the legend says of some marks: {name: (x, y)}}, up to four groups; x is above 0. A group without marks is
            left out.
        xlabel, ylabel: of the axes.
        words, caption: as for `Picture`.

    Raises ValueError where there is no mark, and for a fifth group.
    """
    groups = {name: points for name, points in groups.items() if points}
    if not 0 < len(groups) <= len(KINDS):
        raise ValueError(f"There are {len(groups)} groups of marks: 1 to {len(KINDS)} are told apart, e.g. "
                         "{'learned': {'DC': (15, 86.9)}}.")
    figure = Figure(figsize=(7, 4.2))
    axis = figure.subplots()
    for kind, (name, points) in zip(KINDS, groups.items()):
        axis.plot(*zip(*points.values()), linestyle="", label=name, **kind)
    axis.set(xscale="log", xlabel=xlabel, ylabel=ylabel)
    axis.margins(0.12)  # room for names
    axis.autoscale_view()  # now, for names are written where the marks are
    axis.legend(frameon=False, fontsize=8, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=len(groups))
    points = [one for points in groups.values() for one in points.items()]
    write_names(axis, sorted(points, key=lambda one: -one[1][1]))  # of two marks in one place, the upper name is the higher's
    return Picture(figure, words, caption)


def write_names(axis, points):
    """Write (name, (x, y)) beside each mark, at the first place where a name covers nothing, else where it covers least.

    Returns matplotlib's texts.
    """
    renderer, written = FigureCanvasAgg(axis.figure).get_renderer(), []
    inside = axis.get_window_extent(renderer)
    taken = [Bbox.from_extents(x - 5, y - 5, x + 5, y + 5) for x, y in axis.transData.transform([point for _, point in points])]
    for name, point in points:
        tried = []
        for place in PLACES:
            text = _beside(axis, name, point, place)
            box = text.get_window_extent(renderer)
            outside = _area(box) - _area(Bbox.intersection(box, inside))
            tried.append((outside + sum(_area(Bbox.intersection(box, other)) for other in taken), len(tried), box))
            text.remove()
        _, best, box = min(tried, key=lambda one: one[:2])
        taken.append(box)
        written.append(_beside(axis, name, point, PLACES[best]))
    return written


def _beside(axis, name, point, place):
    """A name beside its mark: to the right (1), to the left (-1) or in the middle (0), and so many steps up or down."""
    side, up = place
    return axis.annotate(name, point, (5 * side, 5 * up), textcoords="offset points", fontsize=8, ha=SIDES[side],
                         va="bottom" if up > 0 else "top", parse_math=False)


def _area(box):
    return 0 if box is None else box.width * box.height
