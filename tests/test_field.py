"""The field on one page: the tables hold what ships, all of it within its budget, and their numbers come out again."""

from dataclasses import replace
from importlib import resources

import pytest

import ddlite as dd
from ddlite import results
from ddlite.cli import field, memories
from ddlite.gallery import dc, gtn, idc, mtt, past, textures
from ddlite.machinery.files import fingerprint_of_file

PAGES = pytest.mark.parametrize("name", field.PAGES)
PIXELS = {"digits": 24 * 24, "mnist": 28 * 28}


@pytest.fixture(scope="module")
def data():
    return dd.load("digits")


def test_every_set_for_the_digits_has_its_place():
    ours = {name for name in (*dd.shipped(), *dd.shipped("gallery"))
            if dd.manifest(name)["configuration"]["data"] == "digits" and "gcond" not in name}
    assert ours == {name for methods in field.DIGITS.learned.values() for name, _ in methods.values()}


def test_every_method_has_its_place_on_mnist():
    """Several sets of a method may ship, for several networks; what stands for the digits stands for MNIST, too."""
    placed = {name: {(budget, method) for budget, methods in page.learned.items() for method in methods}
              for name, page in field.PAGES.items()}
    assert placed["digits"] <= placed["mnist"]
    assert all(dd.manifest(name)["configuration"]["data"] == "mnist" for methods in field.MNIST.learned.values()
               for name, _ in methods.values())


@pytest.mark.parametrize("budget", field.DIGITS.learned)
def test_nothing_takes_more_than_its_budget(data, budget):
    """Floats are counted as they are stored; what trains on them sees all images, of every class equally many."""
    for name, row in field.rows(data, budget, 1).items():
        [dset] = row.sets
        images, labels = memories.from_scratch(dset).examples()
        assert dset.floats <= budget * 576 and len(images) >= budget and row.seconds >= 0, name
        assert len(set(labels.bincount().tolist())) == 1 and images.isfinite().all()
    assert field.rows(data, budget, 1)["random real"].lesson is None


def test_small_sets_hold_as_many_as_fit(data):
    sets = {name: row.sets[0] for name, row in field.rows(data, 10, 1).items()}
    assert len(memories.from_scratch(sets["bases"]).examples()[0]) == 300
    assert sets["small real"].floats == 10 * 9 * 64 and len(sets["small real"].examples()[0]) == 90


@pytest.mark.parametrize("budget", [1, 50, "ten"])
def test_another_budget_is_refused(data, budget):
    with pytest.raises(ValueError, match="choose a budget of 10 or 100"):
        field.rows(data, budget)


def test_other_data_are_refused(data):
    with pytest.raises(ValueError, match="compared on digits and mnist, not on mine"):
        field.judge([], "MLP", replace(data, name="mine"))


def test_only_what_has_steps_is_judged_by_them(data):
    """A set for a fixed start has its one network; matching gradients learned no step."""
    sets = {name: row.sets[0] for name, row in field.rows(data, 10, 1).items()}
    assert field.own_steps(sets["DC"], "MLP", data, 1) is None and field.own_steps(sets["KIP"], "MLP", data, 1) is None
    assert field.own_steps(sets["fixed start"], "MLP", data, 1) is None
    own = field.own_steps(sets["fixed start"], "SmallLeNet", data, 1)
    assert own.protocol == "A" and abs(own.mean - dd.manifest("digits-fixed-10")["test"]) < 2
    follows = field.own_steps(sets["MTT"], "MLP", data, 2)
    assert follows.protocol == "A" and follows.gradient_steps == 10 and 40 < follows.mean < 85


@pytest.mark.parametrize("budget", field.DIGITS.learned)
def test_steps_and_images_are_those_of_the_sets(data, budget, monkeypatch):
    monkeypatch.setattr(memories, "tuned", lambda dset, *how: dset)
    sets = {**{name: row.sets[0] for name, row in field.rows(data, budget, 1).items() if row.lesson},
            **field.with_own_steps(data, budget)}
    said = field.steps_and_images("digits", budget)
    for name, dset in sets.items():
        if not field.has_steps(dset):
            assert name not in said
            continue
        sizes = [(len(images), size) for images, _, size in replace(dset, recipe=None).gradient_steps()]
        assert said[name] == (len(sizes), sizes[0][0]) and len({images for images, _ in sizes}) == 1, name


@PAGES
@pytest.mark.parametrize("budget", (10, 100))
def test_each_row_by_its_own_steps_says_how_many(name, budget):
    start, rows = f"A, {budget} images: ", dd.manifest(f"gallery/field-{name}")["rows"]
    judged = {row.removeprefix(start) for row, found in rows.items() if row.startswith(start) and any(found["scores"].values())}
    assert judged <= set(field.steps_and_images(name, budget))


