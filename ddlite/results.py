"""The results that come with the package: distilled sets, and the manifests that say how they were made."""

import json
from importlib import resources
from pathlib import Path

ASSETS = resources.files("ddlite") / "assets"


def shipped(room: str = "") -> list[str]:
    """The names of the distilled sets that come with the package: of lessons 1 to 4, or those of a room, "gallery"."""
    return _names(".safetensors", room)


def manifests(room: str = "") -> list[str]:
    """The names of all manifests that come with the package, likewise: those of shipped sets, of baselines, and of pools."""
    return _names(".json", room)


def manifest(name: str) -> dict:
    """What is known of a shipped result: configuration, seeds, results, command, machine, fingerprint of the data (a dict)."""
    if name not in (*manifests(), *manifests("gallery")):
        raise ValueError(f"No result {name!r} comes with ddlite. These do: {', '.join([*manifests(), *manifests('gallery')])}.")
    return json.loads((ASSETS / f"{name}.json").read_text(encoding="utf-8"))


def _names(ending, room):
    folder = ASSETS / room if room else ASSETS
    before = f"{room}/" if room else ""
    return sorted(before + Path(entry.name).stem for entry in folder.iterdir() if entry.name.endswith(ending))
