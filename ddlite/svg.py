"""Small drawings for live panels, as SVG and HTML: redrawn twice a second, they must cost next to nothing."""

from html import escape

from ddlite.show import BLUE, ORANGE

WIDTH, HEIGHT, LEFT, BELOW = 170, 90, 34, 32  # of a curve's field, and the room for the numbers beside and below it


def names(classes, across):
    """Names above the columns of a picture, cut to their width; folded away where there are more than `across` of them."""
    own = [escape(name) for name in classes]
    if len(own) > across:
        return (f"<details><summary>{len(own)} images, {across} in a line: {own[0]} to {own[-1]}"
                f"</summary>{', '.join(own)}</details>")
    style = "flex:1;min-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;text-align:center"
    spans = "".join(f"<span title='{name}' style='{style}'>{name}</span>" for name in own)
    return f"<div style='display:flex'>{spans}</div>"


def curve(title, points, last, highest, colour=BLUE, marks=None):
    """A line through points (x, y), on axes that stay: x from 0 to `last`, y from 0 (or the lowest) to `highest`.

    `marks` are levels to compare with, {name: y}, drawn as dashed lines.
    """
    marks = marks or {}
    points = points[:: max(1, len(points) // 200)] + points[-1:]
    low = min(0, *(y for _, y in points)) if len(points) > 1 else 0
    high = max(highest, low + 1e-9)

    def place(x, y):
        return f"{LEFT + WIDTH * x / max(last, 1):.1f},{8 + HEIGHT * (1 - (min(max(y, low), high) - low) / (high - low)):.1f}"

    def words(x, y, text, anchor="middle"):
        return f"<text x='{x}' y='{y}' text-anchor='{anchor}'>{escape(text)}</text>"

    level = {f"{y:.3g}": y for y in (low, (low + high) / 2, high)}
    ticks = "".join(words(LEFT - 5, float(place(0, y).split(",")[1]) + 4, text, "end") for text, y in level.items())
    ticks += "".join(words(LEFT + WIDTH * share, HEIGHT + 23, f"{last * share:.0f}") for share in (0, 0.5, 1))
    lines = "".join(f"<path d='M{place(0, y)} L{place(last, y)}' stroke='currentColor' stroke-dasharray='5 4'/>"
                    + words(LEFT + WIDTH - 3, float(place(0, y).split(",")[1]) + 12, f"{name} {y:.1f}", "end")
                    for name, y in marks.items())
    path = " ".join(place(x, y) for x, y in points)
    now = f", now {points[-1][1]:.3g} at outer step {points[-1][0]}" if points else ""
    compared = "".join(f", {name} {y:.1f}" for name, y in marks.items())
    return (f"<svg role='img' aria-label='{escape(title, quote=True)}{now}{escape(compared, quote=True)}' "
            f"viewBox='0 0 {LEFT + WIDTH + 20} {HEIGHT + BELOW}' width='{LEFT + WIDTH + 20}' height='{HEIGHT + BELOW}' "
            f"font-size='11' fill='currentColor' style='width:100%;height:auto'>"
            f"<path d='M{place(0, high)} L{place(0, low)} L{place(last, low)}' fill='none' stroke='currentColor'/>"
            f"{ticks}{lines}"
            f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2'/></svg>")


def dots(title, values, width=500):
    """A dot for each percentage, on an axis from 0 to 100."""
    places = "".join(f"<circle cx='{width * value / 100:.1f}' cy='{12 + 7 * (k % 4)}' r='3' fill='{ORANGE}' "
                     f"fill-opacity='0.7'/>" for k, value in enumerate(values))
    ticks = "".join(f"<text x='{width * tick / 100}' y='56' font-size='11' text-anchor='middle' fill='currentColor'>"
                    f"{tick}</text>" for tick in range(0, 101, 20))
    return (f"<svg role='img' aria-label='{title}: one dot for each network' width='{width + 30}' height='62' "
            f"viewBox='-15 0 {width + 30} 62' style='max-width:100%'><path d='M0 42H{width}' stroke='currentColor' "
            f"stroke-width='0.5'/>{places}{ticks}</svg>")


def bars(title, values, width=LEFT + WIDTH + 20):
    """A bar for each value, 0 or more, with its number below where there is room."""
    each, highest = min(width / len(values), 70), max(values) or 1.0  # all may be zero
    drawn = "".join(f"<rect x='{k * each:.1f}' width='{each * 0.8:.1f}' y='{8 + HEIGHT * (1 - v / highest):.1f}' "
                    f"height='{HEIGHT * v / highest:.1f}' fill='{BLUE}'/>" for k, v in enumerate(values))
    numbers = "".join(f"<text x='{(k + 0.4) * each:.1f}' y='{HEIGHT + 23}' text-anchor='middle'>{v:.2g}</text>"
                      for k, v in enumerate(values) if len(values) <= 4)
    spoken = ", ".join(f"{value:.2g}" for value in values[:10])
    return (f"<svg role='img' aria-label='{title}: {spoken}' viewBox='0 0 {width} {HEIGHT + BELOW}' width='{width}' "
            f"height='{HEIGHT + BELOW}' font-size='11' fill='currentColor' style='width:100%;height:auto'>"
            f"{drawn}{numbers}</svg>")


def figure(caption, drawing):
    """A drawing with its caption above it."""
    return f"<div><div style='font-weight:600'>{escape(caption)}</div>{drawing}</div>"


def side_by_side(figures):
    """Drawings in columns of one width, as many as fit: three in a window of 900 pixels."""
    columns = "grid-template-columns:repeat(auto-fit,minmax(200px,1fr))"
    return f"<div style='max-width:1040px'><div style='display:grid;{columns};gap:0 1em'>{figures}</div></div>"


def hidden(words):
    """Words for screen readers alone, which are told when they change."""
    return ("<div role='status' style='position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)'>"
            f"{escape(words)}</div>")
