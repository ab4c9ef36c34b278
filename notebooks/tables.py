"""The tables of results, as Markdown, made from the manifests that ship with the package; no number is typed in here.

The exceptions are figures quoted from papers, each with its source.
"""

from pathlib import Path
from statistics import mean, stdev

import mistune

import ddlite as dd
from ddlite.machinery.files import read_json

# Wang, Zhu, Torralba, Efros 2018, and Sucholutsky & Schonlau 2019 (learned labels): as they report them.
QUOTED = {("mnist", "fixed", 10): "93.8", ("mnist", "random", 100): "79.5 ± 8.1", ("cifar10.npz", "fixed", 100): "54.0",
          ("cifar10.npz", "random", 100): "36.8 ± 1.2"}
BEST_QUOTED = {("mnist", "fixed", 10): "96.13 (learned labels)", ("cifar10.npz", "fixed", 100): "60 (learned labels)"}
TO_MNIST, TO_USPS = "67.5 ± 3.9 before, 92.7 ± 1.4 after", "90.4 ± 3.0 before, 95.4 ± 1.8 after"
QUOTED_ADAPTATION = {("usps-mixed", "mnist"): TO_MNIST, ("usps", "mnist"): f"{TO_MNIST} (another version of USPS)",
                     ("mnist", "usps-mixed"): TO_USPS, ("mnist", "usps"): f"{TO_USPS} (another version of USPS)",
                     ("svhn.npz", "mnist"): "52 before, 85 after (rounded; all of SVHN)"}
NAMES = {"mnist": "MNIST", "usps": "USPS", "usps-mixed": "USPS-mixed", "digits": "digits", "svhn": "SVHN",
         "svhn.npz": "SVHN (1,083 of its images)", "fashion-mnist": "FashionMNIST", "cifar10": "CIFAR-10",
         "cifar10.npz": "cifar10-jpeg"}
# What the README shows of all that ships.
HEADLINES = {"mnist-fixed-10": "images for one known network", "mnist-random-100": "for networks never met before",
             "mnist-random-100-options": "the same, labels and momentum learned",
             "cifar10-fixed-100-options": "colour photographs for one known network, labels learned",
             "cifar10-random-100-options": "colour photographs for networks never met before, labels learned",
             "usps-mixed-to-mnist-100": "a new domain",
             "mnist-to-usps-mixed-100-options": "a new domain, labels and momentum learned",
             "mnist-attack-100": "harm in a single step", "cifar10-attack-300": "the same on colour photographs"}


def manifests(part=""):
    """{name: manifest} of all that ships, or of the distilled sets ("seeds"), the baselines ("rows") or the pools ("pool")."""
    found = {name: dd.manifest(name) for name in dd.manifests()}
    return {name: about for name, about in found.items() if not part or part in about}


def setting(about):
    """What results must have in common to stand side by side: (start, data, network, source of pre-training)."""
    wanted = about["configuration"]
    return wanted.get("start", "fixed"), wanted["data"], wanted["network"], wanted.get("source", "")


def of_seeds(tests):
    """How many seeds, and, where there are some, what they reached."""
    return "1" if len(tests) == 1 else f"{len(tests)}: {mean(tests):.1f} ({min(tests):.1f} to {max(tests):.1f})"


def images_of(wanted):
    """How many images a set of ten classes has, from its configuration."""
    return round(per_class_and_batch(wanted) * 10) * wanted["batches"]


def per_class_and_batch(wanted):
    """How many images of a class stand in a batch; older manifests call it `images_per_class`."""
    return wanted["images_per_class_and_batch" if "images_per_class_and_batch" in wanted else "images_per_class"]


def sets(start):
    """Every distilled set that ships for a start, "fixed" or "random": accuracy, spread, seeds, beside the quoted figures."""
    lines = ["| set: data, network | images, options | steps: gradient, outer | test accuracy, % | seeds: mean (min to max) "
             "| quoted: paper; best known |", "|" + "---|" * 6]
    for name, about in manifests("seeds").items():
        if setting(about)[0] != start:
            continue
        wanted, tests = about["configuration"], [run["test"] for run in about["seeds"]]
        options = {"learned labels": wanted["learn_labels"], "momentum": wanted.get("momentum")}
        options = [word for word, on in options.items() if on]
        spread = f" ± {about['std']:.1f}" if about.get("std") else ""
        key = (wanted["data"], start, images_of(wanted))
        lines.append(f"| `{name}`: {NAMES[wanted['data']]}, {wanted['network']} | {images_of(wanted)}, "
                     f"{', '.join(options) or 'plain'} | {about['gradient_steps']}, {wanted['outer_steps']:,} "
                     f"| **{about['test']:.1f}**{spread} | {of_seeds(tests)} "
                     f"| {QUOTED.get(key, '–')}; {BEST_QUOTED.get(key, '–')} |")
    return "\n".join(lines)


