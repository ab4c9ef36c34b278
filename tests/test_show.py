"""Pictures and panels of unusual sets: many classes, small step sizes, odd names, dark pictures, other shapes."""

import io
import itertools
import math
import re
import warnings
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from conftest import made_up
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

import ddlite as dd
from ddlite import live, scatter, show

NASTY = ("<script>alert(1)</script>", "$a_b$", "_hidden", "a & 'b'", "$\\frac{", "x" * 60)


@pytest.fixture(autouse=True)
def no_warnings():
    """Matplotlib warns where a picture has no room."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def size(picture):
    with Image.open(io.BytesIO(picture.png)) as image:
        return image.size


def many(classes=200, names=None, shape=(1, 12, 10)):
    names = names or [f"species {k:03}" for k in range(classes)]
    return made_up(shape, classes, 12 * classes, names=names)


def state_of(dset, **changes):
    about = {"outer_step": 2, "outer_steps": 2, "loss": 0.5, "loss_is": "cross-entropy", "score_is": "accuracy, %",
             "score": 50.0, "best_score": 50.0, "distilled": dset, "best": dset, **changes}
    return SimpleNamespace(**about)


def test_two_hundred_classes_stand_in_lines_with_a_name_below_each():
    dset = dd.DistilledSet.noise(many())
    pictures, labels = show.lines_of(dset)
    assert pictures.shape == (17, 12, 1, 12, 10) and [*itertools.chain(*labels[:17])][:200] == list(range(200))
    assert torch.equal(pictures[3, 5], dset.images[0, 41]) and pictures[-1, -1].isnan().all() and labels[16][-1] is None
    picture = show.images(dset)
    width, height = size(picture)
    assert width / 12 > 60 and height > width and "1 x 200 images, labelled species 000" in picture.words
    assert len(picture.words) < 300 and len(show.learning(state_of(dset), [(1, 1.0)], []).png) > 1000


def test_more_than_can_be_drawn_is_said():
    words = show.images(dd.DistilledSet.noise(many(), batches=5)).words
    assert "the first 30 of 85 lines" in words
    assert "lines" not in show.images(dd.DistilledSet.noise(made_up((1, 8, 8)), batches=30)).words
    assert "the first 30 of 100 lines" in show.images(dd.DistilledSet.noise(made_up((1, 8, 8)), batches=100)).words


@pytest.mark.parametrize("shape", [(1, 8, 40), (3, 40, 8), (1, 24, 24), (3, 9, 16)])
def test_pictures_of_every_shape(shape):
    for batches in (1, 3):
        dset = dd.DistilledSet.noise(made_up(shape, 3, 60), batches=batches, images_per_class_and_batch=2)
        assert max(size(show.images(dset))) < 3000 and max(size(show.learning(state_of(dset), [(1, 1.0)], [(1, 50.0)]))) < 3000
        assert show.tiles(dset, zoom=1).size == (3 * (shape[2] + 2) - 2, 2 * batches * (shape[1] + 2) - 2)


def test_names_that_matplotlib_or_html_would_misread():
    dset = dd.DistilledSet.noise(made_up((1, 8, 8), 6, 120, names=NASTY))
    show.images(dset, "$x$ <b>")
    show.images(dd.DistilledSet.noise(many(30, [f"{NASTY[k % 6]} {k}" for k in range(30)])))
    show.learning(state_of(dset, loss_is="$x", score_is="<b> $y$"), [(1, -1.0), (2, 1.0)], [])
    curves = {name: [(1, 2.0), (10, 3.0)] for name in NASTY}
    show.lines(curves, "$x", "y$", "words", log=True)
    show.histogram({name: [10.0, 20.0] for name in NASTY})
    show.bars({name: {other: 5.0 for other in NASTY} for name in NASTY}, "words")
    scatter.scatter({"learned": {name: (k + 1, 50.0) for k, name in enumerate(NASTY)}}, "x", "y", "words")
    panel = live.Panel(iter(()), "<i>title</i>")
    panel.state = state_of(dset, loss_is="<u>loss</u>", score_is="<u>score</u>")
    panel._draw()
    for markup in ("<script", "<i>", "<u>"):
        assert markup not in panel._view.value
    assert "&lt;script&gt;" in panel._view.value
    chosen = live.Choices(lambda which: {"<u>right</u>": 50.0}, {"which": list(NASTY)})
    assert "<u>" not in chosen._result.value


def test_no_name_of_a_mark_covers_another_one():
    """Marks that lie close together, two of them in one place and one in each corner: no name on another, nor on a mark."""
    figure = Figure(figsize=(7, 4))
    axis = figure.subplots()
    points = [("first", (1, 90)), ("second", (1.1, 90)), ("the same place", (1.1, 90)), ("third", (1.2, 88)),
              ("low", (1, 10)), ("high", (9, 100)), ("a longer name", (9, 10)), ("last", (8.9, 12))]
    axis.plot(*zip(*[point for _, point in points]), "o")
    axis.margins(0.12)
    axis.autoscale_view()
    renderer = FigureCanvasAgg(figure).get_renderer()
    boxes = [text.get_window_extent(renderer) for text in scatter.write_names(axis, points)]
    marks = axis.transData.transform([point for _, point in points])
    for k, box in enumerate(boxes):
        assert not box.count_contains(marks) and not any(box.overlaps(other) for other in boxes[:k]), points[k]
        assert axis.get_window_extent(renderer).containsx(box.x1) and axis.get_window_extent(renderer).containsy(box.y1)
    for groups in ({}, {"learned": {}}, {str(k): {"a": (1, 2)} for k in range(5)}):
        with pytest.raises(ValueError, match="1 to 4 are told apart"):
            scatter.scatter(groups, "x", "y", "words")


def test_a_panel_of_two_hundred_classes_folds_their_names():
    panel = live.Panel(iter(()))
    panel.state = state_of(dd.DistilledSet.noise(many()))
    panel._draw()
    assert "<details" in panel._view.value and "200 images, 12 in a line: species 000 to species 199" in panel._view.value
    panel.state = state_of(dd.DistilledSet.noise(made_up()))
    panel._draw()
    assert "<details" not in panel._view.value and "<span title='9'" in panel._view.value


def test_no_curve_and_no_measure_is_left_out():
    """The seventh curve and the fourth measure were dropped without a word."""
    drawn, kept = [], show.Picture
    show.Picture = lambda figure, *words: drawn.append(figure)
    try:
        show.lines({f"curve {k}": [(0, k), (1, k)] for k in range(40)}, "x", "y", "words")
        show.bars({"row": {f"measure {k}": 5.0 * k for k in range(7)}}, "words")
    finally:
        show.Picture = kept
    lines, bars = drawn
    assert isinstance(lines, Figure) and len(lines.axes[0].lines) == len(lines.axes[0].get_legend().get_texts()) == 40
    assert len(bars.axes[0].containers) == len(bars.axes[0].get_legend().get_texts()) == 7


@pytest.mark.parametrize("draw", [lambda: show.lines({}, "x", "y", "w"), lambda: show.lines({"a": []}, "x", "y", "w"),
                                  lambda: show.histogram({}), lambda: show.histogram({"a": []}), lambda: show.bars({}, "w"),
                                  lambda: show.bars({"a": {}}, "w")])
def test_nothing_to_draw_is_said(draw):
    with pytest.raises(ValueError, match="to draw: at least one name with numbers"):
        draw()


def test_spread_is_drawn_wherever_there_are_several_numbers():
    """The bars reach one standard deviation to each side of the mean, and the words say so."""
    drawn, kept = [], show.Picture
    show.Picture = lambda figure, words, *caption: drawn.append((figure.axes[0], words)) or kept(figure, words, *caption)
    try:
        show.lines({"a": [(0, [10.0, 20.0, 30.0]), (1, 40.0)], "b": [(0, 1.0), (1, 2.0)]}, "x", "y", "words")
        show.bars({"one": {"m": [10.0, 20.0, 30.0]}, "two": {"m": [50.0]}, "three": {"m": 60.0}}, "words")
    finally:
        show.Picture = kept
    (lines, _), (bars, words) = drawn
    [first, second] = [container.lines[2] for container in lines.containers]
    assert first[0].get_segments()[0][:, 1].tolist() == [10.0, 30.0] and not second
    assert lines.lines[0].get_ydata().tolist() == [20.0, 40.0]
    [barred] = [container for container in bars.containers if hasattr(container, "errorbar")]
    reach = barred.errorbar.lines[2][0].get_segments()
    assert [segment[:, 0].tolist() for segment in reach] == [[10.0, 30.0], [50.0, 50.0], [60.0, 60.0]]
    assert words == "words: one: m 20.0 ± 10.0 %; two: m 50 %; three: m 60 %."


def test_a_caption_is_not_cut_at_its_own_colon():
    words = "Protocol B: two sets"
    for picture in (show.bars({"a": {"x": 1.0}}, words), show.histogram({"a": [1.0]}, words=words)):
        assert picture.caption == f"{words}." and picture.words.startswith(f"{words}: a: ")


def test_batches_are_named_as_they_are_told():
    drawn, kept = [], show.Picture
    show.Picture = lambda figure, *words: drawn.append([name.get_text() for name in figure.axes[0].get_yticklabels()])
    try:
        show.images(dd.DistilledSet.noise(made_up((1, 8, 8)), batches=2))
        show.images(dd.DistilledSet.noise(made_up((1, 8, 8)), batches=2), batches=["batch 1", "batch 10"])
    finally:
        show.Picture = kept
    assert drawn == [["batch 1", "batch 2"], ["batch 1", "batch 10"]]


def test_rows_with_other_measures_are_named():
    with pytest.raises(ValueError, match="Row 'b' has other measures"):
        show.bars({"a": {"x": 1.0}, "b": {"y": 1.0}}, "words")


@pytest.mark.parametrize("brightest", [1, 1 / 255, 1e-6, 1e-12])
def test_black_and_white_of_dark_pictures_differ(brightest):
    images, labels = np.random.default_rng(0).random((60, 8, 8)) * brightest, np.arange(60) % 3
    dset = dd.DistilledSet.noise(dd.from_arrays(images, labels, images, labels, name="dark"))
    low, high = show.grey_range(dset)
    assert 0.8 * brightest < high - low < 1.8 * brightest
    black, white = re.findall(r"(\S+) or (?:less|more)", show.in_words(low, high))
    assert float(white) > float(black) and show.tiles(dset).getextrema()[0] == (0, 255)
    show.images(dset)


def test_all_step_sizes_zero():
    dset = dd.DistilledSet.noise(made_up((1, 8, 8), 3, 60)).with_step_sizes(0.0)
    assert "0, 0, 0" in show.step_sizes(dset).words
    show.learning(state_of(dset), [(1, 0.0)], [(1, 0.0)])
    panel = live.Panel(iter(()))
    panel.state, panel.losses = state_of(dset), [(1, 0.0), (2, 0.0)]
    panel._draw()
    assert "step sizes: 0, 0, 0" in panel._view.value
    ground = live.Playground(dset, lambda dset: 10.0)
    assert all(slider.step > 0 and slider.max > 0 for slider in ground._sliders)


@pytest.mark.parametrize("step_size", [1e-6, 0.001, 0.0137, 0.02, 0.1, 1.9, 30.0])
def test_sliders_are_logarithmic_around_the_learned_step_size(step_size):
    """The learned value in the middle, a tenth and ten times as much at the ends, and a key that moves it by a twentieth."""
    dset = dd.DistilledSet.noise(made_up((1, 8, 8), 3, 60), passes=2).with_step_sizes([step_size, 0.0])
    ground = live.Playground(dset, lambda dset: 50.0)
    learned, zero = ground._sliders
    middle = math.log10(step_size)
    assert (learned.min, learned.max) == pytest.approx((middle - 1, middle + 1), abs=1e-6)
    assert 10**learned.step == pytest.approx(1.05, abs=0.01) and learned.value == pytest.approx(step_size)
    assert zero.min == zero.value == 0 and zero.max == pytest.approx(10 * step_size)
    for slider in ground._sliders:
        assert slider.description.startswith("step ") and slider.layout.width == "100%"
    assert ground.chosen().step_sizes[0] == pytest.approx(step_size)


def test_a_set_that_only_a_recipe_applies():
    data = made_up((1, 8, 8), 3, 60)
    images, labels = dd.DistilledSet.noise(data).examples()
    dset = dd.DistilledSet.from_tensors(images, labels, data)
    show.images(dset)
    assert "step sizes" not in show.learning(state_of(dset), [(1, 1.0)], []).words
    panel = live.Panel(iter(()))
    panel.state = state_of(dset)
    panel._draw()
    for refused in (lambda: show.step_sizes(dset), lambda: live.Playground(dset, lambda dset: 50.0)):
        with pytest.raises(ValueError, match="applied by its recipe"):
            refused()


def test_panels_refuse_in_words(tiny):
    dset = dd.DistilledSet.noise(tiny)
    network = dd.initialise(dd.MLP(tiny.shape, 3), 0)
    for make, words in ((lambda: live.Panel([]), "A list was given: the generator"),
                        (lambda: live.Panel(iter(()), every=-1), "every=-1"),
                        (lambda: live.Playground(dset, lambda dset: None), r"what measure\(dset\) returns=None"),
                        (lambda: live.HeldOut(dset, lambda _: dd.FixedStart(network), ["one"], dd.Fit(tiny)), "a RandomStart"),
                        (lambda: live.Choices(dict, {}), "Something to choose from"),
                        (lambda: live.Choices(dict, {"a": []}), "Something to choose from")):
        with pytest.raises(ValueError, match=words):
            make()
