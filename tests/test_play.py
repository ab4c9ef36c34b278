"""The playground in a real browser: the engine's numbers are ddlite's, and everything can be touched."""

import base64
import re

import pytest
import torch
from conftest import ROOT
from site_fixtures import address, chromium, new_page, opened, site  # noqa: F401 (fixtures)

import ddlite as dd

playground, wasmtime = pytest.importorskip("playground"), pytest.importorskip("wasmtime")

pytestmark = pytest.mark.xdist_group("site")
TEST = dd.manifest("digits-fixed-10")["test"]


def accuracy(page):
    return float(page.inner_text("#accuracy").removesuffix("%"))


# --- the engine's numbers ---------------------------------------------------------------------------------------------------

ENGINE = playground.joined(["products.js", "layers.js", "chain.js"])
META_GRADIENT = """async ({ side, weights, images, labels, sizes, real, realLabels, wasm }) => {
  const products = wasm ? await quickProducts(Uint8Array.from(atob(wasm), letter => letter.charCodeAt(0))) : plainProducts();
  const { memory } = products, chain = new Chain(smallLeNet(side), products), n = labels.length, m = realLabels.length;
  const columns = (pictures, n) => turned(memory.copy(pictures), n, memory);
  const part = { pictures: columns(real, m), labels: realLabels, n: m };
  const found = chain.metaGradient(weights.map(w => memory.copy(w)), columns(images, n), labels, n, sizes, [part]);
  return { loss: found.loss, images: [...turned(found.pictures, side * side)], sizes: found.stepSizes, name: products.name };
}"""