def folded(summary, table):
    """A table that opens when it is asked for: one block of HTML, for nbconvert closes `<details>` at the first empty line."""
    html = mistune.create_markdown(plugins=["table"])(table)
    return f"<details><summary>{summary}</summary>\n{html}</details>"


def headlines():
    """One line for each thing that was learned: its best set, beside the paper's figure."""
    lines = ["| what is learned | data, network | images | test accuracy, % | over | paper, quoted |", "|" + "---|" * 6]
    for name, what in HEADLINES.items():
        about = dd.manifest(name)
        wanted = about["configuration"]
        source = f"{NAMES[wanted['source']]} to " if wanted.get("source") and not about.get("measures") else ""
        spread = f" ± {about['std']:.1f}" if about["std"] else ""
        accuracy, key = f"**{about['test']:.1f}**{spread}", (wanted["data"], setting(about)[0], images_of(wanted))
        if about.get("measures"):  # of an attack: what is left of the victims
            first, last = ([one[k] for one in next(iter(about["measures"].values()))] for k in (0, -1))
            accuracy = f"{mean(first):.1f} to **{mean(last):.1f}** of the victims"
        quoted = QUOTED_ADAPTATION.get((wanted.get("source"), wanted["data"]), QUOTED.get(key, "–"))
        quoted += " (plain)" if wanted["learn_labels"] else ""
        over = f"{about['networks']} unseen networks" if about["std"] else "one network"
        lines.append(f"| {what} | {source}{NAMES[wanted['data']]}, {wanted['network']} | {images_of(wanted)} | {accuracy} "
                     f"| {over} | {quoted} |")
    return "\n".join(lines)


def adaptation():
    """Every set that ships for pre-trained networks of one domain that are to learn another."""
    lines = ["| set: source to target, network | whose weights, pre-training | images, options | before, after, % "
             "| seeds: mean (min to max) | paper, quoted |", "|" + "---|" * 6]
    for name, about in manifests("seeds").items():
        wanted, tests = about["configuration"], [run["test"] for run in about["seeds"]]
        if setting(about)[0] != "pool" or wanted["victim"] >= 0:
            continue
        weights = "known" if wanted["known"] else f"unknown, pool of {wanted['pool']}"
        options = "learned labels, momentum" if wanted["learn_labels"] else "plain"
        spread = f" ± {about['std']:.1f}" if about["std"] else ""
        over = f"{about['networks']} held-out networks" if about["std"] else "the known network"
        quoted = "–" if wanted["known"] else QUOTED_ADAPTATION.get((wanted["source"], wanted["data"]), "–")
        lines.append(f"| `{name}`: {NAMES[wanted['source']]} to {NAMES[wanted['data']]}, {wanted['network']} | {weights}; "
                     f"{wanted['pretraining_epochs']} epochs at {wanted['pretraining_rate']} | {images_of(wanted)}, {options}; "
                     f"{about['gradient_steps']} gradient, {wanted['outer_steps']:,} outer steps | {about['before']:.1f}, "
                     f"**{about['test']:.1f}**{spread} ({over}) | {of_seeds(tests)} | {quoted} |")
    return "\n".join(lines)


def attacks():
    """Every set that ships for the one-step attack: the three measures before and after, mean over held-out networks."""
    lines = ["| set: data, network | victim, target | measured on test images | before, % | after one step, % "
             "| seeds: mean (min to max) |", "|" + "---|" * 6]
    for name, about in manifests("seeds").items():
        wanted = about["configuration"]
        for words, each in (about.get("measures") or {}).items():
            first, last = ([one[k] for one in each] for k in (0, -1))
            seeds = [run["measures"][words][-1] for run in about["seeds"]]
            lines.append(f"| `{name}`, {images_of(wanted)} images: {NAMES[wanted['data']]}, {wanted['network']}, "
                         f"{about['networks']} held-out networks | {wanted['victim']}, {wanted['target']} | {words} "
                         f"| {mean(first):.1f} ± {stdev(first):.1f} | **{mean(last):.1f}** ± {stdev(last):.1f} "
                         f"| {of_seeds(seeds)} |")
    return "\n".join(lines)


