"""The panel: it shows what is, pauses, resumes, stops, costs little, and leaves a still picture."""

import asyncio
import os
import re
import signal
import time

import pytest
from conftest import ROOT, made_up

import ddlite as dd
from ddlite import live, show, slides, sortable


def states(outer_steps=8, **options):
    data = made_up(n=240)
    start, goal = dd.FixedStart(dd.initialise(dd.LeNet(), 0)), dd.Fit(data)
    noise = dd.DistilledSet.noise(data, passes=2, step_size=0.1)
    return dd.distill(noise, start, goal, outer_steps, validate_every=4, **options)


def test_it_runs_to_the_end_and_leaves_a_picture():
    panel = live.Panel(states(), "Ten images")
    assert "image/png" not in panel._repr_mimebundle_() and "Not begun" in panel._head.value
    asyncio.run(panel.run())
    data, metadata = panel._repr_mimebundle_()
    assert panel.state.outer_step == 8 and len(panel.losses) == 8 and len(panel.scores) == 2
    assert data["image/png"].startswith("iVBOR") and "outer step 8 of 8" in data["text/plain"]
    assert metadata["image/png"]["alt"] == data["text/plain"] and "finished: outer step 8 of 8" in panel._head.value
    figure = data["text/html"]
    assert f'alt="{data["text/plain"]}"' in figure and "<figcaption>Ten images, outer step 8 of 8" in figure
    assert "alt='The images" in panel._view.value and panel._toggle.disabled and panel._stop.disabled
    assert not any("widget" in kind for kind in data), "a widget that is reopened without its kernel is an error"


def test_another_set_can_be_looked_at():
    seen = []

    def halves(dset):
        seen.append(dset)
        return dd.DistilledSet.real(made_up(n=240), passes=2, step_size=0.1)

    panel = live.Panel(states(4), "Something else", view=halves)
    asyncio.run(panel.run())
    assert panel.state.best.goal == "fit" and seen and all(dset.goal == "fit" for dset in seen)  # what is kept is what learned
    other, own = panel.picture(), show.learning(panel.state, panel.losses, panel.scores, "Something else")
    assert other.png != own.png and "outer step 4 of 4" in other.words


def test_pause_resume_and_stop_by_button():
    async def session():
        panel = live.Panel(states(1000), every=0)
        running = asyncio.ensure_future(panel.run())
        while panel.state is None or panel.state.outer_step < 2:
            await asyncio.sleep(0)
        assert panel._toggle.description == "Pause"
        panel._toggle.click()
        await asyncio.sleep(0.2)
        paused = panel.state.outer_step
        await asyncio.sleep(0.3)
        assert panel.state.outer_step == paused and "paused" in panel._head.value and panel._toggle.description == "Go on"
        assert "paused, outer step" in panel._spoken.value
        panel._toggle.click()
        while panel.state.outer_step < paused + 2:
            await asyncio.sleep(0)
        panel._stop.click()
        await running
        stopped = panel.state.outer_step
        assert "run the cells below again" in panel._head.value
        panel._toggle.click()  # goes on behind the cell
        while panel.state.outer_step < stopped + 2:
            await asyncio.sleep(0)
        panel._stop.click()
        await asyncio.sleep(0.1)
        return panel

    assert "stopped" in asyncio.run(session())._head.value


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX systems")
def test_interrupt_pauses_and_running_again_resumes():
    panel = live.Panel(states(30), every=0)

    async def interrupted():
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)
        await panel.run()

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(live.Interrupted, match="run this cell again") as caught:
        asyncio.run(interrupted())
    assert len(caught.value._render_traceback_()) == 1
    assert 0 < panel.state.outer_step < 30 and "interrupted" in panel._head.value
    assert signal.getsignal(signal.SIGINT) is before
    asyncio.run(panel.run())
    assert panel.state.outer_step == 30 and [step for step, _ in panel.losses] == list(range(1, 31))


def test_divergence_is_not_hidden():
    panel = live.Panel(states(50, learning_rate=1e6))
    with pytest.raises(dd.Diverged, match="outer step"):
        asyncio.run(panel.run())
    assert panel.state is not None and "diverged: outer step" in panel._head.value and panel._toggle.disabled


def test_running_twice_is_running_once():
    """Start behind a stopped cell, then the cell again: one loop goes on, the other leaves at once."""
    async def session():
        panel = live.Panel(states(12), every=0)
        first = asyncio.ensure_future(panel.run())
        await asyncio.sleep(0)
        panel._stop.click()
        panel._toggle.click()
        await asyncio.gather(first, panel.run())
        return panel

    panel = asyncio.run(session())
    assert [step for step, _ in panel.losses] == list(range(1, 13))


