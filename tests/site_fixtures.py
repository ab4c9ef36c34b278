"""What the tests of the site share: the site, built once, and pages of Chromium that may not ask for anything elsewhere."""

import functools
import http.server
import os
import re
import sys
import threading
import time

import pytest
from conftest import ROOT
from filelock import FileLock
from test_browser import ARGUMENTS, CHROMIUM

sys.path.insert(0, str(ROOT / "site"))
build = pytest.importorskip("build", reason="the site's packages are not installed: pip install -e '.[site]'")


@functools.cache
def built():
    """Once for all files of tests, and for all processes that run them: the first one builds, the others wait for it."""
    run, out = os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid())), ROOT / "build" / "site-tried" / "a path"
    out.parent.mkdir(parents=True, exist_ok=True)
    made = out.parent / "made-by"
    with FileLock(ROOT / "build" / "site-tried.lock"):
        if not made.is_file() or made.read_text().split()[0] != run:
            began = time.monotonic()
            build.build(out)
            made.write_text(f"{run} {time.monotonic() - began}")
    return out, float(made.read_text().split()[1])


@pytest.fixture(scope="session")
def site():
    """The site, built: its folder, and how long that took."""
    return built()


@pytest.fixture(scope="session")
def address(site):
    """The site, served below a path."""
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site[0].parent))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/a%20path/"
    server.shutdown()


@pytest.fixture(scope="module")
def chromium():
    if CHROMIUM is None:
        if os.environ.get("DDLITE_NEED_BROWSER"):
            pytest.fail("DDLITE_NEED_BROWSER is set, but there is no Chromium")
        pytest.skip("no Chromium or Chrome on this machine")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def new_page(chromium):
    """Makes pages; at the end none of them may have met an error or asked for anything outside the site."""
    contexts, faults = [], []

    def make(**options):
        contexts.append(chromium.new_context(**{"viewport": {"width": 1000, "height": 900}, **options}))
        page = contexts[-1].new_page()
        page.set_default_timeout(240_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: re.match(r"(http://127\.0\.0\.1|file:|data:|blob:)", request.url)
                or faults.append(request.url))
        page.on("requestfailed", lambda request: faults.append(f"{request.url}: {request.failure}"))
        page.on("response", lambda response: response.status < 400 or faults.append(f"{response.url}: {response.status}"))
        return page

    yield make
    for context in contexts:
        context.close()
    assert not faults, "\n".join(faults)


def opened(page, address):
    page.goto(address)
    page.wait_for_selector("body[data-ready=yes]")
    return page
