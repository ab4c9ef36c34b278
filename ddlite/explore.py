"""Panels to play with: step sizes, networks that a set has never met, choices from lists."""

import html
import itertools
import math
import statistics

import ipywidgets as widgets

from ddlite import show, svg
from ddlite.evaluate import evaluate
from ddlite.machinery.arguments import number
from ddlite.stills import BROAD, WHOLE, Still, waiting

MARK = ("<style>.ddlite-learned .noUi-base::before {content: ''; position: absolute; left: calc(50% - 1px); top: -7px; "
        f"width: 2px; height: 18px; background: {show.INK}}}</style>")


class Playground(Still):
    """A slider for each step size, and the accuracy that follows at once.

    Args:
        dset: the `DistilledSet` to play with; it is left as it was.
        measure: `measure(dset)`, accuracy in percent, best of validation images; called at each change.
        uses: {name: function from a set to a set}, other ways to use the images, offered in a list.
    """

    def __init__(self, dset, measure, uses=None):
        sizes = show.sizes_of(dset)
        self._dset, self._measure, self._quiet, self._words = dset, measure, False, ""
        self._uses = {"as learned": lambda dset: dset, **(uses or {})}
        self._sliders = [_slider(t, size, max(sizes)) for t, size in enumerate(sizes, start=1)]
        self._use = widgets.Dropdown(options=list(self._uses), description="used", style=WHOLE)
        self._reset = widgets.Button(description="As learned", icon="undo", tooltip="Put all step sizes back")
        self._result = widgets.HTML()
        learned = ", ".join(f"{size:.2g}" for size in sizes)
        scale = widgets.HTML(f"{MARK}<div>The line in the middle of each slider is the step size as learned. At its ends: a "
                             f"tenth of it, and ten times as much. Learned: {learned}.</div>")
        self._reset.on_click(self._put_back)
        for control in (*self._sliders, self._use):
            control.observe(self._update, names="value")
        super().__init__([self._result, *self._sliders, scale, widgets.HBox([self._use, self._reset])])
        for _ in self._steps():
            pass

    def chosen(self):
        """The set with the step sizes on the sliders, used as chosen in the list."""
        return self._uses[self._use.value](self._dset.with_step_sizes([slider.value for slider in self._sliders]))

    def picture(self):
        return show.step_sizes(self._dset, f"Step sizes as learned: {self._learned:.1f} % accuracy")

    def _update(self, _=None):
        if not self._quiet:
            self.work(self._steps(), lambda words: setattr(self._result, "value", waiting(self._words, words)))

    def _steps(self):
        yield "computing"
        accuracy = number("what measure(dset) returns", self._measure(self.chosen()))
        if not hasattr(self, "_learned"):
            self._learned = accuracy
        self._words = f"<b style='font-size:150%'>{accuracy:.1f} %</b> accuracy ({self._learned:.1f} % as learned)"
        self._result.value = f"<p role='status'>{self._words}</p>"

    def _put_back(self, _):
        self._quiet = True
        for slider, size in zip(self._sliders, self._dset.step_sizes.tolist()):
            slider.value = size
        self._use.value = "as learned"
        self._quiet = False
        self._update()


