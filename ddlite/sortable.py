"""A table for notebooks that is sorted by the column that one chooses."""

import statistics
from html import escape

import ipywidgets as widgets

from ddlite import svg
from ddlite.stills import Still

GIVEN = "as given"
CELL = "padding:0.15em 0.6em;text-align:"


class Sortable(Still):
    """A table with a button for each of its columns; in the saved notebook it stands in the order given.

    Args:
        title: what stands above it.
        columns: {heading: whether the largest values come first when it is sorted by this column}.
        rows: {name: {heading: a number, or a list of them, shown as mean ± standard deviation, or None}}. What has no number in
            a column comes last.

    Raises ValueError where there is no column or no row, and for rows that do not have the columns' numbers.
    """

    def __init__(self, title, columns, rows):
        if not columns or not rows:
            raise ValueError("A table needs a column and a row, e.g. Sortable('Costs', {'seconds': False}, "
                             "{'DC': {'seconds': 15}}).")
        for name, row in rows.items():
            if missing := [heading for heading in columns if heading not in row]:
                raise ValueError(f"The row {name!r} has no {missing[0]!r}: give None where there is no number.")
        self._title, self._columns, self._rows, self._view = title, dict(columns), dict(rows), widgets.HTML()
        self._buttons = widgets.ToggleButtons(options=[GIVEN, *columns], description="sort by",
                                              style={"button_width": "auto", "description_width": "initial"})
        self._buttons.observe(self._update, names="value")
        super().__init__([self._buttons, self._view])
        self._view.value = self.html(GIVEN)

    def order(self, heading=GIVEN):
        """The names of the rows, sorted by a column."""
        names = list(self._rows)
        if heading == GIVEN:
            return names
        there = [name for name in names if self._rows[name][heading] not in (None, [])]
        there.sort(key=lambda name: _number(self._rows[name][heading]), reverse=self._columns[heading])
        return [*there, *(name for name in names if name not in there)]

    def html(self, heading=GIVEN):
        """The table, sorted by a column, as HTML."""
        head = "".join(f"<th scope='col' style='{CELL}right'{self._sorted(one, heading)}>{escape(one)}</th>"
                       for one in self._columns)
        body = "".join(f"<tr><th scope='row' style='{CELL}left'>{escape(name)}</th>"
                       + "".join(f"<td style='{CELL}right'>{_words(self._rows[name][one])}</td>" for one in self._columns)
                       + "</tr>" for name in self.order(heading))
        by = "" if heading == GIVEN else f", sorted by {heading}"
        words = escape(f"{self._title}{by}", quote=True)
        return (f"<div role='region' tabindex='0' aria-label='{words}' style='overflow-x:auto'><table>"
                f"<caption>{words}</caption><thead><tr><td></td>{head}</tr></thead><tbody>{body}</tbody></table></div>")

    def picture(self):
        """The table in the order given, for a notebook without its kernel."""
        lines = [f"{name:26}" + "".join(f"{_words(row[one]):>16}" for one in self._columns) for name, row in self._rows.items()]
        head = f"{'':26}" + "".join(f"{one:>16}" for one in self._columns)
        return _Shown({"text/html": self.html(), "text/plain": "\n".join([self._title, head, *lines])})

    def _sorted(self, one, heading):
        if one != heading:
            return ""
        return f" aria-sort='{'descending' if self._columns[one] else 'ascending'}'"

    def _update(self, change):
        chosen = change["new"]
        first = "" if chosen == GIVEN else f", {'largest' if self._columns[chosen] else 'smallest'} first"
        self._view.value = self.html(chosen) + svg.hidden(f"Sorted: {chosen}{first}")


class _Shown:
    def __init__(self, bundle):
        self._bundle = bundle

    def _repr_mimebundle_(self, **kwargs):
        return self._bundle


def _number(value):
    return statistics.mean(value) if isinstance(value, list) else value


def _words(value):
    """A number as it stands in the table."""
    if value in (None, []):
        return "–"
    if isinstance(value, list) and len(value) > 1:
        return f"{statistics.mean(value):.1f} ± {statistics.stdev(value):.1f}"
    one = _number(value)
    return f"{one:,}" if isinstance(one, int) else f"{one:.1f}" if one >= 0.1 or one == 0 else f"{one:.3f}"
