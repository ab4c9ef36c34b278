"""Live panels for notebooks: watch a distillation, and play with its step sizes. It and `slides` alone know ipywidgets."""

import asyncio
import base64
import contextlib
import html
import io
import signal
import statistics
import threading
import time

import ipywidgets as widgets
from IPython.display import display

from ddlite import show, svg
from ddlite.distill import Diverged
from ddlite.evaluate import evaluate
from ddlite.machinery.arguments import number

WHOLE = {"description_width": "initial"}  # a widget's name is not cut off


class Still(widgets.VBox):
    """A box of widgets that leaves a still picture and a sentence in the saved notebook."""

    def picture(self):
        """The `show.Picture` that stands for the box where there is no kernel."""
        raise NotImplementedError

    def _repr_mimebundle_(self, **kwargs):
        bundle = super()._repr_mimebundle_(**kwargs)
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        picture = self.picture()
        if picture is None:
            return {**data, "text/plain": "Nothing learned yet."}, metadata
        stills, words = picture._repr_mimebundle_()
        return {**data, **stills}, {**metadata, **words}


class Panel(Still):
    """Watch a distillation: its images, loss, validation score and step sizes, with buttons to pause and to stop.

        panel = Panel(dd.distill(...))
        await panel.run()        # in a cell of its own; Interrupt pauses, running the cell again goes on

    Args:
        states: the generator that `ddlite.distill` returns.
        title: what stands above the panel, and before the sentence that replaces it.
        every: seconds between two pictures, or more where a picture takes long.

    `panel.state` is the last `State`; `panel.state.best` the set to keep. Nothing is learned before `run`.
    """

    def __init__(self, states, title="Learning", every=0.5):
        if not hasattr(states, "__next__"):
            raise ValueError(f"A {type(states).__name__} was given: the generator that ddlite.distill(...) returns is needed.")
        self.title, self.every = title, number("every", every, least=0)
        self.state, self.losses, self.scores = None, [], []
        self.drawing_seconds = self._last_drawing = 0.0  # what the panel costs
        self._states, self._mode, self._running, self._drawn = states, "ready", False, 0.0
        self._view = widgets.HTML()
        self._start = widgets.Button(description="Start", icon="play", tooltip="Start or go on learning")
        self._pause = widgets.Button(description="Pause", icon="pause", tooltip="Pause; Start goes on")
        self._stop = widgets.Button(description="Stop", icon="stop", tooltip="End here and keep the best set so far")
        self._start.on_click(self._on_start)
        self._pause.on_click(lambda _: self._switch("paused"))
        self._stop.on_click(lambda _: self._switch("stopped"))
        super().__init__([self._view, widgets.HBox([self._start, self._pause, self._stop])])
        self._switch("ready")

    async def run(self):
        """Learn until the end, until Stop is pressed, or until the kernel is interrupted (run it again to go on).

        Returns nothing; look at `panel.state`. Raises what the distillation raises, `Diverged` among it.
        """
        handle = display(self, display_id=True)
        self._switch("running")
        if self._running:  # by the Start button, behind an earlier cell
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
            if handle is not None:
                handle.update(self)

    def picture(self):
        return None if self.state is None else show.learning(self.state, self.losses, self.scores, self.title)

    def _advance(self):
        state = next(self._states, None)
        if state is None:
            return False
        self.state = state
        self.losses.append((state.outer_step, state.loss))
        if state.score is not None:
            self.scores.append((state.outer_step, state.score))
        # However long a picture takes, drawing stays under a twenty-fifth of the time.
        if time.monotonic() - self._drawn > max(self.every, 25 * self._last_drawing):
            self._draw()
        return True

    def _on_start(self, _):
        if self._running:
            self._switch("running")
        elif self._mode in ("stopped", "interrupted"):  # the cell is over: go on behind it
            self._task = asyncio.ensure_future(self.run())

    def _switch(self, mode):
        if self._mode in ("finished", "diverged"):
            return
        self._mode = mode
        self._start.disabled = mode in ("ready", "running", "finished", "diverged")
        self._pause.disabled = mode != "running"
        self._stop.disabled = mode not in ("running", "paused")
        self._draw()

    def _draw(self):
        began = time.monotonic()
        self._view.value = f"<b>{html.escape(self.title)}</b>" + (self._content() if self.state else "<p>Not begun.</p>")
        self._drawn = time.monotonic()
        self._last_drawing = self._drawn - began
        self.drawing_seconds += self._last_drawing

    def _content(self):
        distilled, file = self.state.distilled, io.BytesIO()
        low, high = show.grey_range(distilled)
        show.tiles(distilled, (low, high), zoom=1).save(file, "png")
        picture = base64.b64encode(file.getvalue()).decode()
        names = svg.names([distilled.classes[k] for k in show.table(distilled)[1]], len(show.lines_of(distilled)[1][0]))
        score = f"{self.scores[-1][1]:.1f} % now, " if self.scores else ""
        return (
            f"<p role='status'>{self._mode}: outer step {self.state.outer_step} of {self.state.outer_steps}; loss "
            f"{self.state.loss:.3f}; validation score {score}best {self.state.best_score:.1f} %</p>"
            f"{names}<img style='width:100%;max-width:900px;image-rendering:pixelated' "
            f"alt='The images as they are at outer step {self.state.outer_step}' src='data:image/png;base64,{picture}'>"
            f"<div>{show.in_words(low, high)} (0 and 1 in the data). Loss: {html.escape(self.state.loss_is)}. "
            f"Validation score: {html.escape(self.state.score_is)}.</div>"
            f"<div style='display:flex;gap:2em;flex-wrap:wrap'>"
            f"{svg.curve('loss', self.losses, 0, None)}{svg.curve('validation score, %', self.scores, 0, 100)}"
            f"{'' if distilled.step_sizes is None else svg.bars('step sizes', distilled.step_sizes.tolist())}</div>")