def test_it_costs_less_than_five_percent(digits):
    """Drawing against the whole of a run of the quick profile's settings, every half second as in the notebook."""
    settings = dd.profiles.fixed("quick", outer_steps=150)
    start, goal = dd.FixedStart(dd.initialise(dd.SmallLeNet(digits.shape), 0)), dd.Fit(digits)
    panel = live.Panel(dd.distill(settings.noise(digits, 0), start, goal, **settings.outer()))
    began = time.monotonic()
    asyncio.run(panel.run())
    assert panel.drawing_seconds < 0.05 * (time.monotonic() - began)


def test_playground_follows_the_sliders():
    data = made_up((1, 8, 8), 3, 60)
    dset = dd.DistilledSet.noise(data, passes=2, step_size=0.5)
    measured = []

    def measure(dset):
        measured.append(dset)
        return 10 * float(dset.step_sizes.sum())

    ground = live.Playground(dset, measure, {"none": lambda d: d.with_step_sizes(0.0)})
    assert "10.0 %" in ground._result.value
    ground._sliders[0].value = 1.5
    assert "20.0 %" in ground._result.value and "10.0 % as learned" in ground._result.value
    ground._use.value = "none"
    assert "<b style='font-size:150%'>0.0 %" in ground._result.value
    before = len(measured)
    ground._reset.click()
    assert len(measured) == before + 1, "put back at once, measured once"
    assert [slider.value for slider in ground._sliders] == [0.5, 0.5] and ground._use.value == "as learned"
    assert dset.step_sizes.tolist() == [0.5, 0.5]
    data, _ = ground._repr_mimebundle_()
    assert "10.0 % accuracy" in data["text/plain"] and "image/png" in data


def test_held_out_networks_are_trained_but_once(tiny):
    start, goal = dd.RandomStart(dd.MLP, tiny), dd.Fit(tiny)
    dset, asked = dd.DistilledSet.noise(tiny, batches=2, passes=1, step_size=0.1), []
    explorer = live.HeldOut(dset, lambda init: asked.append(init) or dd.RandomStart(dd.MLP, tiny, init),
                            ["xavier-normal", "orthogonal"], goal)
    expected = dd.evaluate(dset, start.networks("held-out", 12), goal, tiny.test).final
    assert explorer.scores() == expected[:10] and "10 held-out networks" in explorer._result.value
    explorer._number.value = 12
    assert explorer.scores() == expected and asked == ["xavier-normal"] * 2
    explorer._number.value = 5
    assert explorer.scores() == expected[:5] and len(asked) == 2
    explorer._init.value = "orthogonal"
    assert asked[-1] == "orthogonal" and "5 held-out networks (orthogonal)" in explorer._result.value
    data, _ = explorer._repr_mimebundle_()
    assert "orthogonal" in data["text/plain"] and "image/png" in data


@pytest.mark.parametrize("shape, batches", [((1, 28, 28), 1), ((3, 32, 32), 4)])
def test_pictures_say_what_they_show(shape, batches):
    dset = dd.DistilledSet.noise(made_up(shape), batches=batches, learn_labels=True)
    low, high = show.grey_range(dset)
    words = show.images(dset, "Noise").words
    assert f"{batches} x 10 images" in words and f"black is grey level {low:.2f} or less, white {high:.2f} or more" in words
    canvas = show.tiles(dset, zoom=1)
    assert canvas.size == (10 * (shape[1] + 2) - 2, batches * (shape[1] + 2) - 2)
    assert canvas.getextrema() == ((0, 255),) * 4


