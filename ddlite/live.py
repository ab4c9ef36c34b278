"""Live panels for notebooks: watch a distillation here; what to play with is in `explore`, pages to turn in `slides`."""

import asyncio
import base64
import contextlib
import html
import io
import signal
import threading
import time
from dataclasses import replace

import ipywidgets as widgets
from IPython.display import display

from ddlite import show, svg
from ddlite.distill import Diverged
from ddlite.explore import Choices, HeldOut, Playground
from ddlite.machinery.arguments import number
from ddlite.stills import Still

__all__ = ["Choices", "HeldOut", "Interrupted", "Panel", "Playground"]

EARLY = (1, 2, 5, 10, 20, 50)  # outer steps that are scored besides the validations, so that the rise is seen
AFTERWARDS = {  # what there is to do in each mode, besides to wait
    "paused": "Go on continues.",
    "stopped": "The cells below use the best set so far. Go on learns further; then run the cells below again.",
    "interrupted": "Run this cell again, or press Go on, to continue.",
    "finished": "", "diverged": "The last good set is in panel.state.best."}


class Interrupted(Exception):
    """The notebook's Interrupt ended the cell. It is shown in one line, and ends Run All, too."""

    def _render_traceback_(self):
        return [str(self)]


class Panel(Still):
    """Watch a distillation: its images, loss, validation score and step sizes, with buttons to pause and to stop.

        panel = Panel(dd.distill(...))
        await panel.run()        # in a cell of its own; Interrupt ends it, running the cell again goes on

    Args:
        states: the generator that `ddlite.distill` returns.
        title: what stands above the panel, and before the sentence that replaces it.
        every: seconds between two pictures, or more where a picture takes long.
        begin: the set that learning begins with, to score it too.
        score: `score(dset)` in percent; where it is given, `begin` and the first few outer steps are scored by it.
        marks: {name: percent or None}, levels to compare the score with.
        view: `view(dset)`, a set whose images are shown in place of the set's own, e.g. the bases they are mixed of.

    `panel.state` is the last `State`; `panel.state.best` the set to keep. Nothing is learned before `run`.
    """

    def __init__(self, states, title="Learning", every=0.5, begin=None, score=None, marks=None, view=None):
        if not hasattr(states, "__next__"):
            raise ValueError(f"A {type(states).__name__} was given: the generator that ddlite.distill(...) returns is needed.")
        self.title, self.every = title, number("every", every, least=0)
        self.state, self.losses, self.scores = None, [], []
        self.drawing_seconds = self._last_drawing = self._seconds = 0.0  # what the panel costs, and learning
        self._states, self._mode, self._running, self._drawn, self._behind = states, "ready", False, 0.0, False
        self._begin, self._score, self._look = begin, score, view
        self._marks = {name: level for name, level in (marks or {}).items() if level is not None}
        self._handle = self._below = None
        self._head, self._view, self._spoken, self._note = (widgets.HTML() for _ in range(4))
        self._toggle = widgets.Button(description="Pause", icon="pause", tooltip="Pause, or go on learning")
        self._stop = widgets.Button(description="Stop", icon="stop", tooltip="End here and keep the best set so far")
        self._toggle.on_click(self._on_toggle)
        self._stop.on_click(lambda _: self._switch("stopped"))
        note = ("If the buttons do nothing, the kernel was restarted: run all cells from the top." if _clicks_arrive() else
                "In this kernel (ipykernel older than 7) clicks arrive only when the cell is over: Interrupt ends it, and "
                "running it again goes on.")
        self._note.value = f"<small>{note}</small>"
        super().__init__([self._head, widgets.HBox([self._toggle, self._stop]), self._note, self._view, self._spoken])
        self._switch("ready")

    async def run(self):
        """Learn until the end, until Stop is pressed, or until the kernel is interrupted (run it again to go on).

        Returns nothing; look at `panel.state`. Raises what the distillation raises, `Diverged` among it, and `Interrupted`.
        """
        self._handle = display(self.view(), raw=True, display_id=True)
        self._behind = False
        await self._learn()
        if self._mode == "interrupted":
            raise Interrupted(f"Interrupted at outer step {self.state.outer_step if self.state else 0}: run this cell again to "
                              "go on.")

    async def _learn(self):
        self._switch("running")
        if self._running:  # by the button, behind an earlier cell
            return
        self._running = True
        try:
            with _interrupts() as interrupted:
                while self._mode in ("running", "paused"):
                    if self._mode == "paused":
                        await asyncio.sleep(0.05)
                    elif not self._advance():
                        self._switch("finished")
                    await asyncio.sleep(0)  # lets the buttons' clicks in
                    if interrupted():
                        self._switch("interrupted")
        except Diverged:
            self._switch("diverged")
            raise
        finally:
            self._running = False
            self._draw()
            self._leave_picture()

    def picture(self):
        return None if self.state is None else show.learning(self._seen(), self.losses, self.scores, self.title, self._marks)

    def _seen(self):
        """The state, with what is to be looked at in the place of its set."""
        state = self.state
        return state if self._look is None else replace(state, _distilled=lambda: self._look(state.distilled))

    def _repr_mimebundle_(self, **kwargs):
        return {"text/plain": "Nothing learned yet."} if self.state is None else super()._repr_mimebundle_()

    def _leave_picture(self):
        """For the saved notebook: the picture in place of the panel at the end, else below it."""
        if self._handle is None or self.state is None:
            return
        if self._mode in ("finished", "diverged"):
            self._handle.update(self.picture())
            if self._below:
                self._below.update({"text/plain": ""}, raw=True)
        elif self._below:
            self._below.update(self.picture())
        else:
            self._below = display(self.picture(), display_id=True)

    def _advance(self):
        if self._score and not self.scores and self._begin is not None:
            self.scores.append((0, self._score(self._begin)))
        began = time.monotonic()
        state = next(self._states, None)
        self._seconds += time.monotonic() - began
        if state is None:
            return False
        self.state = state
        self.losses.append((state.outer_step, state.loss))
        score = state.score
        if score is None and self._score and state.outer_step in EARLY:
            score = self._score(state.distilled)
        if score is not None:
            self.scores.append((state.outer_step, score))
            self._speak()
        # However long a picture takes, drawing stays under a twenty-fifth of the time.
        if time.monotonic() - self._drawn > max(self.every, 25 * self._last_drawing):
            self._draw()
        return True

    def _on_toggle(self, _):
        if self._running:
            self._switch("paused" if self._mode == "running" else "running")
        elif self._mode in ("stopped", "interrupted"):  # the cell is over: go on behind it
            self._behind = True
            self._task = asyncio.ensure_future(self._learn())

    def _switch(self, mode):
        if self._mode in ("finished", "diverged"):
            return
        self._mode = mode
        going = mode in ("ready", "running")
        self._toggle.description, self._toggle.icon = ("Pause", "pause") if going else ("Go on", "play")
        self._toggle.disabled = mode in ("ready", "finished", "diverged")
        self._stop.disabled = mode not in ("running", "paused")
        self._draw()
        self._speak()

    def _speak(self):
        """Tell a screen reader, at changes of mode and at validations alone."""
        score = f", validation score {self.scores[-1][1]:.1f} %" if self.scores else ""
        step = f", outer step {self.state.outer_step} of {self.state.outer_steps}" if self.state else ""
        self._spoken.value = svg.hidden(f"{self._mode}{step}{score}. {AFTERWARDS.get(self._mode, '')}")

    def _draw(self):
        began = time.monotonic()
        self._head.value = f"<b>{html.escape(self.title)}</b><div>{self._where()}</div>"
        if self.state:
            self._view.value = self._content()
        self._drawn = time.monotonic()
        self._last_drawing = self._drawn - began
        self.drawing_seconds += self._last_drawing

    def _where(self):
        """Where the distillation stands, in a line or two."""
        if self.state is None:
            return "Not begun."
        done, steps = self.state.outer_step, self.state.outer_steps
        score = f"{self.scores[-1][1]:.1f} % now, " if self.scores else ""
        seconds = self._seconds / max(1, len(self.losses)) * (steps - done)
        left = f"; about {seconds:.0f} s left" if self._mode == "running" else ""
        again = " Run the cells below again." if self._mode == "finished" and self._behind else ""
        return (f"{self._mode}: outer step {done} of {steps}; loss {self.state.loss:.3f}; validation score {score}"
                f"{self.state.best_score:.1f} % for the set kept so far{left}. {AFTERWARDS.get(self._mode, '')}{again}")

    def _content(self):
        distilled, file = self._seen().distilled, io.BytesIO()
        low, high = show.grey_range(distilled)
        canvas = show.tiles(distilled, (low, high), zoom=1)
        canvas.save(file, "png")
        picture = base64.b64encode(file.getvalue()).decode()
        names = svg.names([distilled.classes[k] for k in show.table(distilled)[1]], len(show.lines_of(distilled)[1][0]))
        # A hundred images are at most half the window high.
        wide = f"width:min(100%,900px,calc(50vh*{canvas.width / canvas.height:.3f}))"
        steps, highest = self.state.outer_steps, 1.25 * max(self.losses[0][1], 1e-9) if self.losses else 1
        score = svg.curve("validation score, %", self.scores, steps, 100, show.ORANGE, self._marks)
        curves = svg.figure("loss on real batches", svg.curve("loss", self.losses, steps, highest))
        curves += svg.figure("validation score, %", score)
        if distilled.step_sizes is not None:
            curves += svg.figure("step sizes", svg.bars("step sizes", distilled.step_sizes.tolist()))
        return (f"{svg.side_by_side(curves)}"
                f"<div style='{wide}'>{names}<img style='width:100%;image-rendering:pixelated' "
                f"alt='The images as they are at outer step {self.state.outer_step}' "
                f"src='data:image/png;base64,{picture}'></div>"
                f"<div>{show.in_words(low, high)}. Loss: {html.escape(self.state.loss_is)}. "
                f"Validation score: {html.escape(self.state.score_is)}.</div>")


def _clicks_arrive():
    """Whether a click reaches a cell that is running: since ipykernel 7."""
    try:
        from ipykernel import version_info
    except ImportError:  # no notebook at all
        return True
    return version_info[0] >= 7


@contextlib.contextmanager
def _interrupts():
    """Collect interrupts (Ctrl-C, the notebook's square button) instead of letting them break a step in the middle."""
    seen = []
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(True))
    try:
        yield lambda: bool(seen)
    finally:
        signal.signal(signal.SIGINT, before)
