"""What public functions answer where an argument cannot be: words that name it and the way out, before anything long begins."""

import numpy as np
import pytest
import torch

import ddlite as dd
from ddlite.machinery.arguments import number, several, shown, whole


@pytest.mark.parametrize("value", [3, 3.0, np.int8(3), np.float32(3), np.array(3), torch.tensor(3), torch.tensor([3]),
                                   torch.tensor(3.0)])
def test_a_whole_number_of_any_kind(value):
    assert type(whole("n", value)) is int and whole("n", value) == 3


@pytest.mark.parametrize("value", [1.5, -1, "3", b"3", None, True, np.bool_(True), torch.tensor(True), float("nan"),
                                   float("inf"), [3], (3,), {3: 3}, torch.tensor([1, 2]), np.array([1.5, 2]), 3 + 0j, len])
def test_what_is_no_whole_number(value):
    with pytest.raises(ValueError, match="n=.*: a whole number, 0 or more, is needed"):
        whole("n", value)


@pytest.mark.parametrize("value", ["x", None, True, float("nan"), float("inf"), 10**400, [0.5], torch.ones(2), -0.1, 1.0])
def test_what_is_no_number(value):
    with pytest.raises(ValueError, match="n=.*: a finite number, 0 or more and less than 1, is needed"):
        number("n", value, least=0, below=1)


def test_bounds_are_said_and_long_values_cut():
    for value in (0, 10**7, 2**70):
        with pytest.raises(ValueError, match="a whole number, from 1 to 1,000, is needed"):
            whole("n", value, 1, 1000)
    assert len(shown("x" * 1000)) < 70 and "\n" not in shown(np.ones((9, 9)))
    for values in ((), [], "12", 3, None):
        with pytest.raises(ValueError, match="a list of at least one number"):
            several("n", values, number)
    assert several("n", np.array([1.0, 2.0]), number) == several("n", (k for k in (1, 2)), number) == (1.0, 2.0)


@pytest.fixture
def given(tiny):
    return {"data": tiny, "goal": dd.Fit(tiny), "start": dd.RandomStart(dd.MLP, tiny), "dset": dd.DistilledSet.noise(tiny)}


@pytest.mark.parametrize("make, options, words", [
    ("class_means", {"batches": 1.5}, "batches=1.5"), ("class_means", {"passes": 0}, "passes=0"),
    ("class_means", {"step_size": "x"}, "step_size='x'"), ("class_means", {"batches": 10**9}, "Ask for less"),
    ("class_means", {"passes": 10**12}, "Ask for less"),
    ("real_images", {"images_per_class_and_batch": 1.5}, "images_per_class_and_batch=1.5"),
    ("real_images", {"seed": None}, "seed=None"), ("real_images", {"images_per_class_and_batch": 10**9}, "Ask for less"),
    ("real_images", {"step_size": -1}, "step_size=-1"),
    ("real_images", {"images_per_class_and_batch": 1000}, "has 16 training images"),
    ("centres", {"batches": "2"}, "batches='2'"), ("centres", {"seed": -1}, "seed=-1"),
    ("centres", {"passes": True}, "passes=True"),
    ("centres", {"images_per_class_and_batch": 1000}, "asks for 1000"),
    ("centres", {"images_per_class_and_batch": 0.5}, "images_per_class_and_batch=0.5"),
])
def test_sets_of_baselines(given, make, options, words):
    with pytest.raises(ValueError, match=words):
        getattr(dd.baselines, make)(given["data"], **options)
    with pytest.raises(ValueError, match="A Split was given where a whole data set is needed"):
        getattr(dd.baselines, make)(given["data"].train)


@pytest.mark.parametrize("options, words", [
    ({"step_sizes": ()}, "step_sizes=()"), ({"step_sizes": 0.1}, "step_sizes=0.1"),
    ({"step_sizes": (float("nan"),)}, "step_sizes=nan"),
    ({"step_sizes": (-1,)}, "step_sizes=-1"), ({"passes": ()}, "passes="), ({"passes": (0,)}, "passes=0"),
    ({"passes": 3}, "passes=3"),
    ({"networks": 0}, "networks=0"), ({"dset": None}, "A NoneType was given where a distilled set"),
    ({"goal": None}, "e.g. ddlite.Fit"),
    ({"start": dd.MLP()}, "A MLP was given as start"),
])
def test_the_best_step_size(given, options, words):
    arguments = {**{name: given[name] for name in ("dset", "start", "goal")}, **options}
    with pytest.raises(ValueError, match=words):
        dd.baselines.with_best_step_size(**arguments)


@pytest.mark.parametrize("name", ["networks", "draws", "candidates", "images_per_class_and_batch", "batches", "epochs",
                                  "fully_trained"])
def test_the_table_of_baselines(given, name):
    for value in (0, 1.5, "1"):
        with pytest.raises(ValueError, match=f"{name}={value!r}: a whole number, 1 or more"):
            next(dd.baselines.table(given["goal"], given["start"], **{name: value}))


def test_neighbours(given):
    with pytest.raises(ValueError, match="A Data was given as goal"):
        dd.baselines.nearest_neighbour(given["data"], given["dset"])
    with pytest.raises(ValueError, match="where a distilled set is needed"):
        dd.baselines.nearest_neighbour(given["goal"], given["data"])


