"""Methods of the gallery with a loop of their own, as `methods` wants them: how they are run, judged and compared."""

from dataclasses import replace
from functools import partial

import ddlite as dd
from ddlite.gallery import gcn, gcond, graphs, kip, nodes

RATES = 0.01, 0.05  # of cross-entropies, the better by validation; squares learn at the rate of `kip.RECIPE`

KIP = {"images_per_class_and_batch": 1, "outer_steps": 600, "depth": 1, "ridge": 1e-6, "batch_size": 500, "learning_rate": 0.04,
       "learn_labels": False, "validate_every": 50}


def run_kip(settings, data, seed):
    """`run` of KIP. A set is judged by its kernel, which is no network; what finite networks make of it stands beside that."""
    names = ("outer_steps", "depth", "ridge", "batch_size", "learning_rate", "learn_labels", "validate_every")

    def states(checkpoint):
        dset = dd.DistilledSet.real(data, round(settings["images_per_class_and_batch"]), seed=seed)
        return kip.distill(dset, data, seed=seed, checkpoint=checkpoint, **{name: settings[name] for name in names})

    def judge(best, held_out):
        rows = {name: summary(report) for name, report in finite(best, data, held_out, seed, settings["depth"])}
        return kip.read(best, data.test, settings["depth"], settings["ridge"]), {"finite": rows}

    return states, judge


def finite(dset, data, networks=3, seed=0, depth=1):
    """What finite networks make of a set, trained on it from scratch: (name, `Report`) after (name, `Report`).

    Wide ones on squares, f - f₀ and without subtracting f₀; the package's own by cross-entropy, on the likeliest classes.
    """
    images, labels = dset.examples()
    squares = replace(dset, step_sizes=None, momentum=None, recipe=kip.RECIPE)
    labels = labels.argmax(-1) if labels.is_floating_point() else labels
    classes = dd.DistilledSet.from_tensors(images, labels, data)
    for name, one, start in (
            ("squares, width 1024", squares, kip.wide(data, seed, depth=depth)),
            ("squares, width 64", squares, kip.wide(data, seed, depth=depth, width=64)),
            ("squares, width 1024, f₀ not subtracted", squares, kip.wide(data, seed, depth=depth, centred=False)),
            ("cross-entropy, MLP", replace(classes, recipe=dd.Recipe(200)), dd.RandomStart(dd.MLP, data, seed=seed)),
            ("cross-entropy, ConvNet3", replace(classes, recipe=dd.Recipe(100)),
             dd.RandomStart(partial(dd.ConvNet3, width=32), data, seed=seed))):
        if one is not squares:
            tried = [replace(one, recipe=replace(one.recipe, learning_rate=rate)) for rate in RATES]
            one = max(tried, key=lambda each, start=start: dd.evaluate(each, start.networks("validation", 1), dd.Fit(data),
                                                                       data.validation, [1]).mean)
        yield name, dd.evaluate(one, start.networks("held-out", networks), dd.Fit(data), data.test, [1])


def summary(report):
    """What a manifest says of a row beside the main one."""
    return {"mean": round(report.mean, 2), "std": report.std and round(report.std, 2), "networks": len(report.final)}


def compare_kip(settings, data, held_out, epochs=None):
    """`baselines` of KIP: sets without learning, read by the same kernel; then real images in finite networks."""
    yield from read_by_kernel(settings, data)
    real = dd.baselines.real_images(data, round(settings["images_per_class_and_batch"]))
    for name, report in finite(real, data, held_out, depth=settings["depth"]):
        yield f"random real, {name}", report


def read_by_kernel(settings, data, draws=5):
    """Sets without learning, read by the kernel: (name, `Report`) after (name, `Report`)."""
    size, how = round(settings["images_per_class_and_batch"]), (settings["depth"], settings["ridge"])
    reports = [kip.read(dd.baselines.real_images(data, size, seed=seed), data.test, *how) for seed in range(draws)]
    yield "random real", replace(reports[0], scores=[report.scores[0] for report in reports], unit="draw", per_class=None)
    solved = [kip.solve_labels(dd.baselines.real_images(data, size, seed=seed), data, *how) for seed in range(draws)]
    reports = [kip.read(dset, data.test, *how) for dset in solved]
    yield "random real, label solve", replace(reports[0], scores=[report.scores[0] for report in reports], unit="draw",
                                              per_class=None)
    yield "class means", kip.read(dd.baselines.class_means(data), data.test, *how)
    if size > 1:
        yield "k-means", kip.read(dd.baselines.centres(data, size), data.test, *how)


GCOND = {"nodes": 20, "outer_steps": 600, "learning_rate": 0.01, "matches": 10, "between": 5, "edges_for": 10,
         "features_for": 40, "validate_every": 100, "steps": 300, "falling": True}


def load_graph(settings, device="cpu"):
    """The graph of the settings. Raises ValueError for another device than the CPU."""
    if str(device) != "cpu":
        raise ValueError(f"--device {device}: graphs of this size are learned on the CPU alone. Leave it out.")
    return graphs.load(settings["data"])


def run_gcond(settings, graph, seed):
    """`run` of GCond. The small graph is judged with its edges; beside that, without them, left out or folded in."""
    names = ("outer_steps", "learning_rate", "matches", "between", "edges_for", "features_for", "validate_every", "steps",
             "falling")

    def states(checkpoint):
        return gcond.distill(graph, settings["nodes"], seed=seed, checkpoint=checkpoint,
                             **{name: settings[name] for name in names})

    def judge(best, held_out):
        bare, folded = (gcn.judge(each, graph, held_out, settings["steps"], seed=seed)
                        for each in (best.without_edges(), best.folded()))
        return gcn.judge(best, graph, held_out, settings["steps"], seed=seed), {"without_edges": summary(bare),
                                                                               "folded": summary(folded)}

    return states, judge


def compare_gcond(settings, graph, held_out, epochs=None, draws=3):
    """`baselines` of GCond: nodes chosen without learning, and the whole graph, by the same recipe."""
    for name, make in nodes.BASELINES.items():
        each = max(1, held_out // draws)
        reports = [gcn.judge(make(graph, settings["nodes"], seed), graph, each, settings["steps"], seed=seed)
                   for seed in range(draws)]
        yield name, replace(reports[0], scores=[score for report in reports for score in report.scores], draws=draws)
    yield "whole graph", gcn.judge(graph, graph, min(held_out, 3), settings["steps"])
