"""Formulas made when the site is built: KaTeX, from sphinxcontrib-katex's wheel, turns TeX into MathML.

Browsers draw MathML without a script, and screen readers read it aloud. Its brackets and braces grow only with a font made for
formulas, so the site brings the part of STIX Two Math (from ziamath's wheel) that they use. The extension sphinxcontrib-katex
itself is not used: it fetches KaTeX's fonts from a public server when a page is opened, or calls node.
"""

import logging
from functools import cache
from importlib.resources import files

from docutils import nodes
from fontTools import subset
from py_mini_racer import MiniRacer


@cache
def katex():
    engine = MiniRacer()
    engine.eval((files("sphinxcontrib") / "katex.min.js").read_text(encoding="utf-8"))
    return engine


def visit(display):
    def write(self, node):
        options = {"displayMode": display, "output": "mathml", "throwOnError": True}
        made = katex().call("katex.renderToString", node.astext(), options)
        self.body.append(f'<div class="formula" tabindex="0">{made}</div>' if display else made)
        raise nodes.SkipNode

    return write, None


# Latin and Greek letters (also italic and double-struck ones), operators, arrows, brackets.
CHARACTERS = [(0x20, 0x7F), (0xA0, 0xF7), (0x391, 0x3F6), (0x2010, 0x2050), (0x210E, 0x211E), (0x2190, 0x2300),
              (0x23B0, 0x23E2), (0x27E8, 0x27EA), (0x1D434, 0x1D468), (0x1D53C, 0x1D53D), (0x1D6A4, 0x1D6E2)]


def font(app, exception):
    if exception is None:
        logging.getLogger("fontTools").setLevel(logging.WARNING)
        options = subset.Options(flavor="woff", layout_features=["*"], name_IDs=["*"])
        whole = subset.load_font(str(files("ziamath") / "fonts" / "STIXTwoMath-Regular.ttf"), options)
        part = subset.Subsetter(options)
        part.populate(unicodes=[code for first, end in CHARACTERS for code in range(first, end)])
        part.subset(whole)
        subset.save_font(whole, str(app.outdir / "_static" / "formulas.woff"), options)


def setup(app):
    app.connect("build-finished", font)
    app.add_html_math_renderer("formulas", visit(False), visit(True))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
