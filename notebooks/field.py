"""What stands on one page of the whole field: every set for some data, and what it stands beside, on three kinds of networks.

    python notebooks/field.py digits    about half an hour; writes ddlite/assets/gallery/field-digits.json
    python notebooks/field.py mnist     about an hour

It goes on where it ended, as long as the commit is the same.
"""

import sys
import time
from functools import partial
from pathlib import Path

import torch

import ddlite as dd
from ddlite.cli import field
from ddlite.cli.common import commit
from ddlite.gallery import kip
from ddlite.machinery.files import machine, read_json, write_json

GALLERY = Path(__file__).resolve().parent.parent / "ddlite" / "assets" / "gallery"
HELD_OUT = {"A": 10, "B": 3}


def of(report):
    """One number for each network."""
    return None if report is None else [round(score, 2) for score in report.final]


def protocol_b(data, budget, note):
    """Networks trained from scratch; KIP once more by the recipe that it was made for."""
    for method, row in field.rows(data, budget, HELD_OUT["B"]).items():
        about = {"floats": row.sets[0].floats, "seconds": round(row.seconds, 3), "lesson": row.lesson,
                 "network": row.network, "note": row.note}
        for name, recipe in {method: None, **({"KIP, its own recipe": kip.RECIPE} if method == "KIP" else {})}.items():
            for network in field.page(data).networks:
                judge = partial(field.judge, row.sets, network, data, HELD_OUT["B"], recipe)
                note("B", budget, name, network, about, judge)


def protocol_a(data, budget, note):
    """Networks that take the set's own gradient steps."""
    learned = {name: row for name, row in field.rows(data, budget, 1).items() if row.lesson}
    computed = {name: field.Row([dset], 0.0) for name, dset in field.with_own_steps(data, budget).items()}
    for name, row in {**learned, **computed}.items():
        [dset] = row.sets
        for network in field.page(data).networks:
            note("A", budget, name, network, {"floats": dset.floats, "lesson": row.lesson, "network": row.network},
                 partial(field.own_steps, dset, network, data, HELD_OUT["A"]))


def main():
    torch.set_num_threads(1)
    data, began = dd.load((sys.argv[1:] or ["digits"])[0]), time.process_time()
    page, out = field.page(data), GALLERY / f"field-{data.name}.json"
    about = {"method": "field", "configuration": {"data": data.name, "networks": list(page.networks), "held out": HELD_OUT},
             "data_fingerprint": data.fingerprint, "command": f"python notebooks/field.py {data.name}", "commit": commit(),
             "machine": machine(), "rows": {}, "cpu_seconds": 0}
    if out.is_file() and (old := read_json(out))["commit"] == about["commit"]:
        about = old
    before = about["cpu_seconds"]

    def note(protocol, budget, method, network, words, measure):
        row = about["rows"].setdefault(f"{protocol}, {budget} images: {method}", {**words, "scores": {}})
        if network not in row["scores"]:
            row["scores"][network] = of(measure())
            about["cpu_seconds"] = before + round(time.process_time() - began)
            write_json(out, about)
            print(protocol, budget, method, network, row["scores"][network], flush=True)

    for budget in page.learned:
        protocol_a(data, budget, note)
    for budget in page.learned:
        protocol_b(data, budget, note)


if __name__ == "__main__":
    main()
