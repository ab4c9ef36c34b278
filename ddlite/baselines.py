"""What sets of images can do without learning: real ones, class means, cluster centres, under the same gradient steps."""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch

from ddlite.beginnings import checked
from ddlite.data import Data, need_data
from ddlite.distilled import DistilledSet
from ddlite.evaluate import Report, evaluate
from ddlite.machinery import arguments
from ddlite.machinery.arguments import number, several, whole
from ddlite.scratch import Recipe, train_from_scratch
from ddlite.starts import FixedStart
from ddlite.valid import need_set

# Four to a decade, from 0.001 to 5.6: the paper's grid, wider and finer.
STEP_SIZES = tuple(round(10 ** (k / 4), 4) for k in range(-12, 4))
PASSES = (1, 3, 5)


def class_means(data: Data, batches: int = 1, passes: int = 3, step_size: float = 0.02) -> DistilledSet:
    """The mean training image of each class, the same images in every batch: a `DistilledSet`."""
    _, batches, passes, _ = checked(data, 1, batches, passes, 0)
    means = torch.stack([data.train.images[data.train.labels == label].mean(0) for label in range(len(data.classes))])
    return _as_set(data, means.expand(batches, *means.shape), passes, step_size)


def real_images(data: Data, images_per_class_and_batch: int = 1, batches: int = 1, passes: int = 3, step_size: float = 0.02,
                seed: int = 0) -> DistilledSet:
    """Training images drawn at random, all different: `DistilledSet.real`. Raises ValueError if a class has too few."""
    return DistilledSet.real(data, images_per_class_and_batch, batches, passes, step_size, seed=seed)


def centres(data: Data, images_per_class_and_batch: int = 1, batches: int = 1, passes: int = 3, step_size: float = 0.02,
            seed: int = 0) -> DistilledSet:
    """The centres of k-means in each class, as many as there are images (scikit-learn, k-means++): a `DistilledSet`.

    Raises ValueError if a class has fewer images than centres.
    """
    from sklearn.cluster import KMeans  # takes seconds to import

    seed = arguments.seed(seed)

    def draw(images, wanted):
        clusters = KMeans(wanted, n_init=1, random_state=seed).fit(images.flatten(1).cpu().numpy())
        return torch.from_numpy(clusters.cluster_centers_).to(images).unflatten(1, images.shape[1:])

    return _by_class(data, draw, images_per_class_and_batch, batches, passes, step_size)


def with_best_step_size(dset: DistilledSet, start: Any, goal: Any, step_sizes: Sequence[float] = STEP_SIZES,
                        passes: Iterable[int] | None = None, networks: int = 4) -> tuple[DistilledSet, dict[float, float]]:
    """The set with the constant step size, and the number of passes, that score best on the validation images.

    Args:
        dset: the `DistilledSet`; its own step sizes play no part.
        start, goal: as for `distill`.
        step_sizes: the constants to try.
        passes: the numbers of passes to try; by default the set's own alone.
        networks: how many validation networks each choice is tried on.

    Returns the `DistilledSet` and a dict of validation scores in percent: {step size: score} for the best number of passes.
    """
    need_set(dset)
    _need(goal, start)
    passes = (dset.passes,) if passes is None else several("passes", passes, partial(whole, least=1))
    step_sizes = several("step_sizes", step_sizes, partial(number, least=0))
    networks = whole("networks", networks, 1)
    scores = {}
    for size in step_sizes:
        tried = replace(dset, step_sizes=dset.step_sizes.new_full((dset.batches * max(passes),), size))
        with warnings.catch_warnings():  # that the largest diverge is what is to be found out
            warnings.filterwarnings("ignore", message=".* networks diverged")
            report = evaluate(tried, start.networks("validation", networks), goal, goal.data.validation, after=passes)
        for k, score in zip(report.after, zip(*report.scores)):
            scores[k, size] = sum(score) / len(score)
    best, size = max(scores, key=scores.get)
    chosen = replace(dset, step_sizes=dset.step_sizes.new_full((dset.batches * best,), size))
    return chosen, {size: score for (k, size), score in scores.items() if k == best}


