"""The field on one page: the table holds what ships, all of it within its budget, and its numbers come out again."""

import pytest

import ddlite as dd
from ddlite.cli import field, memories


@pytest.fixture(scope="module")
def data():
    return dd.load("digits")


def test_every_set_for_the_digits_has_its_place():
    ours = {name for name in (*dd.shipped(), *dd.shipped("gallery"))
            if dd.manifest(name)["configuration"]["data"] == "digits" and "gcond" not in name}
    assert ours == {name for methods in field.LEARNED.values() for name, _ in methods.values()}


@pytest.mark.parametrize("budget", field.LEARNED)
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


def test_only_what_has_steps_is_judged_by_them(data):
    """A set for a fixed start has its one network; matching gradients learned no step."""
    sets = {name: row.sets[0] for name, row in field.rows(data, 10, 1).items()}
    assert field.own_steps(sets["DC"], "MLP", data, 1) is None and field.own_steps(sets["KIP"], "MLP", data, 1) is None
    assert field.own_steps(sets["fixed start"], "MLP", data, 1) is None
    own = field.own_steps(sets["fixed start"], "SmallLeNet", data, 1)
    assert own.protocol == "A" and abs(own.mean - dd.manifest("digits-fixed-10")["test"]) < 2
    follows = field.own_steps(sets["MTT"], "MLP", data, 2)
    assert follows.protocol == "A" and follows.gradient_steps == 10 and 40 < follows.mean < 85


def test_the_table_is_whole_and_comes_out_again(data):
    about = dd.manifest("gallery/field-digits")
    assert about["data_fingerprint"] == data.fingerprint and "dirty" not in about["commit"]
    held_out = about["configuration"]["held out"]
    for name, row in about["rows"].items():
        counts = {len(scores) for scores in row["scores"].values() if scores}
        assert list(row["scores"]) == list(field.NETWORKS) and row["floats"] <= int(name.split()[1]) * 576
        assert counts == {held_out[name[0]]} or name.startswith("A"), name
    for budget, method in ((10, "DC"), (100, "KIP")):
        report = field.judge(field.rows(data, budget, 1)[method].sets, "MLP", data, held_out["B"])
        stored = about["rows"][f"B, {budget} images: {method}"]["scores"]["MLP"]
        assert report.protocol == "B" and max(abs(a - b) for a, b in zip(report.final, stored, strict=True)) < 3
        assert 80 < report.mean < 97
    expected = {f"B, {budget} images: {name}" for budget in field.LEARNED for name in field.rows(data, budget, 1)}
    assert expected < set(about["rows"])


def test_memory_is_that_of_one_outer_step(data):
    """All batches of a plain unroll are remembered, the adjoint keeps the weights: so it takes less, and the same again."""
    start, goal = dd.RandomStart(dd.MLP, data), dd.Fit(data)
    dset = dd.DistilledSet.noise(data, batches=30, passes=1, step_size=0.01)

    def states(engine):
        return dd.distill(dset, start, goal, 5, batch_size=32, validate_every=5, validation_networks=1, engine=engine)

    plain, adjoint, again = (field.memory(states(engine)) for engine in ("plain", "adjoint", "adjoint"))
    weights = sum(weight.numel() for weight in dd.MLP(data.shape).parameters()) * 4 / 2**20
    assert adjoint == again and 29 * weights < adjoint < 50 * weights < plain


def test_the_memory_of_each_learned_row_ships(data):
    about = dd.manifest("gallery/field-memory")
    assert set(about["MiB"]) == {f"{budget} images: {name}" for budget in field.LEARNED for name in field.LEARNED[budget]}
    assert field.memory(field.learning(data, 10, "DCC")) == pytest.approx(about["MiB"]["10 images: DCC"], rel=0.3)
