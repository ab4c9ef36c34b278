"""Live panels for notebooks: watch a distillation, and play with its step sizes. The only file that knows ipywidgets."""

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

from ddlite import show
from ddlite.distill import Diverged
from ddlite.evaluate import evaluate


class _Still(widgets.VBox):
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


class Panel(_Still):
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
        self.title, self.every = title, every
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
        names = "".join(f"<span>{html.escape(distilled.classes[k])}</span>" for k in show.table(distilled)[1])
        score = f"{self.scores[-1][1]:.1f} % now, " if self.scores else ""
        return (
            f"<p role='status'>{self._mode}: outer step {self.state.outer_step} of {self.state.outer_steps}; loss "
            f"{self.state.loss:.3f}; validation score {score}best {self.state.best_score:.1f} %</p>"
            f"<div style='display:flex;justify-content:space-around;max-width:900px'>{names}</div>"
            f"<img style='width:100%;max-width:900px;image-rendering:pixelated' "
            f"alt='The images as they are at outer step {self.state.outer_step}' src='data:image/png;base64,{picture}'>"
            f"<div>black = grey level {low:.2f}, white = {high:.2f} (0 and 1 in the data)</div>"
            f"<div style='display:flex;gap:2em;flex-wrap:wrap'>"
            f"{_curve('loss', self.losses, 0, None)}{_curve('validation score, %', self.scores, 0, 100)}"
            f"{_bars('step sizes', distilled.step_sizes.tolist())}</div>")


class Playground(_Still):
    """A slider for each step size, and the accuracy that follows at once.

    Args:
        dset: the `DistilledSet` to play with; it is left as it was.
        measure: `measure(dset)`, accuracy in percent, best of validation images; called at each change.
        uses: {name: function from a set to a set}, other ways to use the images, offered in a list.
    """

    def __init__(self, dset, measure, uses=None):
        self._dset, self._measure = dset, measure
        self._uses = {"as learned": lambda dset: dset, **(uses or {})}
        self._sliders = [widgets.FloatSlider(value=size, min=0, max=max(3.0, 2 * size), step=0.01, description=f"step {t}",
                                             continuous_update=False, readout_format=".2f")
                         for t, size in enumerate(dset.step_sizes.tolist(), start=1)]
        self._use = widgets.Dropdown(options=list(self._uses), description="used")
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
        accuracy = self._measure(self.chosen())
        if not hasattr(self, "_learned"):
            self._learned = accuracy
        self._result.value = (f"<p role='status'><b style='font-size:150%'>{accuracy:.1f} %</b> accuracy "
                              f"({self._learned:.1f} % as learned)</p>")

    def _put_back(self, _):
        for slider, size in zip(self._sliders, self._dset.step_sizes.tolist()):
            slider.value = size
        self._use.value = "as learned"


class HeldOut(_Still):
    """Try a set on networks it has never met: a list of initialisations, a slider for how many, a histogram.

    Args:
        dset: the `DistilledSet`.
        start: `start(init)`, a `RandomStart` with that initialisation.
        inits: the names to choose from; the first is shown first.
        goal: what to score by, e.g. `Fit(data)`; the networks are scored on its test images.
    """

    def __init__(self, dset, start, inits, goal):
        self._dset, self._start_of, self._goal, self._known = dset, start, goal, {}
        self._init = widgets.Dropdown(options=list(inits), description="initialisation", style={"description_width": "initial"})
        self._number = widgets.IntSlider(value=10, min=2, max=50, description="networks", continuous_update=False)
        self._result = widgets.HTML()
        for control in (self._init, self._number):
            control.observe(self._update, names="value")
        super().__init__([self._init, self._number, self._result])
        self._update()

    def scores(self):
        """The scores of as many held-out networks as chosen, of the initialisation chosen; each network is trained but once."""
        init, number = self._init.value, self._number.value
        known = self._known.setdefault(init, [])
        if number > len(known):
            fresh = self._start_of(init).networks("held-out", number - len(known), first=len(known))
            known += evaluate(self._dset, fresh, self._goal, self._goal.data.test, [self._dset.passes]).final
        return known[:number]

    def picture(self):
        return show.histogram({self._init.value: self.scores()}, words="Held-out networks")

    def _update(self, _=None):
        scores = self.scores()
        self._result.value = (f"<p role='status'><b style='font-size:150%'>{statistics.mean(scores):.1f} ± "
                              f"{statistics.stdev(scores):.1f} %</b> on {len(scores)} held-out networks, {min(scores):.1f} to "
                              f"{max(scores):.1f}</p>{_dots('test accuracy, %', scores)}")


class Choices(_Still):
    """A list for each of several choices, and the percentages that follow at once.

    Args:
        measure: `measure(**chosen)`, what was chosen from each list by its name, returns {words: percent}.
        choices: {name: list of what can be chosen}; the first of each is chosen to begin with.
        title: the sentence before the numbers of the still picture.
    """

    def __init__(self, measure, choices, title="First choices"):
        self._measure, self._title, self._result, self._known = measure, title, widgets.HTML(), {}
        self._lists = {name: widgets.Dropdown(options=options, description=name) for name, options in choices.items()}
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


def _curve(title, points, low, high, width=260, height=90):
    if len(points) < 2:
        return ""
    points = points[:: max(1, len(points) // 200)] + points[-1:]
    high = max(y for _, y in points) if high is None else high
    scale = height / max(high - low, 1e-9)
    path = " ".join(f"{width * x / points[-1][0]:.1f},{height - (min(y, high) - low) * scale:.1f}" for x, y in points)
    return (f"<svg role='img' aria-label='{title}: now {points[-1][1]:.3g}' width='{width}' height='{height + 20}'>"
            f"<text x='0' y='12' font-size='12' fill='currentColor'>{title} (0 to {high:.3g})</text>"
            f"<g transform='translate(0,18)'><path d='M0 0V{height}H{width}' fill='none' stroke='currentColor' "
            f"stroke-width='0.5'/><polyline points='{path}' fill='none' stroke='{show.BLUE}' stroke-width='1.5'/></g></svg>")


def _dots(title, values, width=500):
    places = "".join(f"<circle cx='{width * value / 100:.1f}' cy='{12 + 7 * (k % 4)}' r='3' fill='{show.BLUE}' "
                     f"fill-opacity='0.6'/>" for k, value in enumerate(values))
    ticks = "".join(f"<text x='{width * tick / 100}' y='56' font-size='11' text-anchor='middle' fill='currentColor'>"
                    f"{tick}</text>" for tick in range(0, 101, 20))
    return (f"<svg role='img' aria-label='{title}: one dot for each network' width='{width + 30}' height='62' "
            f"viewBox='-15 0 {width + 30} 62'><path d='M0 42H{width}' stroke='currentColor' stroke-width='0.5'/>{places}{ticks}"
            "</svg>")


def _bars(title, values, width=260, height=90):
    each, highest = width / len(values), max(values)
    bars = "".join(f"<rect x='{k * each:.1f}' width='{each * 0.8:.1f}' y='{height * (1 - v / highest):.1f}' "
                   f"height='{height * v / highest:.1f}' fill='{show.BLUE}'/>" for k, v in enumerate(values))
    numbers = ", ".join(f"{value:.2g}" for value in values[:10])
    return (f"<svg role='img' aria-label='{title}: {numbers}' width='{width}' height='{height + 20}'>"
            f"<text x='0' y='12' font-size='12' fill='currentColor'>{title} (0 to {highest:.2g})</text>"
            f"<g transform='translate(0,18)'>{bars}</g></svg>")
