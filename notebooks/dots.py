"""The pictures of results: distilled sets beside their baselines, a line for each setting, and a run on a CPU."""

from pathlib import Path

import tables
from matplotlib import rc_context
from matplotlib.figure import Figure

import ddlite as dd
from ddlite import show
from ddlite.machinery.files import read_json

KINDS = {"random real": "o", "best of random": "s", "k-means": "^", "class means": "D", "k-NN, random real": "+",
         "k-NN, k-means": "x", "no adaptation": "v", "all real images": "|"}


@rc_context(show.STYLE)
def against_baselines():
    """A `Picture`: test accuracies as dots, baselines grey, what was learned blue, with a bar of one standard deviation."""
    settings = tables.compared()
    figure = Figure(figsize=(9, 0.62 * len(settings) + 1.6), layout="constrained")
    axis, words, named = figure.subplots(), [], set()
    for place, (where, (_, rows)) in enumerate(settings.items()):
        learned = {name: row for name, row in rows.items() if name.startswith("**learned")}
        axis.axhline(place, color=show.INK, linewidth=0.4)
        for name, (accuracy, std, *_) in rows.items():
            kind = "what was learned" if name in learned else name
            label = None if kind in named else kind
            named.add(kind)
            if name in learned:
                axis.errorbar(accuracy, place - 0.15, xerr=std, fmt="*", color=show.BLUE, markersize=10, label=label)
            else:
                axis.plot(accuracy, place + 0.15, KINDS[name], color=show.INK, markersize=6, label=label)
        rivals = {name: row for name, row in rows.items() if name not in learned and row[2] and name != "all real images"}
        best = max(rivals, key=lambda name: rivals[name][0])
        ours = ", ".join(f"{name.split('`')[1]} {row[0]:.1f} %" + (f" ± {row[1]:.1f}" if row[1] else "")
                         for name, row in learned.items())
        words.append(f"{where}: learned {ours}; best baseline that trains a network, {best}, {rivals[best][0]:.1f} %")
    axis.set_yticks(range(len(settings)), list(settings), fontsize=8)
    axis.invert_yaxis()
    axis.set(xlabel="test accuracy, %")
    axis.legend(frameon=False, fontsize=8, ncols=5, loc="lower center", bbox_to_anchor=(0.4, 1))
    return show.Picture(figure, f"Distilled sets beside their baselines. {'. '.join(words)}.",
                        "Learned sets (blue stars, with one standard deviation over networks) beside their baselines (grey).")


def on_a_cpu():
    """A `Picture`: how a hundred CIFAR-10 images improve on one core (curve.json), beside the plain set that ships."""
    measured, plain = read_json(Path(__file__).with_name("curve.json")), dd.manifest("cifar10-fixed-100")
    points = [(row["cpu_seconds"] / 60, row["validation"]) for row in measured["rows"]]
    longer = (plain["cpu_seconds"] / 60, plain["validation"])
    return show.lines({"learned labels": points, "cifar10-fixed-100": [longer]}, "minutes of one core",
                      "validation accuracy, %",
                      f"A hundred CIFAR-10 images on one core: with learned labels {points[-1][1]:.1f} % of the validation "
                      f"images after {measured['rows'][-1]['outer_step']} outer steps and {points[-1][0]:.0f} minutes, and "
                      f"{measured['test']:.1f} % of the test images; the plain set {longer[1]:.1f} % of the validation images "
                      f"after {plain['configuration']['outer_steps']:,} outer steps and {longer[0]:.0f} minutes")
