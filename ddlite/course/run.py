"""Run one submission, in a process of its own: `python -m ddlite.course.run FOLDER`.

FOLDER holds job.json and notebook.ipynb; executed.ipynb and result.json are written there. Only the kernel runs the student's
code, behind the wall where one stands; this process talks to it, and is out of its reach there.
"""

import hashlib
import hmac
import json
import secrets
import sys
import tempfile
from pathlib import Path

import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpec
from nbclient import NotebookClient
from nbclient.exceptions import CellTimeoutError, DeadKernelError

from ddlite.course import wall
from ddlite.course.submission import id_of
from ddlite.machinery.files import write_bytes, write_json

LONGEST = 20_000  # characters of a cell's output that are kept


def run(folder):
    """Run the notebook; result.json: {"passed": {check: bool}, "changed": names, "ours": answers replaced, "note": words}."""
    folder = Path(folder)
    job = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    notebook = nbformat.read(folder / "notebook.ipynb", 4)
    notebook.cells.append(nbformat.v4.new_code_cell(""))  # for what is run between the cells
    secret, result = secrets.token_hex(16), {"passed": {}, "changed": [], "ours": [], "note": ""}
    with tempfile.TemporaryDirectory(prefix="ddlite-", dir=folder) as sockets:
        client = NotebookClient(notebook, km=_manager(job, folder, sockets), timeout=job["seconds"], allow_errors=True,
                                interrupt_on_timeout=True, store_widget_state=False, allow_stdin=False,
                                startup_timeout=3 * job["seconds"])  # a slow machine is no fault of the submission
        last, tests = len(notebook.cells) - 1, {}
        for cell in notebook.cells:
            if cell.cell_type == "code" and cell.metadata.get("nbgrader", {}).get("grade"):
                tests[cell.source.strip()] = id_of(cell)
        given = [cell.source for cell in notebook.cells[:-1] if cell.cell_type == "code" and id_of(cell)
                 and not cell.metadata.nbgrader.get("solution")]
        alone = None if job["wall"] else (job["scratch"], job["hidden"])

        def between(code):
            cell = nbformat.v4.new_code_cell(code)
            client.execute_cell(cell, last, store_history=False)
            return cell

        try:
            with client.setup_kernel(cwd=str(folder) if job["wall"] else job["scratch"], env=job["environment"]):
                began = between("from ddlite.course.guard import guard as _guard\n"
                                f"_guard(get_ipython(), {secret!r}, {given!r}, {tests!r}, {alone!r})\ndel _guard")
                for error in (output for output in began.outputs if output.output_type == "error"):
                    raise RuntimeError(f"its watch could not be set up, which is no fault of the submission: {error.evalue}")
                for index, cell in enumerate(notebook.cells[:-1]):
                    if cell.cell_type == "code" and cell.source.strip():
                        client.execute_cell(cell, index)
                        _shorten(cell)
                    answer = job["answers"].get(id_of(cell))
                    if answer and any(output.output_type == "error" for output in cell.outputs):
                        result["ours"].append(answer)
                        between(job["solutions"][answer])
                word = secrets.token_hex(8)
                result |= _report(between(f"# report {word}"), secret, word)
        except (DeadKernelError, CellTimeoutError):
            result["note"] = "Python ended in the middle of the notebook: does it call exit()?"
        except RuntimeError as cause:  # nbclient says so where the kernel does not start or answers no more
            result["note"] = f"Python did not start or did not answer any more: {cause}"
    notebook.cells.pop()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            _shorten(cell)
    write_bytes(folder / "executed.ipynb", nbformat.writes(notebook).encode(errors="replace"))
    write_json(folder / "result.json", result)


def _manager(job, folder, sockets):
    """What starts and stops the kernel: behind the wall over sockets in a folder, as there is no network there."""
    command = [wall.PYTHON, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    if not job["wall"]:
        manager = AsyncKernelManager()
        manager._kernel_spec = KernelSpec(argv=command, display_name="", language="python")
        return manager
    manager = AsyncKernelManager(transport="ipc", ip=str(Path(sockets) / "k"),
                                 connection_file=str(Path(sockets) / "kernel.json"))
    argv = [*wall.around(sockets, job["environment"]), *command]
    manager._kernel_spec = KernelSpec(argv=argv, display_name="", language="python", interrupt_mode="message")
    return manager


def _report(cell, secret, word):
    """The guard's report on the kernel, if it is still the guard's own."""
    text = "".join(output.get("text", "") for output in cell.outputs if output.output_type == "stream")
    for line in text.splitlines():
        signature, _, report = line.partition(" ")
        wanted = hmac.new(secret.encode(), report.encode(), hashlib.sha256).hexdigest()
        if hmac.compare_digest(signature.encode(), wanted.encode()) and (found := json.loads(report))["word"] == word:
            return {"passed": found["passed"], "changed": found["changed"]}
    return {"passed": {}, "changed": ["the guard itself"]}


def _shorten(cell):
    """Cut what a cell printed, and drop what no page shows."""
    left = LONGEST
    for output in cell.outputs:
        if "text" in output:
            text = "".join(output.text)
            output.text = text if len(text) <= left else f"{text[:left]}\n... (cut: more than {LONGEST} characters)"
            left = max(0, left - len(text))
        if "traceback" in output:
            output.traceback = [line[:LONGEST] for line in output.traceback[:50]]
            output.evalue = output.evalue[:LONGEST]
        for kind in list(output.get("data", {})):
            if kind not in ("text/plain", "text/html", "text/markdown", "text/latex", "image/png", "image/jpeg"):
                del output.data[kind]
            elif kind != "image/png" and len(str(output.data[kind])) > 50 * LONGEST:
                output.data[kind] = f"(cut: more than {50 * LONGEST} characters)"


if __name__ == "__main__":
    run(sys.argv[1])
