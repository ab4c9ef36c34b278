"""What an outer step of each learned row of the field's page holds in memory.

    python notebooks/field_memory.py      about a minute; writes ddlite/assets/gallery/field-memory.json
"""

from pathlib import Path

import torch

import ddlite as dd
from ddlite.cli import field
from ddlite.cli.common import commit
from ddlite.machinery.files import machine, write_json

OUT = Path(__file__).resolve().parent.parent / "ddlite" / "assets" / "gallery" / "field-memory.json"


def main():
    torch.set_num_threads(1)
    data = dd.load("digits")
    found = {f"{budget} images: {method}": round(field.memory(field.learning(data, budget, method)), 1)
             for budget, methods in field.LEARNED.items() for method in methods}
    print(found)
    write_json(OUT, {"method": "field memory", "configuration": {"data": data.name}, "data_fingerprint": data.fingerprint,
                     "command": "python notebooks/field_memory.py", "commit": commit(), "machine": machine(), "MiB": found})


if __name__ == "__main__":
    main()
