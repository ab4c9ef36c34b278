"""The tables of results, as Markdown, made from the manifests that ship with the package; no number is typed in here.

The exceptions are figures quoted from papers, each with its source.
"""

from statistics import mean

import ddlite as dd

# Wang, Zhu, Torralba, Efros 2018, and Sucholutsky & Schonlau 2019 (learned labels): as they report them.
QUOTED = {("mnist", "fixed", 10): "93.8", ("mnist", "random", 100): "79.5 ± 8.1"}
BEST_QUOTED = {("mnist", "fixed", 10): "96.13 (learned labels)"}
NAMES = {"mnist": "MNIST", "digits": "digits"}


def manifests():
    """{name: manifest} of all that ships, distilled sets and baselines."""
    return {name: dd.manifest(name) for name in dd.manifests()}


def setting(about):
    """What results must have in common to stand side by side: (start, data, network)."""
    return tuple(about["configuration"].get(key, "fixed") for key in ("start", "data", "network"))


def sets(start):
    """Every distilled set that ships for a start, "fixed" or "random": accuracy, spread, seeds, beside the quoted figures."""
    lines = ["| set | data, network | images | gradient steps | outer steps | options | test accuracy, % "
             "| seeds: mean (min to max) | paper, quoted | best known, quoted |", "|" + "---|" * 10]
    for name, about in manifests().items():
        if "rows" in about or setting(about)[0] != start:
            continue
        wanted, tests = about["configuration"], [run["test"] for run in about["seeds"]]
        images = round(wanted["images_per_class"] * 10) * wanted["batches"]
        options = {"learned labels": wanted["learn_labels"], "momentum": wanted.get("momentum")}
        options = [word for word, on in options.items() if on]
        spread = f" ± {about['std']:.1f}" if about.get("std") else ""
        key = (wanted["data"], start, images)
        lines.append(f"| `{name}` | {NAMES[wanted['data']]}, {wanted['network']} | {images} | {about['gradient_steps']} "
                     f"| {wanted['outer_steps']:,} | {', '.join(options) or 'plain'} | **{about['test']:.1f}**{spread} "
                     f"| {len(tests)}: {mean(tests):.1f} ({min(tests):.1f} to {max(tests):.1f}) "
                     f"| {QUOTED.get(key, '–')} | {BEST_QUOTED.get(key, '–')} |")
    return "\n".join(lines)


def baselines():
    """The baselines on held-out networks of a random start (the paper's Table 1 has the same rows), and ours beside them."""
    lines = ["| data, network | images | what they are | test accuracy, % | gradient steps | over |", "|" + "---|" * 6]
    for about in (about for about in manifests().values() if "rows" in about):
        wanted = about["configuration"]
        where = f"{NAMES[wanted['data']]}, {wanted['network']}"
        images = round(wanted["images_per_class"] * 10) * wanted["batches"]
        rows = {what: (row["mean"], row["std"], row["gradient_steps"], f"{len(row['scores'])} {row['unit']}s")
                for what, row in about["rows"].items()}
        for name, other in manifests().items():
            if "rows" not in other and setting(other) == setting(about):
                rows[f"**learned** (`{name}`)"] = (other["test"], other["std"], other["gradient_steps"],
                                                   f"{other['networks']} networks")
        for what, (accuracy, std, steps, over) in rows.items():
            number = "all" if what == "all real images" else images
            spread = f" ± {std:.1f}" if std is not None else ""
            lines.append(f"| {where} | {number} | {what} | {accuracy:.1f}{spread} | {steps or 'none'} | {over} |")
    return "\n".join(lines)


def commands():
    """How each result is made again: the command, and the commit and machine that it came from."""
    lines = ["| result | command | commit | machine |", "|" + "---|" * 4]
    for name, about in manifests().items():
        machine = about["machine"]
        lines.append(f"| `{name}` | `{about['command']}` | {about['commit']} "
                     f"| {machine['device']}, threads: {machine['threads']}, torch {machine['torch']} |")
    return "\n".join(lines)


def cost(measured):
    """What a whole notebook takes, from the first cell to the last: as measured when its outputs were stored."""
    lines = ["| notebook | profile | data | learned images, test accuracy | time | memory | measured on |", "|" + "---|" * 7]
    for notebook, profiles in measured.items():
        for profile, about in profiles.items():
            learned = list(about["results"].values())[-1]
            lines.append(f"| {notebook[:2]} | {profile} | {'digits' if profile == 'quick' else 'MNIST'} | {learned:.1f} % "
                         f"| {about['seconds']} s | {about['MiB']} MiB | {about['cores']} CPU cores |")
    return "\n".join(lines)
