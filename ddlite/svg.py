"""Small drawings for live panels, as SVG and HTML: redrawn twice a second, they must cost next to nothing."""

from html import escape

from ddlite.show import BLUE


def names(classes, across):
    """Names above the columns of a picture, cut to their width; folded away where there are more than `across` of them."""
    own = [escape(name) for name in classes]
    if len(own) > across:
        return (f"<details style='max-width:900px'><summary>{len(own)} images, {across} in a line: {own[0]} to {own[-1]}"
                f"</summary>{', '.join(own)}</details>")
    style = "flex:1;min-width:0;overflow:hidden;text-overflow:ellipsis;white-space:nowrap;text-align:center"
    spans = "".join(f"<span title='{name}' style='{style}'>{name}</span>" for name in own)
    return f"<div style='display:flex;max-width:900px'>{spans}</div>"


def curve(title, points, low, high, width=260, height=90):
    """A line through points (x, y), x from 0; at the title, the range of y. Nothing for fewer than two points."""
    if len(points) < 2:
        return ""
    points = points[:: max(1, len(points) // 200)] + points[-1:]
    high = max(y for _, y in points) if high is None else high
    scale = height / max(high - low, 1e-9)
    path = " ".join(f"{width * x / points[-1][0]:.1f},{height - (min(y, high) - low) * scale:.1f}" for x, y in points)
    return (f"<svg role='img' aria-label='{title}: now {points[-1][1]:.3g}' width='{width}' height='{height + 20}'>"
            f"<text x='0' y='12' font-size='12' fill='currentColor'>{title} (0 to {high:.3g})</text>"
            f"<g transform='translate(0,18)'><path d='M0 0V{height}H{width}' fill='none' stroke='currentColor' "
            f"stroke-width='0.5'/><polyline points='{path}' fill='none' stroke='{BLUE}' stroke-width='1.5'/></g></svg>")


def dots(title, values, width=500):
    """A dot for each percentage, on an axis from 0 to 100."""
    places = "".join(f"<circle cx='{width * value / 100:.1f}' cy='{12 + 7 * (k % 4)}' r='3' fill='{BLUE}' "
                     f"fill-opacity='0.6'/>" for k, value in enumerate(values))
    ticks = "".join(f"<text x='{width * tick / 100}' y='56' font-size='11' text-anchor='middle' fill='currentColor'>"
                    f"{tick}</text>" for tick in range(0, 101, 20))
    return (f"<svg role='img' aria-label='{title}: one dot for each network' width='{width + 30}' height='62' "
            f"viewBox='-15 0 {width + 30} 62'><path d='M0 42H{width}' stroke='currentColor' stroke-width='0.5'/>{places}{ticks}"
            "</svg>")


def bars(title, values, width=260, height=90):
    """A bar for each value, 0 or more; at the title, their range."""
    each, highest = width / len(values), max(values) or 1.0  # all may be zero
    bars = "".join(f"<rect x='{k * each:.1f}' width='{each * 0.8:.1f}' y='{height * (1 - v / highest):.1f}' "
                   f"height='{height * v / highest:.1f}' fill='{BLUE}'/>" for k, v in enumerate(values))
    numbers = ", ".join(f"{value:.2g}" for value in values[:10])
    return (f"<svg role='img' aria-label='{title}: {numbers}' width='{width}' height='{height + 20}'>"
            f"<text x='0' y='12' font-size='12' fill='currentColor'>{title} (0 to {highest:.2g})</text>"
            f"<g transform='translate(0,18)'>{bars}</g></svg>")
