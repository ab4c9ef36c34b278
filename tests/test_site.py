"""The site as a whole: its pages, on phones and for all, in Chromium and in Firefox."""

import json
import os
import re
import subprocess
import sys

import pytest
from conftest import ROOT
from site_fixtures import address, chromium, new_page, site  # noqa: F401 (fixtures)

import ddlite as dd

check, playground, stage = (pytest.importorskip(name) for name in ("check", "playground", "stage"))

pytestmark = pytest.mark.xdist_group("site")
TEST = dd.manifest("digits-fixed-10")["test"]

LESSON = next(name.removesuffix(".ipynb") for name in stage.sources() if re.match(r"notebooks/\d", name))
PAGES = ["index", "kernel", "api", "about", "search", "notebooks/GLOSSARY", "notebooks/TEACHING", "notebooks/results",
         *(name.removesuffix(".ipynb") for name in stage.sources() if name.endswith(".ipynb") and "results" not in name)]


def test_all_pages_are_there(site, record_property):
    """Links are checked by the build itself; here that the check sees faults, and that nothing has grown too large."""
    out, seconds = site
    assert not [name for name in PAGES if not (out / f"{name}.html").is_file()] and not check.faults(out)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    record_property("site", f"{size / 2**20:.1f} MiB, built in {seconds:.0f} s")
    assert size < 15 * 2**20 and (out / "play.html").stat().st_size < 600_000
    assert len(list(out.rglob("*.ipynb"))) == len([name for name in stage.sources() if name.endswith(".ipynb")])
    lesson = (out / f"{LESSON}.html").read_text()
    assert lesson.count("<math") > 15 and "munder" in lesson and "colab" not in lesson
    assert (out / "_static/formulas.woff").stat().st_size < 300_000


def test_faults_are_seen(tmp_path):
    (tmp_path / "page.html").write_text("""<a href="nowhere.html">a</a> <a href="#nowhere">b</a> <a href="page.html#here">c</a>
        <p id="here"><script src="https://example.org/a.js"></script><img src="page.html" alt="plot.png">""")
    found = "\n".join(check.faults(tmp_path))
    for words in ("nowhere.html leads to no file", "#nowhere leads to no such place", "a.js would be fetched", "without words"):
        assert words in found
    assert found.count("\n") == 3


def test_colab_and_binder_only_where_there_is_an_address():
    name = f"{LESSON}.ipynb"
    text = (ROOT / name).read_text()
    without = stage.notebook(json.loads(text), name, "")
    with_one = stage.notebook(json.loads(text), name, "https://github.com/someone/ddlite")
    assert "mybinder" not in without and "colab" not in without
    assert f"colab.research.google.com/github/someone/ddlite/blob/main/{name}" in with_one
    assert "mybinder.org/v2/gh/someone" in with_one


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_pages_on_a_phone_and_for_all(new_page, address, colours):
    """No page scrolls sideways at 400 pixels, and axe finds nothing serious. (In the dark, three pages stand for all.)"""
    from axe_playwright_python.sync_playwright import Axe

    found, page = [], new_page(viewport={"width": 400, "height": 800}, color_scheme=colours, reduced_motion="reduce")
    for name in PAGES if colours == "light" else ["index", "kernel", LESSON]:
        page.goto(f"{address}{name}.html")
        if name in ("index", "kernel"):
            page.wait_for_selector("body[data-ready=yes]")
        if page.evaluate("document.documentElement.scrollWidth") > 400:
            found.append(f"{name} scrolls sideways")
        for fault in Axe().run(page).response["violations"]:
            if fault["impact"] in ("serious", "critical"):
                found.append(f"{name}: {fault['id']}, {fault['nodes'][0]['html'][:200]}")
    assert not found, "\n".join(found)


def test_search_finds_the_meta_gradient(new_page, site):
    """From the disk, too."""
    page = new_page()
    page.goto(f"{(site[0] / 'search.html').as_uri()}?q=meta-gradient")
    page.wait_for_selector("#search-results li a")
    assert page.locator("#search-results li").count() >= 3


def test_without_javascript(new_page, address):
    page = new_page(java_script_enabled=False)
    page.goto(address)
    still = page.locator("#still")
    assert still.is_visible() and still.evaluate("image => image.naturalWidth") >= 240
    words = page.locator("noscript strong")
    assert words.is_visible() and f"{TEST:.1f}" in words.inner_text() and not page.locator("#distil").is_visible()


def test_the_playground_that_ships_is_that_of_its_sources():
    """All but the still picture, whose compression is Pillow's."""
    def without_picture(text):
        return re.sub(r"data:image/png;base64,[^\"]+", "", text)

    shipped = without_picture((ROOT / "ddlite/assets/play.html").read_text())
    assert shipped == without_picture(playground.page()), "run: python make.py site"


def test_ddlite_play_opens_the_file(monkeypatch, capsys):
    import webbrowser

    from ddlite.cli.main import main

    asked = []
    monkeypatch.setattr(webbrowser, "open", lambda address: asked.append(address) or True)
    main(["play"])
    assert asked == [(ROOT / "ddlite/assets/play.html").as_uri()] and "play.html" in capsys.readouterr().out
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    main(["play"])
    assert "No browser was found" in capsys.readouterr().out


def test_the_workflow_is_one_that_hosts_read():
    checked = subprocess.run([sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows",
                              ROOT / ".github/workflows/site.yml"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_in_firefox(site, tmp_path):
    """The same numbers, and that it learns."""
    from firefox import FIREFOX, firefox

    if FIREFOX is None:
        if os.environ.get("DDLITE_NEED_BROWSER"):
            pytest.fail("DDLITE_NEED_BROWSER is set, but there is no Firefox")
        pytest.skip("no Firefox on this machine")
    wait = "new Promise(done => { const look = () => (CONDITION ? done() : setTimeout(look, 50)); look(); })"
    with firefox(tmp_path) as page:
        page.goto(f"{(site[0] / 'index.html').as_uri()}?seed=1")
        page.value(wait.replace("CONDITION", "document.body.dataset.ready"))
        assert f"{TEST:.1f} % of 400 test digits" in page.value("document.getElementById('reported').textContent")
        page.value("document.getElementById('outer').value = 30; document.getElementById('distil').click()")
        page.value(wait.replace("CONDITION", "document.getElementById('words').textContent.startsWith('Learned in')"))
        assert float(page.value("document.getElementById('accuracy').textContent").removesuffix(" %")) > 20
        page.goto((site[0] / "kernel.html").as_uri())
        page.value(wait.replace("CONDITION", "document.body.dataset.ready"))
        assert float(page.value("document.getElementById('accuracy').textContent").removesuffix(" %")) > 40