class Playground(Still):
    """A slider for each step size, and the accuracy that follows at once.

    Args:
        dset: the `DistilledSet` to play with; it is left as it was.
        measure: `measure(dset)`, accuracy in percent, best of validation images; called at each change.
        uses: {name: function from a set to a set}, other ways to use the images, offered in a list.
    """

    def __init__(self, dset, measure, uses=None):
        sizes = show.sizes_of(dset)
        self._dset, self._measure = dset, measure
        self._uses = {"as learned": lambda dset: dset, **(uses or {})}
        self._sliders = [widgets.FloatSlider(value=size, min=0, description=f"step {t}", style=WHOLE, continuous_update=False,
                                             **_range(size, max(sizes))) for t, size in enumerate(sizes, start=1)]
        self._use = widgets.Dropdown(options=list(self._uses), description="used", style=WHOLE)
        self._reset = widgets.Button(description="As learned", icon="undo", tooltip="Put all step sizes back")
        self._result = widgets.HTML()
        self._reset.on_click(self._put_back)
        for control in (*self._sliders, self._use):
            control.observe(self._update, names="value")
        super().__init__([self._result, *self._sliders, widgets.HBox([self._use, self._reset])])
        self._update()

    def chosen(self):
        """The set with the step sizes on the sliders, used as chosen in the list."""
        return self._uses[self._use.value](self._dset.with_step_sizes([slider.value for slider in self._sliders]))

    def picture(self):
        return show.step_sizes(self._dset, f"Step sizes as learned: {self._learned:.1f} % accuracy")

    def _update(self, _=None):
        accuracy = number("what measure(dset) returns", self._measure(self.chosen()))
        if not hasattr(self, "_learned"):
            self._learned = accuracy
        self._result.value = (f"<p role='status'><b style='font-size:150%'>{accuracy:.1f} %</b> accuracy "
                              f"({self._learned:.1f} % as learned)</p>")

    def _put_back(self, _):
        for slider, size in zip(self._sliders, self._dset.step_sizes.tolist()):
            slider.value = size
        self._use.value = "as learned"


