"""`evaluate`, `show`, `sets` and `profiles`: what looks at sets and settings."""

import json
import shutil
import textwrap
import warnings

import torch

import ddlite as dd
from ddlite.cli.common import open_set
from ddlite.machinery.files import machine, write_bytes


def evaluate(options):
    """Score a set as it wants to be used: its own networks, its own steps."""
    dset = open_set(options.set)
    height, width = dset.images.shape[-2:]
    data = dd.load(options.data or dset.data, device=options.device, size=width if height == width else None,
                   channels=dset.images.shape[2])
    make = None if dset.start is None else getattr(dd, dset.start["network"] or "nothing", None)
    if not isinstance(make, type) or not issubclass(make, torch.nn.Module):
        raise ValueError("This set was not learned for one of ddlite's networks: use ddlite.evaluate from Python.")
    example = make(data.shape, len(data.classes))
    if {name: list(weight.shape) for name, weight in example.named_parameters()} != dset.start["shapes"]:
        raise ValueError(f"This set was not learned for ddlite's {dset.start['network']} as it comes, but for one with other "
                         "layers: use ddlite.evaluate from Python.")
    if dset.start["kind"] == "fixed":
        networks = [dset.train(example, passes=0)]
    elif dset.start["kind"] == "random":
        networks = dd.RandomStart(make, data, dset.start["init"], dset.start["seed"]).networks("held-out", options.held_out)
    else:
        try:
            source = dd.load(options.source or dset.start["source"], device=options.device, channels=data.shape[0],
                             size=width if height == width else None)
        except ValueError as error:
            raise ValueError(f"{error} Its networks were pre-trained on it: name it with --source.") from error
        if source.fingerprint != dset.start["source_fingerprint"]:
            raise ValueError(f"The set's networks were pre-trained on other data than {source.name} is here: name them with "
                             "--source.")
        networks = dd.PoolStart(make, source, dset.start["size"], dset.start["init"], dset.start["seed"],
                                dd.data.data_root() / "pools", **dset.start["schedule"]).networks("held-out", options.held_out)
    report = dd.evaluate(dset, networks, dd.goals.named(dset.goal, data), data.test, [0, dset.passes])
    if options.json:
        print(json.dumps({"set": options.set, **report.to_dict(), "machine": machine(options.device)}, indent=1))
    else:
        print(report)


def show(options):
    """Write a set's picture, and print what is known of it."""
    from ddlite import show as pictures  # matplotlib takes a second, which the other commands do without

    dset = open_set(options.set)
    picture = pictures.images(dset, f"Distilled {dset.data}")
    path = options.output.with_name(f"{options.output.name.removesuffix('.png')}.png")
    write_bytes(path, picture.png)
    print(f"{picture.words}\nStep sizes: {', '.join(f'{size:.3g}' for size in dset.step_sizes.tolist())}\n{path}")


def sets(options):
    """Print the sets that ship, a line each, cut to the width of the terminal."""
    rows = [("SET", "DATA", "IMAGES", "STEPS", "TEST", "GOAL")]
    for name in dd.shipped():
        with warnings.catch_warnings(action="ignore"):  # that one was made to harm: its goal says so
            about, dset = dd.manifest(name), dd.DistilledSet.shipped(name)
        images, steps = dset.images.shape[0] * dset.images.shape[1], len(dset.step_sizes)
        rows.append((name, dset.data, str(images), str(steps), f"{about['test']:.1f} %", dset.goal))
    widths = [max(len(row[k]) for row in rows) for k in range(6)]
    for row in rows:
        cells = [cell.rjust(width) if k in (2, 3, 4) else cell.ljust(width) for k, (cell, width) in enumerate(zip(row, widths))]
        print(" ".join(cells).rstrip()[:shutil.get_terminal_size().columns])


def profiles(options):
    """Print the settings of each experiment and profile; what is not said is as in `ddlite.profiles.Settings`."""
    from ddlite.cli import methods  # the gallery

    known = {**{name: {profile: vars(settings) for profile, settings in each.items()}
                for name, each in dd.profiles.PROFILES.items()},
             **{name: method.profiles for name, method in methods.METHODS.items()}}
    for experiment in [options.experiment] if options.experiment else known:
        print(experiment)
        for name, settings in known[experiment].items():
            words = ", ".join(f"{key} {_word(value)}" for key, value in settings.items()
                              if value not in ("", False, 0, -1) or (key, value) == ("victim", 0))
            print(textwrap.fill(f"{name}: {words}", shutil.get_terminal_size().columns, initial_indent="  ",
                                subsequent_indent="    "))


def _word(value):
    """A setting as it is printed; what builds a network by its name."""
    if callable(value):
        more = "".join(f" of {key} {number}" for key, number in getattr(value, "keywords", {}).items())
        return f"{getattr(value, 'func', value).__name__}{more}"
    return f"{value:g}" if isinstance(value, float) else value
