"""The playground, from its parts: a page of one file, or the pieces that the site's pages take.

Nothing is fetched when it runs: the kernels, the digits and the distilled set stand in the script. So it works from a disk.
"""

import base64
import io
import json
import re
from pathlib import Path

import numpy as np
import wasmtime
from PIL import Image

import ddlite as dd

PLAY = Path(__file__).parent / "play"
SHIPPED = Path(dd.__file__).parent / "assets" / "digits-fixed-10.safetensors"

LICENCES = ('Digits: E. Alpaydin and C. Kaynak, <a href="https://archive.ics.uci.edu/dataset/80">Optical Recognition of '
            'Handwritten Digits</a>, UCI, <a href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a>, as they come '
            "with scikit-learn (BSD). Pictures and code: ddlite, MIT.")
# Of each page its title, the fragment of HTML, the modules of its script, and those of its worker, in the order of their use.
PAGES = {
    "play": ("Ten pictures that teach a network", "body.html", ["digits.js", "strokes.js", "board.js", "page.js"],
             ["products.js", "layers.js", "chain.js", "digits.js", "learned.js", "engine.js"]),
    "kernel": ("A kernel in place of a training", "kernel.html",
               ["digits.js", "learned.js", "kernel.js", "strokes.js", "kernel-page.js"], []),
}

def fragment(name):
    """A page's HTML without its script."""
    train, test = dd.load("digits").train, dd.manifest("digits-fixed-10")["test"]
    real = np.stack([levels_of(train)[train.labels == label][0] for label in range(10)]) / 16
    still = png_of(learned() if name == "play" else real)
    return (PLAY / PAGES[name][1]).read_text(encoding="utf-8").replace("STILL", still).replace("TEST", f"{test:.1f}")

def script(name):
    """A page's script: its modules as one classic script, since modules and fetch do not work from a disk."""
    data, (_, _, modules, worker) = dd.load("digits"), PAGES[name]
    files = {"digits": b"".join(levels_of(split).tobytes() + split.labels.byte().numpy().tobytes() for split in parts(data))}
    if worker:
        files |= {"set": SHIPPED.read_bytes(),
                  "kernels": bytes(wasmtime.wat2wasm((PLAY / "products.wat").read_text(encoding="utf-8")))}
    assets = ", ".join(f'{key}: bytes("{base64.b64encode(value).decode()}")' for key, value in files.items())
    sizes = {split.name.rsplit(" ", 1)[-1]: len(split) for split in parts(data)}
    scale = {"mean": data.mean[0], "std": data.std[0]}
    return f"""(async () => {{
const bytes = text => Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer;
const ASSETS = {{ {assets}, sizes: {json.dumps(sizes)}, scale: {json.dumps(scale)} }};
const WORKER = {json.dumps(joined(worker))};
{joined(modules)}
}})().catch(error => {{
  document.getElementById('words').textContent = `It does not run here: ${{error.message}}`;
  throw error;
}});
"""

def page(name="play"):
    """A page as one file, to keep or to send."""
    title, safe = PAGES[name][0], script(name).replace("</script", r"<\/script")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{(PLAY / "page.css").read_text(encoding="utf-8")}</style>
</head>
<body class="alone">
<main class="play">
<h1>{title}</h1>
{fragment(name)}
<footer class="small">{LICENCES}</footer>
</main>
<script>
{safe}</script>
</body>
</html>
"""

def joined(modules):
    """Modules as one text, without their imports and exports."""
    text = "".join((PLAY / name).read_text(encoding="utf-8") for name in modules)
    return re.sub(r"^export ", "", re.sub(r"^import .*\n", "", text, flags=re.MULTILINE), flags=re.MULTILINE)

def parts(data):
    return data.train, data.validation, data.test

def levels_of(split):
    """The digits as scanned: (n, 8, 8) grey levels from 0 to 16. The middle of three enlarged pixels is the old one."""
    middles = split.images[:, 0, 1::3, 1::3] * split.std[0] + split.mean[0]
    return (middles * 16).round().numpy().astype("uint8")

def learned():
    """The ten pictures that ship, (10, 24, 24), on a scale from 0 to 1."""
    dset = dd.DistilledSet.shipped("digits-fixed-10")
    pictures = dset.images[0, :, 0].numpy() * dset.std[0] + dset.mean[0]
    low, high = min(0, pictures.min()), max(1, pictures.max())
    return (pictures - low) / (high - low)


def favicon(path):
    """One of them, for the browser's tab."""
    Image.fromarray((255 * learned()[3]).astype("uint8")).resize((48, 48), Image.Resampling.NEAREST).save(path)


def png_of(pictures):
    """Pictures (n, side, side) from 0 to 1 in a row, as an address that holds a PNG."""
    n, side, _ = pictures.shape
    gap = max(1, side // 12)
    row = np.zeros((side, n * (side + gap) - gap, 2), "uint8")  # grey, and how opaque
    for k, picture in enumerate(pictures):
        place = k * (side + gap)
        row[:, place:place + side] = np.stack([(255 * picture).astype("uint8"), np.full((side, side), 255)], -1)
    file = io.BytesIO()
    Image.fromarray(row, "LA").save(file, "png", optimize=True)
    return f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}"