def nearest_neighbour(goal: Any, dset: DistilledSet) -> float:
    """The goal's score of the k nearest neighbours among the set's images, on normalised pixels, in percent on the test images.

    Nothing is trained; k (1, 3 or 5) is chosen on the validation images (scikit-learn). A learned label counts as its
    likeliest class.
    """
    from sklearn.neighbors import KNeighborsClassifier  # takes seconds to import

    need_set(dset)
    _need(goal)
    images, labels = dset.examples()
    labels = labels.argmax(-1) if labels.is_floating_point() else labels
    images, labels = images.flatten(1).cpu().numpy(), labels.cpu().numpy()

    def percent(k, split):
        predicted = KNeighborsClassifier(k).fit(images, labels).predict(split.images.flatten(1).cpu().numpy())
        return goal.rate(torch.from_numpy(predicted).to(split.labels), split.labels)

    k = max([k for k in (1, 3, 5) if k <= len(images)], key=lambda k: percent(k, goal.data.validation))
    return percent(k, goal.data.test)


def table(goal: Any, start: Any, images_per_class_and_batch: int = 1, batches: int = 10, passes: Sequence[int] = PASSES,
          networks: int = 200, draws: int = 5, candidates: int = 20, epochs: int = 10,
          fully_trained: int = 5) -> Iterator[tuple[str, Report]]:
    """The paper's Table 1 row for any data: every baseline on held-out networks, one (name, `Report`) after the other.

    Args:
        goal, start: as for `distill`; all is chosen on validation images and networks, all is reported on test images and
            held-out networks.
        images_per_class_and_batch, batches: as of the distilled set they stand beside.
        passes: the numbers of passes to choose from (the paper's: 1, 3, 5).
        networks: held-out networks for each row, shared out among its draws.
        draws: sets of random real images, of k-means centres and of neighbours.
        candidates: random sets of which the best fifth, by validation score, make the row "best of random".
        epochs, fully_trained: how long, and how many networks are trained on all the real training images.

    Each kind of set has its own best constant step size and number of passes, all the real images the better of two rates.
    `dict(table(...))` gives all rows at once.
    """
    _need(goal, start)
    counts = {"images_per_class_and_batch": images_per_class_and_batch, "batches": batches, "networks": networks,
              "draws": draws, "candidates": candidates, "epochs": epochs, "fully_trained": fully_trained}
    images_per_class_and_batch, batches, networks, draws, candidates, epochs, fully_trained = (
        whole(name, value, 1) for name, value in counts.items())
    data, size = goal.data, {"images_per_class_and_batch": images_per_class_and_batch, "batches": batches}
    random = [real_images(data, **size, seed=seed) for seed in range(max(draws, candidates))]
    tuned, _ = with_best_step_size(random[0], start, goal, passes=passes)  # one choice for all random sets
    random = [replace(dset, step_sizes=tuned.step_sizes) for dset in random]
    yield "random real", over_draws(random[:draws], start, goal, networks)
    scores = [evaluate(dset, start.networks("validation", 4), goal, data.validation, [dset.passes]).mean
              for dset in random[:candidates]]
    order = sorted(range(candidates), key=scores.__getitem__, reverse=True)
    yield "best of random", over_draws([random[k] for k in order[: max(1, candidates // 5)]], start, goal, networks)
    clusters = [centres(data, **size, seed=seed) for seed in range(draws)]
    tuned, _ = with_best_step_size(clusters[0], start, goal, passes=passes)
    yield "k-means", over_draws([replace(dset, step_sizes=tuned.step_sizes) for dset in clusters], start, goal, networks)
    means, _ = with_best_step_size(class_means(data, batches), start, goal, passes=passes)
    yield "class means", over_draws([means], start, goal, networks)
    for name, sets in (("k-NN, random real", random[:draws]), ("k-NN, k-means", clusters)):
        yield name, _report(goal, [[nearest_neighbour(goal, dset)] for dset in sets], 0, "draw")

    yield "all real images", all_images(goal, start, epochs, fully_trained)


def all_images(goal, start, epochs=10, networks=5):
    """A `Report` of held-out networks trained on all the real training images, at the better of two rates."""
    data = goal.data

    def trained(network, rate):
        network = network.to(data.train.images.device)
        return train_from_scratch(data.train.images, data.train.labels, network, epochs, learning_rate=rate)

    [one] = start.networks("validation", 1)
    rate = max((0.01, 0.05), key=lambda rate: goal.score(trained(one, rate), data.validation))
    networks = [trained(network, rate) for network in start.networks("held-out", networks)]
    steps = epochs * -(-len(data.train) // 256)
    return _report(goal, [[goal.score(network, data.test)] for network in networks], steps, "network")


def from_scratch(goal: Any, start: Any, images_per_class: int = 1, recipe: Recipe | None = None, storages: Sequence = (),
                 networks: int = 10, draws: int = 5, epochs: int = 10, fully_trained: int = 1) -> Iterator[tuple[str, Report]]:
    """The same under protocol B, where networks are trained from scratch by a recipe: (name, `Report`) after (name, `Report`).

    Args:
        goal, start: as for `distill`.
        images_per_class: of random real images and k-means; class means are one for each class.
        recipe: a `Recipe`, by default with the field's customary values.
        storages: each adds a row of real images kept in it, in the floats of `images_per_class` plain ones.
        networks, draws: held-out networks of each row, and the sets they are shared out among.
        epochs, fully_trained: as for `table`.
    """
    _need(goal, start)
    recipe, data, seeds = recipe or Recipe(), goal.data, range(whole("draws", draws, 1))

    def row(sets):
        return over_draws([replace(dset, recipe=recipe, step_sizes=None) for dset in sets], start, goal, networks)

    yield "random real", row([real_images(data, images_per_class, seed=seed) for seed in seeds])
    for storage in storages:
        yield (f"real in {storage}",
               row([DistilledSet.real(data, images_per_class, seed=seed, storage=storage) for seed in seeds]))
    yield "class means", row([class_means(data)])
    if images_per_class > 1:
        yield "k-means", row([centres(data, images_per_class, seed=seed) for seed in seeds])
    yield "all real images", all_images(goal, start, epochs, fully_trained)


def over_draws(sets: Sequence[DistilledSet], start: Any, goal: Any, networks: int) -> Report:
    """One report over held-out networks, each trained on one of the sets, in turn; a fixed start has one, for every set."""
    each = -(-networks // len(sets))
    reports = [evaluate(dset, start.networks("held-out", min(each, networks - k * each), first=k * each), goal,
                        goal.data.test, [dset.passes]) for k, dset in enumerate(sets) if k * each < networks]
    first, scores = reports[0], [scores for report in reports for scores in report.scores]
    return replace(first, scores=scores, draws=len(reports), unit="draw" if isinstance(start, FixedStart) else "network",
                   per_class={name: sum(report.per_class[name] * len(report.scores) for report in reports) / len(scores)
                              for name in first.per_class},
                   measures=first.measures and {words: [one for report in reports for one in report.measures[words]]
                                                for words in first.measures})


def _report(goal, scores, steps, unit):
    return Report((1,), scores, None, goal.data.name, "test", len(goal.data.test), steps, unit, protocol=None)


def _by_class(data, draw, images_per_class_and_batch, batches, passes, step_size):
    """A set of `draw(images of a class, how many)` for each class, dealt out to the batches."""
    need_data(data)
    images_per_class_and_batch = whole("images_per_class_and_batch", images_per_class_and_batch, 1)
    _, batches, passes, _ = checked(data, images_per_class_and_batch, batches, passes, 0)
    wanted, drawn = images_per_class_and_batch * batches, []
    for label, name in enumerate(data.classes):
        own = data.train.images[data.train.labels == label]
        if len(own) < wanted:
            raise ValueError(f"Class {name} has {len(own)} training images, and images_per_class_and_batch x batches asks for "
                             f"{wanted}.")
        drawn.append(draw(own, wanted).unflatten(0, (batches, images_per_class_and_batch)))
    return _as_set(data, torch.cat(drawn, dim=1), passes, step_size)


def _need(goal, start=None):
    if not hasattr(goal, "rate"):
        raise ValueError(f"A {type(goal).__name__} was given as goal: e.g. ddlite.Fit(data) is needed.")
    if start is not None and not hasattr(start, "networks"):
        raise ValueError(f"A {type(start).__name__} was given as start: e.g. ddlite.RandomStart(ddlite.MLP, data) is needed.")


def _as_set(data, images, passes, step_size):
    batches, classes = len(images), len(data.classes)
    step_size = number("step_size", step_size, least=0)
    labels = torch.arange(classes, device=images.device).repeat_interleave(images.shape[1] // classes).repeat(batches, 1)
    return DistilledSet(images, labels, torch.full((batches * passes,), step_size, device=images.device),
                        data.name, data.classes, data.mean, data.std)