def pools():
    """How well pools know what they were pre-trained on: the paper's schedule, and the shorter ones of the laptop profile."""
    lines = ["| trained on, network, way | epochs | learning rate, halved every | batch | test accuracy, %: mean (each) |",
             "|" + "---|" * 5]
    for name, about in manifests("pool").items():
        pool, scores = about["pool"], ", ".join(f"{score:.1f}" for score in about["scores"])
        how, whose = pool["schedule"], "paper" if name.endswith("full") else "laptop"
        lines.append(f"| {NAMES[pool['source']]}, {pool['network']}, {whose} | {how['epochs']} | {how['learning_rate']:g}, "
                     f"{how['halve_every']} epochs | {how['batch_size']} | {about['test']:.2f} ({scores}) |")
    return "\n".join(lines)


def compared():
    """{setting: (images, {row: (accuracy, std or None, gradient steps, over)})}, the baselines and what was learned."""
    found = {}
    for about in manifests("rows").values():
        wanted = about["configuration"]
        source = f"{NAMES[wanted['source']]} to " if wanted.get("source") else ""
        rows = {what: (row["mean"], row["std"], row["gradient_steps"], f"{len(row['scores'])} {row['unit']}s")
                for what, row in about["rows"].items()}
        for name, other in manifests("seeds").items():
            if setting(other) != setting(about) or other.get("measures"):
                continue
            if other["std"]:
                rows[f"**learned** (`{name}`)"] = (other["test"], other["std"], other["gradient_steps"],
                                                   f"{other['networks']} networks")
                if source:
                    rows["no adaptation"] = (other["before"], None, 0, f"{other['networks']} networks")
            else:
                rows[f"**learned**, known weights (`{name}`)"] = (other["test"], None, other["gradient_steps"],
                                                                  "the known network")
        known = ", known weights" if setting(about)[0] == "fixed" else ""
        found[f"{source}{NAMES[wanted['data']]}, {wanted['network']}{known}"] = images_of(wanted), rows
    return found


def baselines():
    """The baselines on held-out networks (the rows of the paper's Tables 1 and 2), and ours beside them."""
    lines = ["| data, network | images | what they are | test accuracy, % | gradient steps | over |", "|" + "---|" * 6]
    for where, (images, rows) in compared().items():
        for what, (accuracy, std, steps, over) in rows.items():
            number = {"all real images": "all", "no adaptation": "none"}.get(what, images)
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
    lines = ["| lesson, profile | data | result on test images, % | over | time | threads | memory |", "|" + "---|" * 7]
    words = {"01": "learned images", "02": "learned images", "03": "after adaptation", "04": "victims still read correctly"}
    for notebook, profiles in sorted(measured.items()):
        for profile, about in (profiles if notebook[:2] in words else {}).items():
            number = list(about["results"].values())[-1]
            data = "MNIST" if profile != "quick" else "slanted digits" if notebook[:2] == "03" else "digits"
            lines.append(f"| {notebook[1]}, {profile} | {data} "
                         f"| {words[notebook[:2]]}: {number:.1f} | {about['over']} | {about['seconds']} s "
                         f"| {about['threads']} | {about['MiB']} MiB |")
    return "\n".join(lines)


def measured():
    """What running the notebooks took, when their outputs were stored."""
    return read_json(Path(__file__).with_name("measured.json"))


def assignments(measured):
    """What a solved assignment takes, with one thread."""
    lines = ["| assignment, solved | time | memory |", "|---|---|---|"]
    lines += [f"| {name[:2]} | {about['solved']['seconds']} s | {about['solved']['MiB']} MiB |"
              for name, about in sorted(measured.items()) if "solved" in about]
    return "\n".join(lines)


