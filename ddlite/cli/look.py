"""`evaluate`, `show`, `sets` and `profiles`: what looks at sets and settings."""

import json
import shutil
import textwrap
import warnings
from functools import partial

import torch

import ddlite as dd
from ddlite.cli.common import command, commit, open_set
from ddlite.machinery.files import machine, write_bytes


def evaluate(options):
    """Score a set as it wants to be used: its own networks, its own steps."""
    dset = open_set(options.set)
    height, width = dset.images.shape[-2:]
    data = dd.load(options.data or dset.data, device=options.device, size=width if height == width else None,
                   channels=dset.images.shape[2])
    if options.network:
        starts = {name: dd.RandomStart(builder(name), data, seed=(dset.start or {}).get("seed", 0)) for name in options.network}
        networks = {name: start.networks("held-out", options.held_out) for name, start in starts.items()}
    else:
        networks = {"its own": own_networks(options, dset, data, height == width)}
    goal = dd.goals.named(dset.goal, data) if dset.goal else dd.Fit(data)
    reports = {name: dd.evaluate(dset, each, goal, data.test, [0, dset.passes]) for name, each in networks.items()}
    if options.json:
        [own] = reports.values() if len(reports) == 1 else [None]
        print(json.dumps({"set": options.set, "command": command(), "commit": commit(), **(own.to_dict() if own else {}),
                          "rows": {name: report.to_dict() for name, report in reports.items()},
                          "data_fingerprint": data.fingerprint, "machine": machine(options.device)}, indent=1))
    else:
        for name, report in reports.items():
            print(f"{name}: {report}" if options.network else report)


def builder(name, shapes=None):
    """What builds one of ddlite's networks: "LeNet", "ConvNet3", or "ConvNet3:16" with its width.

    With the shapes of all its weights, by their names, a ConvNet3 gets the width and the padding that they tell of.
    Raises ValueError for another name.
    """
    name, _, width = name.partition(":")
    make = getattr(dd, name, None)
    if not isinstance(make, type) or not issubclass(make, torch.nn.Module) or (width and (make is not dd.ConvNet3
                                                                                            or not width.isdecimal())):
        raise ValueError(f"{name}{width and ':'}{width} is none of ddlite's networks: e.g. MLP, LeNet or ConvNet3:16, which is "
                         "ConvNet3 of width 16.")
    if make is dd.ConvNet3 and shapes:
        width = shapes["blocks.0.weight"][0]
        padding = 1 if shapes["linear.weight"][1] == width * 9 else 3
        return partial(make, width=width, padding=padding)
    return partial(make, width=int(width)) if width else make


def own_networks(options, dset, data, square):
    """Held-out networks of the kind that a set was learned for."""
    try:
        make = builder((dset.start or {}).get("network") or "", (dset.start or {}).get("shapes"))
    except (ValueError, KeyError) as cause:
        raise ValueError("This set was not learned for one of ddlite's networks: use ddlite.evaluate from Python, or name "
                         "networks with --network.") from cause
    example = make(data.shape, len(data.classes))
    if {name: list(weight.shape) for name, weight in example.named_parameters()} != dset.start["shapes"]:
        raise ValueError(f"This set was not learned for ddlite's {dset.start['network']} as it comes, but for one with other "
                         "layers: use ddlite.evaluate from Python.")
    if dset.start["kind"] == "fixed":
        return [dset.train(example, passes=0)]
    if dset.start["kind"] == "random":
        return dd.RandomStart(make, data, dset.start["init"], dset.start["seed"]).networks("held-out", options.held_out)
    try:
        source = dd.load(options.source or dset.start["source"], device=options.device, channels=data.shape[0],
                         size=data.shape[-1] if square else None)
    except ValueError as error:
        raise ValueError(f"{error} Its networks were pre-trained on it: name it with --source.") from error
    if source.fingerprint != dset.start["source_fingerprint"]:
        raise ValueError(f"The set's networks were pre-trained on other data than {source.name} is here: name them with "
                         "--source.")
    return dd.PoolStart(make, source, dset.start["size"], dset.start["init"], dset.start["seed"],
                        dd.data.data_root() / "pools", **dset.start["schedule"]).networks("held-out", options.held_out)


def show(options):
    """Write a set's picture, and print what is known of it."""
    from ddlite import show as pictures  # matplotlib takes a second, which the other commands do without

    dset = open_set(options.set)
    picture = pictures.images(dset, f"Distilled {dset.data}")
    path = options.output.with_name(f"{options.output.name.removesuffix('.png')}.png")
    write_bytes(path, picture.png)
    sizes = [] if dset.recipe else dset.step_sizes.tolist()
    print(f"{picture.words}\nStep sizes: {', '.join(f'{size:.3g}' for size in sizes) or f'none, {dset.recipe}'}\n{path}")


def sets(options):
    """Print the sets that ship, a line each, cut to the width of the terminal."""
    rows = [("SET", "DATA", "IMAGES", "STEPS", "TEST", "GOAL")]
    for name in (*dd.shipped(), *dd.shipped("gallery")):
        about = dd.manifest(name)
        if "nodes" in about["configuration"]:
            rows.append((name, about["configuration"]["data"], "–", str(about["gradient_steps"]), f"{about['test']:.1f} %",
                         f"a graph of {about['configuration']['nodes']} nodes"))
            continue
        with warnings.catch_warnings(action="ignore"):  # that one was made to harm: its goal says so
            dset = dd.DistilledSet.shipped(name)
        images, steps = dset.images.shape[0] * dset.images.shape[1], dset.steps(dset.passes)
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