STORAGES = {"patches": idc.Patches(2), "a canvas": textures.Canvas(2, 3), "bases": past.Bases(15, 3),
            "a generator": gtn.Generator(32, 64, 10)}


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("matched", ["outcome", "gradients", "trajectory"])
def test_the_cells_that_the_page_calls_ready_run(data, storage, matched):
    """Every storage with every goal but a kernel's answers: two outer steps, and the storage is kept."""
    how = {"outcome": {"step_size": 0.05}, "gradients": {"recipe": dd.Recipe()},
           "trajectory": {"step_size": 0.05, "tied": True, "recipe": dd.Recipe()}}[matched]
    begun = dd.DistilledSet.noise(data, passes=3, storage=STORAGES[storage], **how)
    start, goal = {"outcome": lambda: (dd.RandomStart(dd.MLP, data), dd.Fit(data)),
                   "gradients": lambda: (dd.RandomStart(dd.MLP, data), dc.Match(data)),
                   "trajectory": lambda: (mtt.Experts(dd.MLP, data, 1, 3, 1, 2).fill(), mtt.Follow(data))}[matched]()
    *_, state = dd.distill(begun, start, goal, outer_steps=2, batch_size=20, validate_every=2, validation_networks=1)
    learned = state.distilled
    assert type(learned.storage) is type(STORAGES[storage])
    assert any(not numbers.equal(begun.stored[name]) for name, numbers in learned.stored.items())


@PAGES
def test_the_table_is_whole(name):
    """A row for each method that ships and each that is computed, on each kind of network, within the budget."""
    page, about = field.PAGES[name], dd.manifest(f"gallery/field-{name}")
    assert about["configuration"]["networks"] == list(page.networks)
    sets = {f"{budget} images: {method}": set_name for budget, methods in page.learned.items()
            for method, (set_name, _) in methods.items()}
    held_out = about["configuration"]["held out"]
    for row, found in about["rows"].items():
        counts = {len(scores) for scores in found["scores"].values() if scores}
        assert list(found["scores"]) == list(page.networks) and found["floats"] <= int(row.split()[1]) * PIXELS[name]
        assert counts == {held_out[row[0]]} or row.startswith("A"), row
        assert "dirty" not in found["commit"]
        ships = sets.get(row[3:].removesuffix(", its own recipe"))
        with resources.as_file(results.ASSETS / f"{ships}.safetensors") as path:
            assert found["set"] == (fingerprint_of_file(path) if ships else None), f"{row}: another set ships"
    computed = {10: {"class means", "k-means in bases"}, 100: {"k-means"}}
    expected = {f"B, {budget} images: {method}" for budget, methods in page.learned.items()
                for method in {*methods, *computed[budget], "random real", "small real", "small k-means"}}
    assert expected < set(about["rows"])
    memory = dd.manifest(f"gallery/field-{name}-memory")
    assert set(memory["MiB"]) == set(sets) and "dirty" not in memory["commit"]


def comes_out_again(data, budget, method, network="MLP", within=3):
    about, name = dd.manifest(f"gallery/field-{data.name}"), f"B, {budget} images: {method}"
    assert about["data_fingerprint"] == data.fingerprint
    learned = dd.DistilledSet.shipped(field.page(data).learned[budget][method][0])
    report, stored = field.judge([learned], network, data, 3), about["rows"][name]["scores"][network]
    assert report.protocol == "B" and max(abs(a - b) for a, b in zip(report.final, stored, strict=True)) < within
    return report.mean


def test_the_digits_table_comes_out_again(data):
    assert set(field.not_learned(data, 10)) == {"class means", "k-means in bases", "random real", "small real", "small k-means"}
    for budget, method in ((10, "DC"), (100, "KIP")):
        assert 80 < comes_out_again(data, budget, method) < 97


def test_mnists_table_comes_out_again(real_root):
    data = dd.load("mnist", root=real_root)
    for budget, method in ((10, "MTT"), (100, "IDC")):
        assert 75 < comes_out_again(data, budget, method) < 97


def test_memory_is_that_of_one_outer_step(data):
    """All batches of a plain unroll are remembered, the adjoint keeps the weights: so it takes less, and the same again."""
    start, goal = dd.RandomStart(dd.MLP, data), dd.Fit(data)
    dset = dd.DistilledSet.noise(data, batches=30, passes=1, step_size=0.01)

    def states(engine):
        return dd.distill(dset, start, goal, 5, batch_size=32, validate_every=5, validation_networks=1, engine=engine)

    plain, adjoint, again = (field.memory(states(engine)) for engine in ("plain", "adjoint", "adjoint"))
    weights = sum(weight.numel() for weight in dd.MLP(data.shape).parameters()) * 4 / 2**20
    assert adjoint == pytest.approx(again, rel=1e-3)  # now and then another thread frees a few kilobytes later
    assert 29 * weights < adjoint < 50 * weights < plain


def test_the_memory_of_a_learned_row_comes_out_again(data):
    about = dd.manifest("gallery/field-digits-memory")
    assert field.memory(field.learning(data, 10, "DCC")) == pytest.approx(about["MiB"]["10 images: DCC"], rel=0.3)