class HeldOut(Still):
    """Try a set on networks it has never met: a list of initialisations, a slider for how many, a histogram.

    Args:
        dset: the `DistilledSet`.
        start: `start(init)`, a `RandomStart` with that initialisation.
        inits: the names to choose from; the first is shown first.
        goal: what to score by, e.g. `Fit(data)`; the networks are scored on its test images.
    """

    def __init__(self, dset, start, inits, goal):
        if not len(inits):
            raise ValueError("At least one initialisation to choose from is needed: inits=['xavier-normal'].")
        self._dset, self._start_of, self._goal, self._known = dset, start, goal, {}
        self._init = widgets.Dropdown(options=list(inits), description="initialisation", style=WHOLE)
        self._number = widgets.IntSlider(value=10, min=2, max=50, description="networks", style=WHOLE, continuous_update=False)
        self._result = widgets.HTML()
        for control in (self._init, self._number):
            control.observe(self._update, names="value")
        super().__init__([self._init, self._number, self._result])
        self._update()

    def scores(self):
        """The scores of as many held-out networks as chosen, of the initialisation chosen; each network is trained but once."""
        init, wanted = self._init.value, self._number.value
        known = self._known.setdefault(init, [])
        if wanted > len(known):
            fresh = self._start_of(init).networks("held-out", wanted - len(known), first=len(known))
            if len(fresh) < wanted - len(known):
                raise ValueError(f"start({init!r}) has {len(fresh)} network(s), more are needed: take a RandomStart.")
            known += evaluate(self._dset, fresh, self._goal, self._goal.data.test, [self._dset.passes]).final
        return known[:wanted]

    def picture(self):
        return show.histogram({self._init.value: self.scores()}, words="Held-out networks")

    def _update(self, _=None):
        scores = self.scores()
        self._result.value = (f"<p role='status'><b style='font-size:150%'>{statistics.mean(scores):.1f} ± "
                              f"{statistics.stdev(scores):.1f} %</b> on {len(scores)} held-out networks, {min(scores):.1f} to "
                              f"{max(scores):.1f}</p>{svg.dots('test accuracy, %', scores)}")


class Choices(Still):
    """A list for each of several choices, and the percentages that follow at once.

    Args:
        measure: `measure(**chosen)`, what was chosen from each list by its name, returns {words: percent}.
        choices: {name: list of what can be chosen}; the first of each is chosen to begin with.
        title: the sentence before the numbers of the still picture.
    """

    def __init__(self, measure, choices, title="First choices"):
        self._measure, self._title, self._result, self._known = measure, title, widgets.HTML(), {}
        if not choices or not all(len(options) for options in choices.values()):
            raise ValueError("Something to choose from is needed in each list: choices={'name': [...]}.")
        self._lists = {name: widgets.Dropdown(options=options, description=name, style=WHOLE)
                       for name, options in choices.items()}
        for one in self._lists.values():
            one.observe(self._update, names="value")
        super().__init__([*self._lists.values(), self._result])
        self._first = tuple(one.value for one in self._lists.values())
        self._update()

    def picture(self):
        return show.bars({", ".join(f"{name} {value}" for name, value in zip(self._lists, self._first)):
                          self._known[self._first]}, self._title)

    def _update(self, _=None):
        chosen = {name: one.value for name, one in self._lists.items()}
        key = tuple(chosen.values())
        if key not in self._known:
            self._known[key] = self._measure(**chosen)
        rows = "".join(f"<div>{html.escape(words)}: <b>{percent:.0f} %</b></div><div style='max-width:400px;background:#ddd'>"
                       f"<div style='width:{percent:.0f}%;height:8px;background:{show.BLUE}'></div></div>"
                       for words, percent in self._known[key].items())
        self._result.value = f"<div role='status'>{rows}</div>"


def _range(size, largest):
    """The range of a step size's slider: small steps and a near end for small step sizes, so that one key is no leap."""
    scale = (largest if size == 0 or size > largest / 20 else size) or 0.2  # one scale for all, where it serves all
    if scale >= 0.2:
        return {"max": max(3.0, 2 * size), "step": 0.01, "readout_format": ".2f"}
    return {"max": float(f"{10 * scale:.1g}"), "step": float(f"{scale / 20:.1g}"), "readout_format": ".2g"}


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