def speed():
    """What the benchmark found (bench.json), and with which command."""
    measured = read_json(Path(__file__).with_name("bench.json"))
    lines = ["| configuration | plain, s | ddlite, s | speed-up | memory, plain | memory, ddlite |", "|" + "---|" * 6]
    for row in measured["rows"]:
        ways = [(row["config"], row["ddlite_s"], row["ddlite_mb"])]
        if "two_processes_s" in row:
            ways.append((f"{row['config']}, two processes", row["two_processes_s"], row["two_processes_mb"]))
        for name, taken, memory in ways:
            lines.append(f"| {name} | {row['plain_s']:.3f} | {taken:.3f} | **{row['plain_s'] / taken:.2f}** "
                         f"| {row['plain_mb']:.0f} MiB | {memory:.0f} MiB |")
    return "\n".join([*lines, "", made_by(measured)])


def time_to_accuracy():
    """How long ten MNIST images took to each validation accuracy (time_to_accuracy.json), and with which command."""
    measured = read_json(Path(__file__).with_name("time_to_accuracy.json"))
    seeds = ", ".join(map(str, sorted({row["seed"] for row in measured["rows"]})))
    lines = [f"| validation accuracy, % | outer steps planned | seconds, seeds {seeds} | best reached, % |", "|" + "---|" * 4]
    for goal in sorted({row["goal"] for row in measured["rows"]}):
        rows = [row for row in measured["rows"] if row["goal"] == goal]
        taken = ", ".join(f"{row['seconds']:.0f}" if row["seconds"] else "never" for row in rows)
        best = ", ".join(f"{row['best']:.1f}" for row in rows)
        lines.append(f"| {goal} | {rows[0]['outer_steps']:,} | {taken} | {best} |")
    return "\n".join([*lines, "", made_by(measured)])


def options():
    """What each option does to ten MNIST images in a short trial (options.json), and with which command."""
    measured = read_json(Path(__file__).with_name("options.json"))
    found, seeds = {}, sorted({row["seed"] for row in measured["rows"]})
    for row in measured["rows"]:
        found.setdefault(row["changed"], []).append(row)
    lines = ["| changed | validation accuracy, %, " + ", ".join(f"seed {seed}" for seed in seeds)
             + " | mean | CPU seconds |", "|" + "---|" * 4]
    for changed, rows in found.items():
        scores = [row["validation"] for row in rows]
        lines.append(f"| {changed} | {', '.join(f'{score:.1f}' for score in scores)} | **{mean(scores):.1f}** "
                     f"| {mean(row['cpu_seconds'] for row in rows):.0f} |")
    return "\n".join([*lines, "", made_by(measured)])


def costs():
    """What an outer step of AlexCifarNet costs a CPU (costs.json), and with which command."""
    measured = read_json(Path(__file__).with_name("costs.json"))
    columns = sorted({(row["threads"], row["learn_labels"]) for row in measured["rows"]})
    taken = {(row["batch_size"], row["threads"], row["learn_labels"]): row["seconds"] for row in measured["rows"]}
    heads = [f"{threads} thread{'s' * (threads > 1)}{', labels learned' * learned}" for threads, learned in columns]
    lines = [f"| real images | {' | '.join(f'{head}, s' for head in heads)} |", "|" + "---|" * (1 + len(heads))]
    for batch in sorted({row["batch_size"] for row in measured["rows"]}):
        lines.append(f"| {batch:,} | {' | '.join(f'{taken[batch, *column]:.1f}' for column in columns)} |")
    machine = measured["machine"]
    return "\n".join([*lines, "", f"`{measured['command']}` at {measured['commit']}, on {machine['device']}, torch "
                      f"{machine['torch']}."])


def gpu():
    """What a CUDA graph saves on one GPU, and how exact a meta-gradient is there (gpu.json)."""
    measured = read_json(Path(__file__).with_name("gpu.json"))
    lines = ["| outer step | by itself, ms | as a CUDA graph, ms | times faster | from a CPU's, 32 bits | the same, rounded |",
             "|" + "---|" * 6]
    for row in measured["rows"]:
        lines.append(f"| {row['config']} | {row['eager_ms']} | {row['captured_ms']} "
                     f"| **{row['eager_ms'] / row['captured_ms']:.1f}** | {row['off']:.0e} | {row['off_rounded']:.0e} |")
    return "\n".join([*lines, "", f"{measured['machine']['device']}, torch {measured['machine']['torch']}, "
                      f"commit {measured['commit']}: {measured['how']}."])


def made_by(measured):
    """The command behind a benchmark's rows, and the machine."""
    machine = measured["machine"]
    return (f"`{measured['command']}` at {measured['commit']}, on {machine['device']}, threads: {machine['threads']}, "
            f"torch {machine['torch']}.")
