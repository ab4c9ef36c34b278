"""A slider that turns pictures like pages."""

import base64
import html

import ipywidgets as widgets

from ddlite.stills import WHOLE, Still, waiting


class Slides(Still):
    """A slider through values, with the picture of each; in the saved notebook, the first one stays.

    Args:
        name: what the slider moves through.
        values: the values to choose from, in order.
        draw: `draw(value)`, a `show.Picture`; called once for each value that is looked at.

    Raises ValueError where there is no value.
    """

    def __init__(self, name, values, draw):
        if not len(values):
            raise ValueError("There is nothing to slide through: at least one value is needed, e.g. values=[1, 2, 3].")
        self._draw, self._known, self._first, self._shown = draw, {}, values[0], ""
        self._slider = widgets.SelectionSlider(options=list(values), description=name, style=WHOLE, continuous_update=False)
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
        self._shown = (f"<img style='max-width:100%' alt='{html.escape(picture.words, quote=True)}' "
                       f"src='data:image/png;base64,{base64.b64encode(picture.png).decode()}'>"
                       f"<p>{html.escape(picture.words)}</p>")
        self._view.value = f"<div role='status'>{self._shown}</div>"
