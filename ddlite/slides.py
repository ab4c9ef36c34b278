"""A slider that turns pictures like pages."""

import base64
import html

import ipywidgets as widgets

from ddlite.stills import BROAD, WHOLE, Still, waiting


class Slides(Still):
    """A slider through values, with the picture of each; in the saved notebook stays the one that it begins with.

    Args:
        name: what the slider moves through.
        values: the values to choose from, in order.
        draw: `draw(value)`, a `show.Picture`; called once for each value that is looked at.
        begin: which of the values it begins with, by default the first.

    Raises ValueError where there is no value, and for one to begin with that is not among them.
    """

    def __init__(self, name, values, draw, begin=None):
        if not len(values):
            raise ValueError("There is nothing to slide through: at least one value is needed, e.g. values=[1, 2, 3].")
        if begin is not None and begin not in values:
            raise ValueError(f"begin={begin!r} is not among the values, {', '.join(map(str, values))}: give one of them.")
        self._draw, self._known, self._first, self._shown = draw, {}, values[0] if begin is None else begin, ""
        self._slider = widgets.SelectionSlider(options=list(values), value=self._first, description=name, style=WHOLE,
                                                layout=BROAD, continuous_update=False)
        self._view = widgets.HTML()
        self._slider.observe(self._update, names="value")
        super().__init__([self._slider, self._view])
        for _ in self._steps():
            pass

    def of(self, value):
        """The picture of a value."""
        if value not in self._known:
            self._known[value] = self._draw(value)
        return self._known[value]

    def picture(self):
        return self.of(self._first)

    def _update(self, _=None):
        self.work(self._steps(), lambda words: setattr(self._view, "value", waiting(self._shown, words)))

    def _steps(self):
        value = self._slider.value
        if value not in self._known:
            yield "drawing"
        picture = self.of(value)
        # The sentence below says what is to be seen: as the picture's alt text, too, it would be read aloud twice.
        self._shown = ("<img style='max-width:100%' alt='' "
                       f"src='data:image/png;base64,{base64.b64encode(picture.png).decode()}'>"
                       f"<p>{html.escape(picture.words)}</p>")
        self._view.value = f"<div role='status'>{self._shown}</div>"
