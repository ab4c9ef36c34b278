"""What all panels share: a still picture for the saved notebook, and work that lets newer requests in."""

import asyncio
from html import escape

import ipywidgets as widgets
from IPython.display import Javascript, display

WHOLE = {"description_width": "initial"}  # a widget's name is not cut off
BROAD = {"width": "100%"}
VIEW = "application/vnd.jupyter.widget-view+json"
# ipywidgets gives its sliders neither a name that a screen reader says nor, where they are logarithmic, the value in words.
SPOKEN = Javascript("""
if (!window.ddliteSpeaks) {
  window.ddliteSpeaks = new MutationObserver(() => document.querySelectorAll('.widget-slider').forEach(row => {
    const handle = row.querySelector('.noUi-handle'), name = row.querySelector('label');
    const value = row.querySelector('.widget-readout');
    const set = (what, words) => words && handle.getAttribute(what) !== words && handle.setAttribute(what, words);
    if (handle) { set('aria-label', name && name.textContent); set('aria-valuetext', value && value.textContent); }
  }));
  window.ddliteSpeaks.observe(document.body, {subtree: true, childList: true, attributeFilter: ['aria-valuetext']});
}""")


class Still(widgets.VBox):
    """A box of widgets that stands below a still picture of its own, which is what a saved notebook shows."""

    def __init__(self, children):
        super().__init__(children)
        self._asked = 0

    def picture(self):
        """The `show.Picture` that stands for the box where there is no kernel; None where there is nothing yet."""
        raise NotImplementedError

    def view(self):
        """What a notebook needs to show the box itself: a bundle to be displayed raw."""
        bundle = super()._repr_mimebundle_()
        data = bundle[0] if isinstance(bundle, tuple) else bundle
        return {VIEW: data[VIEW], "text/plain": "Buttons and sliders, for a running kernel."}

    def _repr_mimebundle_(self, **kwargs):
        return self.picture()._repr_mimebundle_()

    def _ipython_display_(self):
        display(self.picture())
        display(self.view(), raw=True)
        display(SPOKEN)

    def work(self, steps, say):
        """Go through a generator of words, a step at a time, and tell them; what is asked for later ends what is still at work.

        In a notebook other messages get in between two steps. Elsewhere it is done when this returns.
        """
        self._asked += 1
        asked = self._asked
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            for _ in steps:
                pass
            return

        async def go():
            try:
                while asked == self._asked and (words := next(steps, None)) is not None:
                    say(words)
                    await asyncio.sleep(0.01)
            except Exception as cause:
                say(f"{type(cause).__name__}: {cause}")
                raise

        say("computing")  # at once: never an old number under a new name
        self._task = loop.create_task(go())


def waiting(old, words):
    """An old result in grey, and what is being done about it."""
    return f"<div><div style='opacity:0.4'>{old}</div><div>{escape(words)} …</div></div>"
