"""The notebooks in a real JupyterLab, by a real browser: run all, watch, pause, resume, move a slider, choose from lists."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from conftest import ROOT

pytestmark = pytest.mark.xdist_group("browser")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
ARGUMENTS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
             "--disable-background-networking", "--disable-component-update", "--disable-sync"]
LONG_NAME = """from ddlite import show, slides
slides.Slides("steps that the network has taken so far", [0, 5, 10], lambda n: show.lines({"a": [(0, n)]}, "x", "y", f"{n}"))"""


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """A JupyterLab on localhost with a copy of the notebooks and settings of its own."""
    if CHROMIUM is None:
        if os.environ.get("DDLITE_NEED_BROWSER"):
            pytest.fail("DDLITE_NEED_BROWSER is set, but there is no Chromium")
        pytest.skip("no Chromium or Chrome on this machine")
    home = tmp_path_factory.mktemp("lab")
    shutil.copytree(ROOT / "notebooks", home / "notebooks")
    for path in (home / "notebooks").glob("0[2-9]*.ipynb"):  # their panels are notebook 01's: learn shortly
        path.write_text(path.read_text().replace("outer_steps = None ", "outer_steps = 20 "))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    small = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(LONG_NAME)], metadata=kernel)
    nbformat.write(small, home / "notebooks" / "long_name.ipynb")
    settings = home / "settings" / "@jupyterlab" / "apputils-extension"
    settings.mkdir(parents=True)
    (settings / "notification.jupyterlab-settings").write_text(json.dumps({"fetchNews": "false"}))
    tracker = home / "settings" / "@jupyterlab" / "notebook-extension"
    tracker.mkdir(parents=True)  # every cell is drawn, not only those in sight, so that widgets can be found
    (tracker / "tracker.jupyterlab-settings").write_text(json.dumps({"windowingMode": "none"}))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "JUPYTER_CONFIG_DIR": str(home / "config"), "JUPYTER_DATA_DIR": str(home / "data"),
                   "JUPYTERLAB_SETTINGS_DIR": str(home / "settings"), "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces")}
    log = open(home / "log", "w")
    server = subprocess.Popen(
        [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", f"--ServerApp.port={port}",
         "--ServerApp.ip=127.0.0.1", "--IdentityProvider.token=", "--ServerApp.disable_check_xsrf=True",
         "--LabApp.expose_app_in_browser=True", "--LabApp.news_url=None", f"--ServerApp.root_dir={home / 'notebooks'}"],
        env=environment, stdout=log, stderr=log)
    try:
        for _ in range(240):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}/api", timeout=5).close()
                break
            except OSError:
                assert server.poll() is None, (home / "log").read_text()
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/lab/tree/"
    finally:
        server.terminate()
        server.wait(240)
        log.close()


def until(condition, seconds=240):
    """Wait for a condition, generously: machines are shared."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.2)
    raise AssertionError("waited in vain")


@pytest.fixture
def page(lab):
    """A browser's page."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser.new_page(viewport={"width": 1200, "height": 1000})
        browser.close()


def opened(page, address):
    """Open a notebook, and no other that was open before."""
    page.goto(f"{address}?reset")
    until(lambda: page.evaluate("""name => {
        const shown = window.jupyterapp?.shell.currentWidget;
        return shown?.context?.path === name && shown.sessionContext?.session?.kernel?.status === 'idle'
    }""", address.rsplit("/lab/tree/", 1)[-1]))


def run_all(page, address):
    """Open a notebook, and run all its cells."""
    opened(page, address)
    # a command does nothing, and says nothing, until the notebook is the current one: what was stored must be gone first
    until(lambda: page.evaluate("""async () => {
        await window.jupyterapp.commands.execute('notebook:clear-all-cell-outputs');
        return [...window.jupyterapp.shell.currentWidget.content.model.cells].every(
            cell => cell.type !== 'code' || cell.executionCount === null) }"""))
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells') }")


def finished(page):
    """Wait until every cell has run; the cells, none of them with an error."""
    until(lambda: page.evaluate("""() => [...window.jupyterapp.shell.currentWidget.content.model.cells].every(
        cell => cell.type !== 'code' || cell.executionCount !== null)"""), 400)
    cells = page.evaluate("""() => [...window.jupyterapp.shell.currentWidget.content.model.cells].map(cell => ({
        source: cell.sharedModel.getSource(),
        outputs: cell.type === 'code' ? cell.outputs.toJSON() : []}))""")
    assert not any(output["output_type"] == "error" for cell in cells for output in cell["outputs"])
    return cells


def scroll_to(page, cells, source):
    where = next(k for k, cell in enumerate(cells) if cell["source"].startswith(source))
    page.evaluate("k => window.jupyterapp.shell.currentWidget.content.scrollToItem(k, 'center')", where)


def in_theme(page, name):
    """Change JupyterLab's theme, and wait until it is there."""
    page.evaluate("theme => window.jupyterapp.commands.execute('apputils:change-theme', { theme })", name)
    until(lambda: page.evaluate("document.body.dataset.jpThemeName") == name)


def faults(page):
    """What axe finds serious or critical in what ddlite shows, texts, pictures and panels, in light and dark colours.

    JupyterLab's own editors and bars are not ours.
    """
    from axe_playwright_python.sync_playwright import Axe

    found = []
    for theme in ("JupyterLab Dark", "JupyterLab Light"):
        in_theme(page, theme)
        for part in (".jp-OutputArea-output", ".jp-RenderedMarkdown"):
            found += [(theme, fault["id"], fault["nodes"][0]["html"][:200])
                      for fault in Axe().run(page, context=part).response["violations"]
                      if fault["impact"] in ("serious", "critical")]
    return found


