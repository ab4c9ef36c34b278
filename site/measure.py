"""What the playground reaches here, in Chromium: python site/measure.py [SEEDS]. Ready, updates while dragging, and Distil."""

import shutil
import sys
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

PAGE = (Path(__file__).resolve().parent.parent / "ddlite" / "assets" / "play.html").as_uri()
COUNT = """() => { window.updates = 0; new MutationObserver(() => { window.updates++; }).observe(
  document.getElementById('timing'), { childList: true }); }"""


def measure(seeds):
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--headless", "--no-sandbox"])
        page, began = browser.new_page(), time.monotonic()
        page.goto(PAGE)
        page.wait_for_selector("body[data-ready=yes]")
        print(f"ready after {time.monotonic() - began:.2f} s")
        page.evaluate(COUNT)
        slider, began = page.locator("#sliders input").first, time.monotonic()
        while time.monotonic() - began < 5:
            slider.fill(f"{-1 + (time.monotonic() - began) / 5:.2f}")
        print(f"{page.evaluate('window.updates') / 5:.1f} updates a second while a slider is dragged")
        found = []
        for seed in range(1, seeds + 1):
            page.goto(f"{PAGE}?seed={seed}")
            page.wait_for_selector("body[data-ready=yes]")
            page.click("#distil")
            page.wait_for_selector("#words:has-text('Learned in')", timeout=600_000)
            words = page.inner_text("#words")
            print(f"seed {seed}: {words}", flush=True)
            found.append(float(words.rsplit("%", 2)[-2].split()[-1]))
        if found:
            print(f"{seeds} seeds: {sum(found) / seeds:.1f} % of test digits on average, {min(found)} to {max(found)} %")
        browser.close()


if __name__ == "__main__":
    measure(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
