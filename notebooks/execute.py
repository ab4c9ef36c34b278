"""Run notebooks from the first cell to the last, and keep what they show.

    python notebooks/execute.py demo     run notebook 01 in the quick profile, write build/01_fixed_initialization.html
    python notebooks/execute.py store    run all notebooks in the quick profile, store their outputs and the README's pictures
                                         and tables
    python notebooks/execute.py laptop   run all notebooks in the laptop profile, write them as HTML under build/
"""

import contextlib
import os
import re
import sys
import threading
import time
from datetime import datetime
from pathlib import Path

import diagrams
import nbformat
import papermill
import psutil
import tables
import torch
from nbconvert import HTMLExporter

import ddlite as dd
from ddlite import show
from ddlite.machinery.files import machine, read_json, write_bytes, write_json
from ddlite.machinery.threads import settle

HERE = Path(__file__).resolve().parent
BUILD = HERE.parent / "build"
MEASURED = HERE / "measured.json"
LESSONS = [*sorted(HERE.glob("[0-9]*.ipynb")), *sorted(HERE.glob("gallery/[0-9]*.ipynb"))]
RESULTS = HERE / "results.ipynb"
FIELD = HERE / "gallery" / "the_field.ipynb"
README = HERE.parent / "README.md"
TEACHING = HERE / "TEACHING.md"
VIEW = "application/vnd.jupyter.widget-view+json"
SCRIPT = "application/javascript"


def execute(path, output, **parameters):
    """Run a notebook with papermill in a fresh kernel; the executed notebook is also written to `output`.

    Returns the notebook, the seconds it took and the most memory that its kernel held, in MiB.
    Raises ValueError for a parameter that the notebook does not have, papermill's error for a cell that fails.
    """
    unknown = set(parameters) - set(papermill.inspect_notebook(path))
    if unknown:
        raise ValueError(f"{path.name} has no parameter {', '.join(sorted(unknown))}.")
    output.parent.mkdir(parents=True, exist_ok=True)
    began, finished, seen = time.monotonic(), threading.Event(), []
    watch = threading.Thread(target=watch_memory, args=(finished, seen))
    watch.start()
    try:
        notebook = papermill.execute_notebook(path, output, parameters, kernel_name="python3", cwd=HERE, log_output=False,
                                              progress_bar={"desc": path.stem, "disable": None})
    finally:
        finished.set()
        watch.join()
    # A kernel that shuts down runs through all libraries once more, which counts their files as memory: that is not the lesson.
    last = datetime.fromisoformat(notebook.cells[-1].metadata.papermill.end_time).timestamp()
    return notebook, time.monotonic() - began, max(size for at, size in seen if at <= last) / 2**20


def results(notebook):
    """The first numbers in the rows of the table that the cells tagged "results" print, by the words before them."""
    rows = re.findall(r"^(.+?)\s+(\d+\.\d)(?:\s+\d+\.\d)*$", shown(notebook, "results"), re.MULTILINE)
    return {words: float(number) for words, number in rows}


def watch_memory(finished, seen):
    """Note (time, bytes) of every process below this one (the kernel is the largest), until told that all is finished."""
    while not finished.wait(0.25):
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                seen.append((time.time(), child.memory_info().rss))


def tidy(notebook):
    """Leave only what the cells show: no time stamps, no injected cell, no state of widgets that need a kernel."""
    notebook.cells = [cell for cell in notebook.cells if "injected-parameters" not in cell.metadata.get("tags", [])]
    return still(notebook)


def still(notebook):
    """Leave out what needs a kernel or tells the time."""
    notebook.metadata = {"kernelspec": notebook.metadata.kernelspec, "language_info": {"name": "python"}}
    for cell in notebook.cells:  # papermill notes the time in each
        cell.metadata = {key: cell.metadata[key] for key in ("tags", "nbgrader") if cell.metadata.get(key)}
    for number, cell in enumerate((cell for cell in notebook.cells if cell.cell_type == "code"), start=1):
        cell.execution_count = number
        cell.outputs = [output for output in cell.outputs if not {VIEW, SCRIPT} & set(output.get("data", {}))]
        for output in cell.outputs:  # without what needs a kernel, below the pictures that stand for it
            if "execution_count" in output:
                output.execution_count = number
    return notebook


def write_html(notebook, path):
    """An executed notebook as one HTML file that needs nothing else but MathJax for its formulas."""
    exporter = HTMLExporter(template_name="lab", embed_images=True, log_level="ERROR")
    html, _ = exporter.from_notebook_node(still(notebook), {"metadata": {"path": str(HERE)}})
    write_bytes(path, html.encode())


def shown(notebook, tag):
    """What the cells with a tag printed."""
    return "".join(output.text for cell in notebook.cells if tag in cell.metadata.get("tags", [])
                   for output in cell.get("outputs", []) if output.output_type == "stream" and output.name == "stdout")


def note(path, profile, notebook, seconds, mebibytes):
    """Keep what a whole run found and cost in measured.json, which the results page quotes."""
    known = read_json(MEASURED) if MEASURED.is_file() else {}
    over = re.search(r"\d+ held-out networks", shown(notebook, "results"))
    known.setdefault(path.stem, {})[profile] = {"results": results(notebook), "over": over[0] if over else "one network",
                                                "seconds": round(seconds), "MiB": round(mebibytes), "cores": os.cpu_count(),
                                                **machine()}
    write_json(MEASURED, known)


def demo():
    notebook, seconds, _ = execute(LESSONS[0], BUILD / LESSONS[0].name, profile="quick")
    page = BUILD / f"{LESSONS[0].stem}.html"
    write_html(notebook, page)
    print(f"\n{shown(notebook, 'results')}\nThe whole notebook, run in {seconds:.0f} s: "
          f"{page.relative_to(HERE.parent)}")


def store():
    for path in (*LESSONS, FIELD, RESULTS):
        notebook, *cost = execute(path, BUILD / path.name, profile="quick")
        write_bytes(path, nbformat.writes(tidy(notebook)).encode() + b"\n")
        if path in LESSONS:
            note(path, "quick", notebook, *cost)
    for name in re.findall(r"pictures/([\w-]+)\.png", README.read_text(encoding="utf-8")):
        write_bytes(HERE / "pictures" / f"{name}.png", show.images(dd.DistilledSet.shipped(name)).png)
    diagrams.draw()
    write_bytes(README, with_tables(README.read_text(encoding="utf-8")).encode())


def with_tables(text):
    """A page with its tables made anew, each between a comment that names it and the next <!-- end -->."""
    made = {"headlines": tables.headlines(), "assignments": tables.assignments(read_json(MEASURED))}
    for name, table in made.items():
        if f"<!-- {name} -->" not in text:
            continue
        before, rest = text.split(f"<!-- {name} -->\n")
        _, after = rest.split("\n<!-- end -->", 1)
        text = f"{before}<!-- {name} -->\n{table}\n<!-- end -->{after}"
    return text


def laptop():
    for path in LESSONS:
        notebook, *cost = execute(path, BUILD / f"laptop-{path.name}", profile="laptop")
        write_html(notebook, BUILD / f"laptop-{path.stem}.html")
        note(path, "laptop", notebook, *cost)
        print(shown(notebook, "results"))


if __name__ == "__main__":
    commands = {"demo": demo, "store": store, "laptop": laptop}
    if len(sys.argv) != 2 or sys.argv[1] not in commands:
        sys.exit(__doc__)
    settle()
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))  # of the kernels, too
    commands[sys.argv[1]]()