def test_notebook_01_in_jupyterlab(lab, page):
    run_all(page, lab + "01_fixed_initialization.ipynb")

    def where():
        words = page.locator(".widget-html", has_text="outer step").first
        return words.inner_text() if words.count() else ""

    def outer_step():
        found = re.search(r"outer step (\d+)", where())
        return int(found[1]) if found else 0

    def picture():
        return page.locator("img[alt^='The images as they are']").first.get_attribute("src")

    def button(name):
        return page.locator("button.widget-button", has_text=name).first

    until(lambda: page.locator("img[alt^='The images as they are']").count())
    early = picture()
    until(lambda: picture() != early)  # the images change while it runs

    button("Pause").click()
    until(lambda: "paused" in where())
    paused, still = outer_step(), picture()
    time.sleep(2)
    assert outer_step() == paused and picture() == still
    assert "Go on" in page.evaluate("document.activeElement.textContent"), "the button keeps the keyboard's focus"
    assert page.locator("img[alt^='The images as they are']").first.bounding_box()["height"] <= 500  # half the window
    assert not faults(page)
    page.keyboard.press("Enter")
    until(lambda: outer_step() > paused)
    page.screenshot(path=ROOT / "build" / "jupyterlab-running.png")

    cells = finished(page)
    panel = next(cell for cell in cells if cell["source"] == "await panel.run()")
    assert [sorted(output["data"]) for output in panel["outputs"]] == [["image/png", "text/html", "text/plain"]], "no widget"
    shown = page.locator("figure img[alt^='Ten images being learned']").first
    assert "outer step 450 of 450" in shown.get_attribute("alt")

    scroll_to(page, cells, "live.Playground")
    result = page.locator("p[role=status]", has_text="as learned").first
    result.wait_for(timeout=240_000)
    before = result.inner_text()
    page.locator(".widget-slider .noUi-handle").first.focus()
    for _ in range(3):
        page.keyboard.press("PageUp")
    until(lambda: result.inner_text() != before)
    assert page.locator(".noUi-handle").first.get_attribute("aria-label") == "step 1"
    assert not faults(page)
    page.screenshot(path=ROOT / "build" / "jupyterlab-playground.png")


@pytest.mark.parametrize("name, cell, status, choice", [
    ("02_random_initialization", "explorer", "p[role=status]:has-text('held-out networks')", "kaiming-normal"),
    ("04_one_step_attack", "chooser", "div[role=status]:has-text('victims')", "a tenth of the step"),
])
def test_choosing_in_jupyterlab(lab, page, name, cell, status, choice):
    """Another choice from a widget's list, and the numbers beside it are others."""
    run_all(page, f"{lab}{name}.ipynb")
    cells = finished(page)
    where = max(k for k, one in enumerate(cells) if one["source"] == cell)
    page.evaluate("k => window.jupyterapp.shell.currentWidget.content.scrollToItem(k, 'center')", where)
    result = page.locator(status).last
    result.wait_for(timeout=240_000)
    before = result.inner_text()
    page.locator(".widget-dropdown select").first.select_option(choice)
    until(lambda: page.locator(status).count() and result.inner_text() != before)
    assert not faults(page)
    page.screenshot(path=ROOT / "build" / f"jupyterlab-{name[:2]}.png")


def test_a_slider_with_a_long_name_can_be_dragged_in_jupyterlab(lab, page):
    """The name leaves room for the slider; dragged to its end, the last picture is shown."""
    run_all(page, lab + "long_name.ipynb")
    finished(page)
    track = page.locator(".widget-slider .noUi-target").first
    track.wait_for(timeout=240_000)
    box = track.bounding_box()
    assert box["width"] > 200
    page.mouse.click(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)
    until(lambda: page.locator(".widget-readout").first.inner_text() == "10")


def test_a_table_is_sorted_by_keyboard_in_jupyterlab(lab, page):
    """The field's page: Tab goes to the buttons, Space sorts by one; the column says so to a screen reader."""
    run_all(page, lab + "gallery/the_field.ipynb")
    cells = finished(page)
    scroll_to(page, cells, "print(show.predicted(my_prediction")
    table = page.locator(".widget-html table").first
    table.wait_for(timeout=240_000)
    rows = table.locator("tbody th")
    given = rows.all_inner_texts()
    page.locator(".widget-toggle-buttons button", has_text="worst").first.focus()
    page.keyboard.press("Space")
    until(lambda: rows.all_inner_texts() != given)
    assert sorted(rows.all_inner_texts()) == sorted(given) and rows.first.inner_text() == "(k-means in bases)"
    assert table.locator("[aria-sort]").inner_text() == "worst"
    assert "worst" in page.evaluate("document.activeElement.textContent"), "the button keeps the keyboard's focus"
    assert not faults(page)


def test_stored_notebooks_are_read_by_all(lab, page):
    """The lessons and the results as they are stored, opened and not run: words, no broken widget, axe content."""
    for path in (*sorted((ROOT / "notebooks").glob("[0-9]*.ipynb")), ROOT / "notebooks" / "results.ipynb"):
        opened(page, lab + path.name)
        until(lambda: page.locator(".jp-RenderedMarkdown h1").count())
        assert page.locator("text=Error displaying widget").count() == 0
        words = page.locator(".jp-Notebook img").evaluate_all("images => images.map(image => image.alt)")
        assert words and all(len(each) > 30 for each in words), "a picture without words"
        assert not faults(page), path.name