@pytest.mark.parametrize("options, words", [
    ({"dset": None}, "A NoneType was given where a distilled set"), ({"goal": 3}, "A int was given as goal"),
    ({"split": None}, "where one part of a data set is needed, e.g. data.test"), ({"after": "3"}, "after='3'"),
    ({"after": 3}, "after=3: a list"), ({"after": [1.5]}, "after=1.5"), ({"after": []}, "a list of at least one"),
    ({"after": [4]}, r"after=\[4\]: the set has 3 passes"),
    ({"networks": dd.MLP()}, "A MLP was given as networks: a list is needed"),
    ({"networks": None}, "A NoneType was given as networks"), ({"networks": []}, "no network to evaluate"),
])
def test_evaluate(given, options, words):
    arguments = {"dset": given["dset"], "networks": given["start"].networks("held-out", 1), "goal": given["goal"],
                 "split": given["data"].test, **options}
    with pytest.raises(ValueError, match=words):
        dd.evaluate(**arguments)


def test_a_part_is_not_the_whole_nor_the_whole_a_part(given):
    for make in (dd.Fit, lambda data: dd.Attack(data, 0, 1), lambda data: dd.RandomStart(dd.MLP, data), dd.DistilledSet.noise):
        with pytest.raises(ValueError, match="A Split was given where a whole data set is needed"):
            make(given["data"].train)
    with pytest.raises(ValueError, match="A Data was given where one part of a data set is needed, e.g. data.test"):
        dd.accuracy(given["start"].networks("held-out", 1)[0], given["data"])


@pytest.mark.parametrize("change, words", [
    ({"passes": 1.5}, "passes=1.5: a whole number, 1 or more"), ({"passes": "3"}, "passes='3'"),
    ({"outer_steps": 0}, "outer_steps=0"),
    ({"outer_steps": float("inf")}, "outer_steps=inf"), ({"images_per_class_and_batch": "x"}, "images_per_class_and_batch='x'"),
    ({"images_per_class_and_batch": float("nan")}, "images_per_class_and_batch=nan"), ({"step_size": -1}, "step_size=-1"),
    ({"momentum": 1}, "less than 1"),
    ({"learning_rate": 0}, "learning_rate=0"), ({"network": "LeNet"}, "a class such as ddlite.LeNet"),
    ({"batch_size": 0}, "batch_size=0"),
    ({"network": dd.MLP()}, "a class such as ddlite.LeNet"), ({"data": 5}, "data=5: text"),
    ({"start": "x"}, "'fixed', 'random' or 'pool'"),
    ({"pool": -1}, "pool=-1"), ({"pool": 0}, "A pool needs"), ({"halve_every": 0}, "A pool needs"),
    ({"pretraining_epochs": -1}, "=-1"),
    ({"learn_labels": "no"}, "learn_labels='no': True or False"), ({"source": 7}, "source=7"), ({"victim": 1.5}, "victim=1.5"),
    ({"pretraining_rate": -1}, "pretraining_rate=-1"), ({"nope": 1}, "There is no setting nope"),
])
def test_settings_of_profiles(change, words):
    with pytest.raises(ValueError, match=words):
        dd.profiles.adaptation("quick", **change)


@pytest.mark.parametrize("name", [None, "quik", ["quick"], {}, 3])
def test_unknown_profiles_and_experiments(name):
    with pytest.raises(ValueError, match="There is no profile.*Known: quick"):
        dd.profiles.fixed(name)
    with pytest.raises(ValueError, match="There is no experiment.*Known: fixed"):
        dd.profiles.of(name, "quick")


def test_settings_that_are_written_otherwise():
    assert dd.profiles.fixed("quick", passes=3.0, outer_steps=1e3).outer_steps == 1000
    assert type(dd.profiles.fixed("quick", passes=np.int64(4)).passes) is int


@pytest.mark.parametrize("name, value", [
    ("outer_steps", 2.5), ("outer_steps", None), ("outer_steps", 0), ("seed", 2**64), ("seed", 1.5), ("seed", None),
    ("batch_size", 1.5), ("batch_size", 10**12), ("networks", "2"), ("networks", 0), ("learning_rate", 0),
    ("learning_rate", float("nan")), ("decay", -1),
    ("average", 1), ("average", "x"), ("clip", 0), ("clip", float("nan")), ("validate_every", 0), ("validation_networks", 1.5),
    ("checkpoint_every", 0), ("step_size_rate", None)])
def test_a_distillation_says_what_it_needs(name, value):
    data = dd.load("digits", size=8)
    settings = {"outer_steps": 2, name: value}
    with pytest.raises(ValueError, match=f"{name}="):
        dd.distill(dd.DistilledSet.noise(data), dd.RandomStart(dd.MLP, data), dd.Fit(data), **settings)


def test_a_distillation_needs_its_three_nouns():
    data = dd.load("digits", size=8)
    dset, start, goal = dd.DistilledSet.noise(data), dd.RandomStart(dd.MLP, data), dd.Fit(data)
    for arguments, words in (((dset, dd.MLP(data.shape), goal), "MLP was given as start"),
                             ((dset, start, data), "Data was given as goal"), ((data, start, goal), "distilled set is needed"),
                             ((dset, None, goal), "NoneType was given as start")):
        with pytest.raises(ValueError, match=words):
            dd.distill(*arguments, 1)
