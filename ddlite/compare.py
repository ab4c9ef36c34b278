"""Reports side by side, where they can stand side by side."""

from collections.abc import Mapping
from html import escape

from ddlite.evaluate import Report


class Comparison:
    """Rows of one table: how several sets do under the same protocol, on the same images.

    Args:
        reports: {name: `Report`}.

    Shows as a table in a notebook, and as lines of text elsewhere. A row without a protocol (training on all data, nearest
    neighbours) may stand beside any.

    Raises ValueError for reports of both protocols, or of several data sets or splits: their numbers do not compare.
    """

    def __init__(self, reports: Mapping[str, Report]):
        self.reports = dict(reports)
        for what, of in {"protocols": lambda report: report.protocol, "data sets": lambda report: report.data,
                         "splits": lambda report: report.split}.items():
            found = {of(report): name for name, report in self.reports.items() if of(report) is not None}
            if len(found) > 1:
                examples = ", ".join(f"{value} ({name})" for value, name in found.items())
                raise ValueError(f"These reports are of several {what}, which one table must not mix: {examples}. Make a table "
                                 "for each.")

    def rows(self) -> list[tuple]:
        """(name, mean accuracy and its spread, gradient steps, floats, what it is over) of each report, as text."""
        return [(name, f"{report.mean:.1f}" + (f" ± {report.std:.1f}" if report.std is not None else ""),
                 f"{report.gradient_steps:,}", f"{report.floats:,}" if report.floats else "–",
                 f"{len(report.final)} {report.unit}{'s' if len(report.final) > 1 else ''}")
                for name, report in self.reports.items()]

    def __str__(self):
        table = [("", "%", "steps", "floats", "over"), *self.rows()]
        widths = [max(len(row[k]) for row in table) for k in range(5)]
        return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in table)

    __repr__ = __str__

    def _repr_html_(self):
        protocol = next((report.protocol for report in self.reports.values() if report.protocol), "–")
        head = "".join(f"<th>{words}</th>" for words in ("", "%", "gradient steps", "floats", "over"))
        body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in self.rows())
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table><p>Protocol {protocol}.</p>"
