"""Feedback pages: the notebook as it was run, with its points. Nothing of a student's that they show can run."""

import html
import re
import warnings

import nbformat

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # without tinycss2 styles are dropped, which is as well
    from nbconvert import HTMLExporter
    from nbconvert.preprocessors.sanitize import SanitizeHTML

TAGS = ["a", "b", "blockquote", "br", "code", "div", "em", "h1", "h2", "h3", "h4", "hr", "i", "img", "li", "ol", "p", "pre",
        "span", "strong", "sub", "sup", "table", "tbody", "td", "th", "thead", "tr", "ul"]
# Even if something slipped through: no script, no frame, no form, nothing from elsewhere.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; form-action 'none'; base-uri 'none'"
UNSAFE = re.compile(r"""\b(?:href|src)\s*=\s*(?!["']?(?:https?:|data:image/|#))(?:"[^"]*"|'[^']*'|[^\s>]+)""", re.IGNORECASE)
STYLE = """body { font: 16px/1.5 sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
pre { overflow-x: auto; padding: .5rem; background: #f5f5f5; white-space: pre-wrap } img { max-width: 100% }
table { border-collapse: collapse } td, th { padding: .2rem .8rem; border-bottom: 1px solid #ccc; text-align: left }
.output_stderr pre, .jp-RenderedText[data-mime-type*=stderr] pre { background: #fdd } .prompt { color: #888 }"""


def page(student, notebook, points, worth, notes):
    """The page of a submission, bytes of HTML.

    Args:
        student: whose it is.
        notebook: as it was run; None if it could not be.
        points, worth: {graded cell: points}, what was and what could be had; None for what is to be marked by hand.
        notes: what is to be said beforehand.
    """
    had = {cell: points.get(cell, 0) for cell in worth}
    rows = "".join(f"<tr><td>{html.escape(cell)}<td>{'to be marked' if had[cell] is None else format(had[cell], 'g')}"
                   f"<td>of {most:g}" for cell, most in worth.items())
    said = "".join(f"<p>{html.escape(note)}" for note in notes)
    return (f'<!doctype html><html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" '
            f'content="{POLICY}"><title>{html.escape(student)}</title><style>{STYLE}</style></head><body>'
            f"<h1>{html.escape(student)}</h1>{said}<table>{rows}</table>{_body(notebook) if notebook else ''}</body></html>"
            ).encode("utf-8", errors="replace")


def _body(notebook):
    notebook = nbformat.from_dict(notebook)
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({})
        if cell.cell_type != "code":  # pictures that lie in the file were left out when it was read
            cell.source = re.sub(r"\battachment:", "#", cell.source)
        for output in cell.get("outputs", []):
            output.pop("metadata", None)
            if output.output_type in ("display_data", "execute_result"):
                output.metadata = nbformat.from_dict({})
    notebook.metadata = nbformat.from_dict({"kernelspec": {"name": "python3", "display_name": "Python 3"},
                                            "language_info": {"name": "python"}})
    clean = SanitizeHTML(tags=TAGS, attributes={"*": ["title"], "a": ["href"], "img": ["src", "alt"]}, strip=True)
    clean.enabled = True
    exporter = HTMLExporter(template_name="basic", mathjax_url="", require_js_url="", jupyter_widgets_base_url="",
                            preprocessors=[])
    exporter.register_preprocessor(clean, enabled=True)
    body, _ = exporter.from_notebook_node(notebook)
    return re.sub(r"<(?:a|img)\b[^>]*>", lambda tag: UNSAFE.sub("", tag[0]), body, flags=re.IGNORECASE)
