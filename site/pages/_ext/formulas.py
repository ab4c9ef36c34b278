"""Formulas made when the site is built: KaTeX, from sphinxcontrib-katex's wheel, turns TeX into MathML.

MathML is drawn by every browser of today and read aloud by screen readers. It needs no script and no fonts, so the pages carry none.
(That extension itself fetches KaTeX's fonts from a public server, or calls node; hence these lines in its place.)
"""

from functools import cache
from importlib.resources import files

from docutils import nodes
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


def setup(app):
    app.add_html_math_renderer("formulas", visit(False), visit(True))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