@pytest.mark.parametrize("quick", [True, False], ids=["simd", "plain"])
@pytest.mark.parametrize("side, n, m", [(8, 10, 7), (12, 3, 5), (24, 10, 32)])
def test_meta_gradient_is_ddlites(new_page, side, n, m, quick):
    torch.manual_seed(side)
    network = dd.initialise(dd.SmallLeNet((1, side, side)), side)
    images, real = torch.randn(1, n, 1, side, side), torch.randn(m, 1, side, side)
    images[..., : side // 2, :] = 0  # flat ground: ties in the pooling
    real[..., side // 2:, :] = 0
    labels, real_labels, sizes = torch.randint(10, (1, n)), torch.randint(10, (m,)), torch.rand(3) / 5
    outputs = dd.outputs_of(network)
    loss, gradients = dd.meta_gradient(
        dd.loss_of(network), lambda weights: torch.nn.functional.cross_entropy(outputs(weights, real), real_labels),
        dd.weights_of(network), images, labels, sizes)
    wasm = bytes(wasmtime.wat2wasm((playground.PLAY / "products.wat").read_text())) if quick else b""
    page = new_page()
    page.add_script_tag(content=ENGINE)
    found = page.evaluate(META_GRADIENT, {
        "side": side, "weights": [weight.flatten().tolist() for weight in network.parameters()],
        "images": images.flatten().tolist(), "labels": labels[0].tolist(), "sizes": sizes.tolist(),
        "real": real.flatten().tolist(), "realLabels": real_labels.tolist(), "wasm": base64.b64encode(wasm).decode()})
    assert found["name"] == ("WebAssembly SIMD" if quick else "plain JavaScript")
    assert found["loss"] == pytest.approx(loss.item(), rel=1e-4)
    for mine, theirs in ((found["images"], gradients["images"].flatten()), (found["sizes"], gradients["step_sizes"])):
        assert (torch.tensor(mine) - theirs).abs().max() < 1e-4 * theirs.abs().max()


def test_kernel_and_its_gradient(new_page, digits):
    """The kernel is that of a wide network's gradients, and the support's gradient is PyTorch's through the same formula."""
    torch.manual_seed(0)
    S, X = torch.randn(6, 64, dtype=torch.float64), torch.randn(9, 64, dtype=torch.float64)
    labels, wanted = [0, 1, 2, 3, 3, 4], [0, 1, 2, 3, 4, 0, 1, 2, 3]

    def kernel(x, s):
        a, b, c = (x**2).sum(1)[:, None] / 64, (s**2).sum(1)[None] / 64, x @ s.T / 64
        angle = (c / (a * b).sqrt()).clamp(-1 + 1e-12, 1 - 1e-12).acos()
        return (a * b).sqrt() * (angle.sin() + (torch.pi - angle) * angle.cos()) / torch.pi + c * (torch.pi - angle) / torch.pi

    width = 200_000
    weights, out = torch.randn(width, 64, dtype=torch.float64), torch.randn(width, dtype=torch.float64)
    hidden, other = (pictures @ weights.T / 8 for pictures in (X[:1], S[:1]))
    ways = 2 * (hidden.relu() * other.relu()).mean() + 2 * (out**2 * (hidden > 0) * (other > 0)).mean() * (X[0] @ S[0]) / 64
    assert kernel(X[:1], S[:1]).item() == pytest.approx(ways.item(), abs=0.02)

    S.requires_grad_()
    targets = [torch.nn.functional.one_hot(torch.tensor(each), 10).double() - 0.1 for each in (labels, wanted)]
    off = ~torch.eye(6, dtype=torch.bool)
    own = torch.where(off, kernel(S, S), torch.zeros(())) + torch.diag((S**2).sum(1) / 32 + 1e-3)
    errors = kernel(X, S) @ torch.linalg.solve(own, targets[0]) - targets[1]
    loss = (errors**2).sum() / 18
    [gradient] = torch.autograd.grad(loss, S)
    page = new_page()
    page.add_script_tag(content=playground.joined(["kernel.js"]))
    found = page.evaluate("""([S, labels, X, wanted]) => { const { loss, gradient } = supportGradient(S, labels, X, wanted);
                             return [loss, [...gradient]]; }""", [S.flatten().tolist(), labels, X.flatten().tolist(), wanted])
    assert found[0] == pytest.approx(loss.item(), rel=1e-9)
    assert (torch.tensor(found[1]).double() - gradient.flatten()).abs().max() < 1e-5 * gradient.abs().max()


# --- the playground -----------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("where", ["served", "file", "one file", "plain"])
def test_the_set_that_ships(new_page, address, site, where):
    """The test number is the manifest's; a slider and another network change what is read of the validation digits."""
    page = opened(new_page(), {"served": address, "file": (site[0] / "index.html").as_uri(), "plain": f"{address}?plain",
                               "one file": (ROOT / "ddlite/assets/play.html").as_uri()}[where])
    assert f"As learned: {TEST:.1f} % of 400 test digits" in page.inner_text("#reported")
    first = accuracy(page)
    assert first > 85 and page.locator("#still").count() == 0
    page.locator("#sliders input").first.fill("1")
    page.wait_for_function("parseFloat(document.getElementById('accuracy').textContent) < 60")
    assert page.inner_text("#reported") == ""  # the test digits only report
    page.click("#restore")
    page.wait_for_function(f"document.getElementById('accuracy').textContent === '{first:.1f} %'")
    page.click("#another")
    page.wait_for_function("parseFloat(document.getElementById('accuracy').textContent) < 60")
    assert "Another network" in page.wait_for_selector("#words:has-text('Now')").inner_text()


def test_painting_with_a_mouse_and_with_keys(new_page, address):
    page = opened(new_page(), address)
    canvas, pixels = page.locator("#pictures canvas").nth(3), "canvas => canvas.toDataURL()"
    before = canvas.evaluate(pixels)
    box = canvas.bounding_box()
    page.mouse.move(box["x"] + 5, box["y"] + 5)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 5, box["y"] + box["height"] - 5, steps=4)
    page.mouse.up()
    painted = canvas.evaluate(pixels)
    assert painted != before
    page.click("#restore")
    page.wait_for_selector("#reported:has-text('As learned')")
    assert canvas.evaluate(pixels) == before
    canvas.focus()
    for key in ("ArrowDown", "Space", "ArrowRight", "ArrowRight", "Space"):
        page.keyboard.press(key)
    assert canvas.evaluate(pixels) not in (before, painted)
    page.wait_for_selector("#words:has-text('Painted on the picture for 3')")
    board = page.locator("#board")
    real = board.evaluate(pixels)
    board.focus()
    for key in ("ArrowUp", "Space", *["ArrowDown"] * 6, "Space"):
        page.keyboard.press(key)
    page.wait_for_function("document.getElementById('answer').textContent === '1'")
    assert board.evaluate(pixels) != real


# Strokes as a hand draws them, on a board of 1 by 1.
HAND = {
    0: [[(.5, .15), (.3, .3), (.27, .5), (.32, .72), (.5, .85), (.68, .72), (.73, .5), (.7, .3), (.5, .15)]],
    1: [[(.38, .3), (.52, .15), (.52, .87)]],
    2: [[(.3, .3), (.4, .17), (.6, .17), (.7, .32), (.6, .5), (.3, .85), (.75, .85)]],
    3: [[(.3, .18), (.55, .13), (.7, .27), (.5, .47), (.7, .6), (.68, .78), (.5, .87), (.28, .8)]],
    4: [[(.55, .13), (.28, .6), (.75, .6)], [(.62, .42), (.6, .88)]],
    6: [[(.62, .13), (.4, .35), (.32, .62), (.4, .84), (.6, .85), (.7, .68), (.58, .55), (.36, .62)]],
    7: [[(.28, .17), (.72, .17), (.55, .5), (.45, .87)]],
}


def test_digits_drawn_by_hand_are_read(new_page, address):
    page = opened(new_page(), address)
    read = {}
    for digit, strokes in HAND.items():
        page.click("#clear")
        page.locator("#board").scroll_into_view_if_needed()
        box = page.locator("#board").bounding_box()
        for (x, y), *rest in strokes:
            page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"])
            page.mouse.down()
            for x, y in rest:
                page.mouse.move(box["x"] + x * box["width"], box["y"] + y * box["height"], steps=3)
            page.mouse.up()
        page.wait_for_function("document.getElementById('answer').textContent !== '?'")
        page.wait_for_timeout(300)  # the last piece of a stroke is read after the first
        read[digit] = int(page.inner_text("#answer"))
    assert sum(digit == answer for digit, answer in read.items()) >= 6, read


def test_distil_learns(new_page, address):
    """60 outer steps from noise; the numbers of the page follow, and the test digits are asked at the end."""
    page = opened(new_page(), f"{address}?seed=1")
    page.fill("#outer", "60")
    page.click("#distil")
    page.wait_for_selector("#words:has-text('Learned in')")
    assert accuracy(page) > 40
    assert re.search(r"Learned here in \d+ s: [\d.]+ % of 400 test digits", page.inner_text("#reported"))
    assert len(page.get_attribute("#curve", "points").split()) == 6
    page.click("#distil")
    page.wait_for_selector("#reported:has-text('Outer step')")
    page.click("#distil")  # which says Stop now
    page.wait_for_selector("#distil:has-text('Distil')")
    assert page.is_enabled("#restore")


def test_support_pictures_are_taken_away(new_page, address):
    page = opened(new_page(), f"{address}kernel.html?seed=2")
    real, first = accuracy(page), page.locator("#support button").first
    change = first.inner_text().strip().replace("−", "-")
    first.click()
    assert accuracy(page) == pytest.approx(real + float(change), abs=0.11)
    assert first.get_attribute("aria-pressed") == "true"
    page.click("#all")
    assert accuracy(page) == real
    page.click("#learn")
    page.wait_for_selector("#words:has-text('Learned')")
    assert accuracy(page) > max(real, 88)
    for _ in range(5):
        page.click("#weakest")
    assert "15 of 20 pictures are left" in page.inner_text("#reported") and accuracy(page) > 60
    page.click("#sample")
    assert page.inner_text("#answer") in list("0123456789")
