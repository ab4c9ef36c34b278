"""The lessons' diagrams, drawn as SVG into notebooks/pictures/.

    python notebooks/diagrams.py

They must be read on white and on black pages, so all words stand in filled boxes, and lines are of a middle grey. The colours
mean what they mean in all pictures: blue is what is learned, orange what is measured on real images, grey the networks.
"""

from html import escape
from pathlib import Path

PICTURES = Path(__file__).resolve().parent / "pictures"
BLUE, ORANGE, GREY, NAME, LINE = "#0b5c8a", "#a84300", "#525b66", "#5f6874", "#808890"
FONT = "font-family='system-ui, sans-serif' font-size='14' fill='#fff' text-anchor='middle'"


def box(x, y, width, height, words, colour=GREY):
    """A filled box with lines of words in its middle."""
    lines = words.split("\n")
    first = y + height / 2 + 5 - 9.5 * (len(lines) - 1)
    text = "".join(f"<text x='{x + width / 2}' y='{first + 19 * k}'>{escape(line)}</text>" for k, line in enumerate(lines))
    return f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='7' fill='{colour}'/>{text}"


def frame(x, y, width, height, words):
    """A dashed frame around other things, with its name in a small box on the upper edge."""
    wide = 8.2 * len(words) + 20
    return (f"<rect x='{x}' y='{y}' width='{width}' height='{height}' rx='12' fill='none' stroke='{LINE}' stroke-width='1.5' "
            f"stroke-dasharray='6 5'/>{box(x + 18, y - 13, wide, 26, words, NAME)}")


def arrow(*points, colour=LINE):
    """A line through points (x, y), with a head at its end."""
    path = " ".join(f"{x},{y}" for x, y in points)
    return (f"<polyline points='{path}' fill='none' stroke='{colour}' stroke-width='2.2' stroke-linejoin='round' "
            f"marker-end='url(#head)'/>")


def drawing(width, height, title, *parts):
    """A whole SVG with a title that a screen reader reads."""
    return (f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {width} {height}' width='{width}' height='{height}' "
            f"role='img' aria-labelledby='title'><title id='title'>{escape(title)}</title>\n"
            f"<defs><marker id='head' viewBox='0 0 10 10' refX='9' refY='5' markerWidth='6' markerHeight='6' orient='auto'>"
            f"<path d='M0 0 10 5 0 10z' fill='{LINE}'/></marker></defs>\n<g {FONT}>\n" + "\n".join(parts) + "\n</g></svg>\n")


def loops():
    steps = [box(232 + 92 * k, 96, 76, 62, f"gradient\nstep {k + 1}") for k in range(3)]
    return drawing(
        760, 300, "The two nested loops of dataset distillation",
        frame(8, 22, 744, 266, "outer loop: improve the pictures"), frame(214, 68, 296, 112, "inner loop: train a network"),
        box(28, 92, 150, 70, "ten pictures,\nstep sizes", BLUE), *steps,
        box(554, 92, 184, 70, "loss of the trained\nnetwork on real images", ORANGE),
        *(arrow((x, 127), (to, 127)) for x, to in ((178, 229), (308, 321), (400, 413), (492, 551))),
        arrow((646, 164), (646, 232), (103, 232), (103, 165)),
        box(232, 214, 300, 36, "meta-gradient, back through the steps", ORANGE))


def way_back():
    parts, left = [], (20, 190, 360, 530)
    for k, x in enumerate(left):
        parts.append(box(x, 96, 84, 40, f"weights w{k}"))
        parts.append(box(x, 186, 84, 40, f"adjoint v{k}", ORANGE))
    for k in range(3):
        middle = left[k] + 127
        parts += [arrow((left[k] + 84, 116), (left[k + 1] - 3, 116)), arrow((left[k + 1], 206), (left[k] + 87, 206)),
                  box(middle - 48, 14, 96, 46, f"pictures,\nstep size {k + 1}", BLUE), arrow((middle, 60), (middle, 112)),
                  arrow((middle, 206), (middle, 262)), box(middle - 62, 264, 124, 46, "part of the\nmeta-gradient", BLUE),
                  box(middle - 31, 162, 62, 24, "I − ηH", NAME)]
    return drawing(760, 324, "Three gradient steps, and the way back through them", *parts,
                   arrow((614, 116), (702, 116), (702, 141)), box(648, 144, 104, 46, "goal G on\nreal images", ORANGE),
                   arrow((648, 178), (630, 206), (617, 206)))


def splits():
    columns = ("training", "validation", "test, or held-out")
    choose = "choose the step\nsize, the best set"
    rows = {"images": ("real batches of\nthe outer loop", choose, "report the\naccuracy"),
            "networks": ("pictures are\nlearned with them", choose, "report, and were\nnever seen before")}
    parts = [box(120 + 212 * k, 10, 200, 34, name, NAME) for k, name in enumerate(columns)]
    for r, (name, cells) in enumerate(rows.items()):
        parts.append(box(8, 56 + 78 * r, 100, 66, name, NAME))
        parts += [box(120 + 212 * k, 56 + 78 * r, 200, 66, words, colour)
                  for k, (words, colour) in enumerate(zip(cells, (BLUE, GREY, ORANGE)))]
    return drawing(756, 212, "Images and networks, each split into training, validation and test", *parts)


def pool():
    rows = (("the pool: pictures are learned with these", BLUE), ("validation networks: choose", GREY),
            ("held-out networks: only report", ORANGE))
    parts = [box(8, 100, 120, 60, "source\nimages"), arrow((128, 130), (165, 130)),
             box(168, 100, 130, 60, "the same\npre-training")]
    for k, (words, colour) in enumerate(rows):
        y = 20 + 84 * k
        parts += [arrow((298, 130), (330, 130), (330, y + 26), (357, y + 26)), box(360, y, 390, 52, words, colour)]
    return drawing(760, 262, "A pool of pre-trained networks, and networks outside it", *parts)


def attack():
    parts = [box(8, 30, 170, 60, "network, trained well", GREY), box(292, 30, 176, 60, "one gradient step", BLUE),
             box(582, 30, 170, 60, "the same network,\nattacked", GREY), *(arrow((x, 60), (x + 111, 60)) for x in (178, 468)),
             box(272, 130, 216, 60, "the attack's pictures,\nlabelled 0 to 9", BLUE), arrow((380, 130), (380, 93))]
    for x, zeros, others in ((8, "reads 0 as 0", "reads 1 to 9 as 1 to 9"), (582, "reads 0 as 1", "reads 1 to 9 as before")):
        parts += [box(x, 214, 170, 36, zeros, ORANGE), box(x, 258, 170, 36, others, ORANGE), arrow((x + 85, 92), (x + 85, 211))]
    return drawing(760, 304, "An attack within one gradient step", *parts)


DIAGRAMS = {"loops": loops, "way-back": way_back, "splits": splits, "pool": pool, "attack": attack}


def draw():
    """Write all of them."""
    for name, make in DIAGRAMS.items():
        (PICTURES / f"{name}.svg").write_text(make(), encoding="utf-8")


if __name__ == "__main__":
    draw()