class HeldOut(Still):
    """Try a set on networks it has never met: a list of initialisations, a slider for how many, a dot for each.

    Args:
        dset: the `DistilledSet`.
        start: `start(init)`, a `RandomStart` with that initialisation.
        inits: the names to choose from; the first is shown first.
        goal: what to score by, e.g. `Fit(data)`; the networks are scored on its test images.
    """

    def __init__(self, dset, start, inits, goal):
        if not len(inits):
            raise ValueError("At least one initialisation to choose from is needed: inits=['xavier-normal'].")
        self._dset, self._start_of, self._goal, self._known, self._words = dset, start, goal, {}, ""
        self._init = widgets.Dropdown(options=list(inits), description="initialisation", style=WHOLE)
        self._number = widgets.IntSlider(value=10, min=2, max=50, description="networks", style=WHOLE, layout=BROAD,
                                         continuous_update=False)
        self._result = widgets.HTML()
        for control in (self._init, self._number):
            control.observe(self._update, names="value")
        super().__init__([self._init, self._number, self._result])
        for _ in self._steps():
            pass

    def scores(self):
        """The scores of the held-out networks, as many as chosen, of the initialisation chosen; each is trained only once."""
        for _ in self._measuring():
            pass
        return self._known[self._init.value][:self._number.value]

    def picture(self):
        return show.histogram({self._init.value: self.scores()}, words="Held-out networks")

    def _update(self, _=None):
        self.work(self._steps(), lambda words: setattr(self._result, "value", waiting(self._words, words)))

    def _measuring(self):
        init, wanted = self._init.value, self._number.value
        known = self._known.setdefault(init, [])
        if wanted > len(known):
            fresh = self._start_of(init).networks("held-out", wanted - len(known), first=len(known))
            if len(fresh) < wanted - len(known):
                raise ValueError(f"start({init!r}) has {len(fresh)} network(s), more are needed: take a RandomStart.")
            for k in range(len(fresh)):
                yield f"{init}: computing {len(known) + 1} of {wanted}"
                one = evaluate(self._dset, fresh[k:k + 1], self._goal, self._goal.data.test, [self._dset.passes])
                known += one.final

    def _steps(self):
        yield from self._measuring()
        init, scores = self._init.value, self.scores()
        self._words = (f"<b style='font-size:150%'>{statistics.mean(scores):.1f} ± {statistics.stdev(scores):.1f} %</b> "
                       f"on {len(scores)} held-out networks ({html.escape(init)}), {min(scores):.1f} to {max(scores):.1f}")
        self._result.value = f"<p role='status'>{self._words}</p>{svg.dots('test accuracy, %', scores)}"


class Choices(Still):
    """A list for each of several choices, and the percentages that follow at once.

    Args:
        measure: `measure(**chosen)`, what was chosen from each list by its name, returns {words: percent}.
        choices: {name: list of what can be chosen}; the first of each is chosen to begin with.
        title: the sentence before the numbers of the still picture.
    """

    def __init__(self, measure, choices, title="First choices"):
        self._measure, self._title, self._result, self._known, self._words = measure, title, widgets.HTML(), {}, ""
        if not choices or not all(len(options) for options in choices.values()):
            raise ValueError("Something to choose from is needed in each list: choices={'name': [...]}.")
        self._lists = {name: widgets.Dropdown(options=options, description=name, style=WHOLE)
                       for name, options in choices.items()}
        for one in self._lists.values():
            one.observe(self._update, names="value")
        super().__init__([*self._lists.values(), self._result])
        self._first = tuple(one.value for one in self._lists.values())
        for _ in self._steps():
            pass

    def picture(self):
        return show.bars({", ".join(f"{name} {value}" for name, value in zip(self._lists, self._first)):
                          self._known[self._first]}, self._title)

    def _update(self, _=None):
        self.work(self._steps(), lambda words: setattr(self._result, "value", waiting(self._words, words)))

    def _steps(self):
        chosen = {name: one.value for name, one in self._lists.items()}
        key = tuple(chosen.values())
        if key not in self._known:
            yield "computing"
            self._known[key] = self._measure(**chosen)
        self._words = "".join(
            f"<div>{html.escape(words)}: <b>{percent:.0f} %</b></div><div style='max-width:400px;border:1px solid {show.INK}'>"
            f"<div style='width:{percent:.0f}%;height:8px;background:{colour}'></div></div>"
            for (words, percent), colour in zip(self._known[key].items(), itertools.cycle(show.COLOURS)))  # as in the still
        self._result.value = f"<div role='status'>{self._words}</div>"


def _slider(t, size, largest):
    """A slider for step t, logarithmic around its size: that is in its middle. (One of size 0 counts from 0, evenly.)"""
    look = {"description": f"step {t}", "style": WHOLE, "layout": BROAD, "continuous_update": False, "readout_format": ".2g"}
    if size > 0:
        middle = math.log10(size)
        slider = widgets.FloatLogSlider(value=size, base=10, min=middle - 1, max=middle + 1, step=0.02, **look)
        return slider.add_class("ddlite-learned")
    most = 10 * largest or 1.0
    return widgets.FloatSlider(value=0, min=0, max=most, step=most / 100, **look)