@pytest.mark.skipif(os.name == "nt", reason="signals of POSIX systems")
def test_interrupt_in_a_real_kernel():
    """The notebook's square button: the cell ends with one line, so do those behind it, and running it again goes on."""
    from jupyter_client.manager import start_new_kernel

    def printed(client, code, after_first_output=lambda: None):
        text = []

        def hook(message):
            if message["msg_type"] == "display_data":
                after_first_output()
            text.append(message["content"].get("text", "") if message["msg_type"] == "stream" else "")

        return client.execute_interactive(code, timeout=240, output_hook=hook)["content"], "".join(text)

    manager, client = start_new_kernel(kernel_name="python3", cwd=ROOT / "tests")
    try:
        printed(client, "from test_live import *\npanel = live.Panel(states(400), every=0)")
        reply, _ = printed(client, "await panel.run()", lambda: (time.sleep(2), manager.interrupt_kernel()))
        assert reply["status"] == "error" and reply["ename"] == "Interrupted", reply  # which ends Run All, too
        assert reply["traceback"] == [reply["evalue"]] and "run this cell again to go on" in reply["evalue"]
        step = int(re.search(r"outer step (\d+)", reply["evalue"])[1])
        assert 0 < step < 400
        printed(client, "panel._states = iter([next(panel._states), next(panel._states)])")
        reply, second = printed(client, "await panel.run()\nprint(panel.state.outer_step, panel._mode)")
        assert reply["status"] == "ok" and second.split() == [str(step + 2), "finished"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_slides_turn_like_pages():
    """Each picture is drawn once, and its sentence read once; the one that it begins with stays in the saved notebook."""
    drawn = []

    def draw(age):
        drawn.append(age)
        return show.lines({"a": [(0, age), (1, 2)]}, "x", "y", f"A curve at age <{age}>")

    pages = slides.Slides("age", [0, 5, 10], draw)
    assert drawn == [0] and pages._view.value.count("at age &lt;0&gt;") == 1 and "alt=''" in pages._view.value
    for age in (10, 0, 10):
        pages._slider.value = age
    assert drawn == [0, 10] and "at age &lt;10&gt;" in pages._view.value
    data, metadata = pages._repr_mimebundle_()
    assert data["text/plain"] == metadata["image/png"]["alt"] == "A curve at age <0>" and drawn == [0, 10]
    middle = slides.Slides("age", [0, 5, 10], draw, begin=5)
    assert drawn == [0, 10, 5] and middle._slider.value == 5 and repr(middle.picture()) == "A curve at age <5>"
    with pytest.raises(ValueError, match="nothing to slide through"):
        slides.Slides("age", [], draw)
    with pytest.raises(ValueError, match="begin=7 is not among the values, 0, 5, 10"):
        slides.Slides("age", [0, 5, 10], draw, begin=7)


def test_a_table_is_sorted_by_the_column_that_is_pressed():
    """Its saved form has all rows as given; what has no number comes last; a screen reader hears by what it is sorted."""
    rows = {"<DC>": {"seconds": 15.0, "floats": 5760, "MLP": [88.0, 90.0]},
            "MTT": {"seconds": 19.3, "floats": 5760, "MLP": None},
            "means": {"seconds": 0.002, "floats": 5000, "MLP": [95.0]}}
    table = sortable.Sortable("What it costs", {"seconds": False, "floats": False, "MLP": True}, rows)
    places = [table._view.value.index(f">{name}<") for name in ("&lt;DC&gt;", "MTT", "means")]
    assert places == sorted(places) and "aria-sort" not in table._view.value
    table._buttons.value = "MLP"
    assert table.order("MLP") == ["means", "<DC>", "MTT"] and "aria-sort='descending'>MLP" in table._view.value
    assert "role='status'" in table._view.value and "Sorted: MLP, largest first" in table._view.value
    assert table._view.value.index(">means<") < table._view.value.index("&lt;DC&gt;") < table._view.value.index(">MTT<")
    assert table.order("seconds") == ["means", "<DC>", "MTT"] and table.order("floats") == ["means", "<DC>", "MTT"]
    saved = table._repr_mimebundle_()
    assert set(saved) == {"text/html", "text/plain"} and saved["text/html"] == table.html()
    assert "89.0 ± 1.4" in saved["text/plain"] and "5,760" in saved["text/html"] and "0.002" in saved["text/html"]
    for columns, some, words in (({}, rows, "a column and a row"), ({"MLP": True}, {}, "a column and a row"),
                                 ({"GPU": True}, rows, "'<DC>' has no 'GPU'")):
        with pytest.raises(ValueError, match=words):
            sortable.Sortable("Costs", columns, some)


async def before_and_after(view, busy):
    """What a panel shows while it is at work, and afterwards."""
    greyed = view.value
    while busy in view.value:
        await asyncio.sleep(0.01)
    return greyed, view.value


def test_an_old_picture_is_grey_while_another_is_drawn():
    async def session():
        pages = slides.Slides("age", [0, 5, 10], lambda age: drawn.append(age) or show.lines({"a": [(0, age)]}, "x", "y",
                                                                                             f"Age {age}"))
        pages._slider.value = 5
        pages._slider.value = 10
        return await before_and_after(pages._view, "opacity")

    drawn = []
    greyed, answered = asyncio.run(session())
    assert "opacity" in greyed and "Age 0" in greyed and "computing" in greyed
    assert "Age 10" in answered and drawn == [0, 10]


def test_first_steps_are_scored_and_compared():
    """The rise is seen, beside the levels to compare with; the reader who predicted nothing has no line."""
    begin, scored = dd.DistilledSet.noise(made_up(n=240)), []
    panel = live.Panel(states(8), begin=begin, score=lambda dset: scored.append(dset) or 7.0,
                       marks={"class means": 51.8, "your prediction": None})
    asyncio.run(panel.run())
    assert [step for step, _ in panel.scores] == [0, 1, 2, 4, 5, 8] and scored[0] is begin and len(scored) == 4
    content = panel._content()
    assert "class means 51.8" in content and "your prediction" not in content


def test_what_is_outdated_is_dropped():
    """Requests that come while one is at work: the old number is grey at once, and only the last is answered."""
    async def session():
        chosen = live.Choices(lambda which: measured.append(which) or {"share": which}, {"which": [1, 2, 3, 4]})
        for which in (2, 3, 4):
            chosen._lists["which"].value = which
        return await before_and_after(chosen._result, "computing")

    measured = []
    greyed, answered = asyncio.run(session())
    assert "opacity" in greyed and "computing" in greyed and "<b>4 %</b>" in answered
    assert measured == [1, 4]
