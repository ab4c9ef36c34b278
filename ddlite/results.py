"""The results that come with the package: distilled sets, and the manifests that say how they were made."""

import json
from importlib import resources
from pathlib import Path

ASSETS = resources.files("ddlite") / "assets"


def shipped():
    """The names of the distilled sets that come with the package."""
    return sorted(Path(entry.name).stem for entry in ASSETS.iterdir() if entry.name.endswith(".safetensors"))


def manifests():
    """The names of all manifests that come with the package: those of shipped sets, of baselines, and of pools."""
    return sorted(Path(entry.name).stem for entry in ASSETS.iterdir() if entry.name.endswith(".json"))


def manifest(name):
    """What is known of a shipped result: configuration, seeds, results, command, machine, fingerprint of the data (a dict)."""
    if name not in manifests():
        raise ValueError(f"No result {name!r} comes with ddlite. These do: {', '.join(manifests())}.")
    return json.loads((ASSETS / f"{name}.json").read_text(encoding="utf-8"))
