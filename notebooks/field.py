"""What stands on one page of the whole field: every set for some data, and what it stands beside, on three kinds of networks.

    python notebooks/field.py digits    about half an hour; writes ddlite/assets/gallery/field-digits.json
    python notebooks/field.py mnist     about an hour

It goes on where it ended. A row is measured again if another set ships for it. Each row names its set and its commit.
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
                 "network": row.network, "set": row.fingerprint, "note": row.note}
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
            about = {"floats": dset.floats, "lesson": row.lesson, "network": row.network, "set": row.fingerprint}
            note("A", budget, name, network, about,
                 partial(field.own_steps, dset, network, data, HELD_OUT["A"]))


def main():
    torch.set_num_threads(1)
    data = dd.load((sys.argv[1:] or ["digits"])[0])
    page, out, now = field.page(data), GALLERY / f"field-{data.name}.json", commit()  # before anything is written
    known = read_json(out) if out.is_file() else {"rows": {}, "cpu_seconds": 0}
    about = {"method": "field", "configuration": {"data": data.name, "networks": list(page.networks), "held out": HELD_OUT},
             "data_fingerprint": data.fingerprint, "command": f"python notebooks/field.py {data.name}", "commit": now,
             "machine": machine(), **known}

    def note(protocol, budget, method, network, words, measure):
        name = f"{protocol}, {budget} images: {method}"
        if about["rows"].get(name, {}).get("set", "none") != words["set"]:
            about["rows"][name] = {**words, "commit": now, "scores": {}}
        scores = about["rows"][name]["scores"]
        if network not in scores:
            began = time.process_time()
            scores[network] = of(measure())
            about["cpu_seconds"] += round(time.process_time() - began)
            write_json(out, about)
            print(name, network, scores[network], flush=True)

    for budget in page.learned:
        protocol_a(data, budget, note)
    for budget in page.learned:
        protocol_b(data, budget, note)


if __name__ == "__main__":
    main()
