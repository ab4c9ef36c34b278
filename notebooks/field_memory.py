"""What an outer step of each learned row of the field's page holds in memory.

    python notebooks/field_memory.py digits    about a minute; writes ddlite/assets/gallery/field-digits-memory.json
    python notebooks/field_memory.py mnist     some minutes
"""

import sys
from pathlib import Path

import torch

import ddlite as dd
from ddlite.cli import field
from ddlite.cli.common import commit
from ddlite.machinery.files import machine, write_json

GALLERY = Path(__file__).resolve().parent.parent / "ddlite" / "assets" / "gallery"


def main():
    torch.set_num_threads(1)
    data = dd.load((sys.argv[1:] or ["digits"])[0])
    found = {f"{budget} images: {method}": round(field.memory(field.learning(data, budget, method)), 1)
             for budget, methods in field.page(data).learned.items() for method in methods}
    print(found)
    write_json(GALLERY / f"field-{data.name}-memory.json",
               {"method": "field memory", "configuration": {"data": data.name}, "data_fingerprint": data.fingerprint,
                "command": f"python notebooks/field_memory.py {data.name}", "commit": commit(), "machine": machine(),
                "MiB": found})


if __name__ == "__main__":
    main()
