"""Results from Python: tickets as plain modules with the accuracy of their row, figures, what is refused."""

import numpy as np
import pytest
import torch
from torch import nn

import lthray
from lthray.api.results import folder_of
from lthray.driver.datasets import known
from lthray.errors import InputError
from lthray.store.folder import Store
from lthray.worker.train import train_stack
from tests.engine.test_module import SMALL, own


@pytest.fixture
def trained(make, tmp_path):
    """Trains trajectories of the given fields, without Ray, and opens their results."""

    def train(*fields):
        store = Store(tmp_path / "results")
        store.create("name: tested\n")
        specs = [make(**{"rounds": 1, "iterations": 40} | own_fields) for own_fields in fields]
        arrays = {"digits-8x8": known.read("digits-8x8", None)}
        for spec in specs:
            train_stack([spec], arrays, lambda message: None, store=store, threads=1, gpus=0)
        return lthray.open(tmp_path / "results"), [spec.trajectory_id for spec in specs]

    return train


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"model": "lenet-5"},
        own(SMALL) | {"normalize": {"mean": [0.3], "std": [0.2]}},
        {"retrain": {"iterations": 10}},
    ],
    ids=["dense", "convolutions", "module", "retrained"],
)
def test_a_ticket_is_a_plain_module_with_the_accuracy_of_its_row(fields, trained, digits):
    results, (name,) = trained(fields)
    row = results.rounds.iloc[-1]
    network = results.module(name, 1)
    images = digits.test.as_floats().images.view(-1, 1, 8, 8)
    with torch.no_grad():
        accuracy = (network(images).argmax(1) == digits.test.labels).double().mean().item()
    assert accuracy == pytest.approx(row["final_none_accuracy_test"], abs=0.003)
    assert accuracy > 0.3
    assert isinstance(network, nn.Module)
    assert not network.training
    ticket = results.ticket(name, 1)
    weights = dict(network.state_dict())
    for layer, mask in ticket.masks.items():
        tensor = weights[next(key for key in weights if key.endswith(f"{layer}.weight"))].numpy()
        np.testing.assert_array_equal(tensor, ticket.weights[layer])
        assert not tensor[mask == 0].any()
        assert (mask == 0).any()
    assert results.trajectory(name, 1).trajectory_id == name


def test_figures_are_named_by_what_they_show_and_the_page_goes_beside_the_results(trained):
    results, _ = trained({"train_attack": "fgsm"}, {"train_attack": "fgsm", "strategy": "random"})
    figures = results.figures()
    assert [*figures] == ["sparsity · digits-8x8", "accuracy · digits-8x8", "loss · digits-8x8"]
    assert all(figure.get_label().endswith(".") for figure in figures.values())
    page = results.report(margin=0.02)
    assert page.read_text().count("2 points") > 0
    assert str(page) == f"{results.folder}/report/index.html"
    assert "2 complete" in results._repr_html_()


def test_one_network_is_named_by_the_fields_that_it_alone_has(trained):
    results, (first, second) = trained({"strategy": "reset"}, {"strategy": "random"})
    assert results.trajectory({"strategy": "random"}).trajectory_id == second
    assert results.ticket({"strategy": "reset"}, 0).masks["output"].all()
    last = results.ticket({"strategy": "reset"}).masks["output"]
    assert (last == results.ticket(first, 1).masks["output"]).all()
    assert not last.all()
    for fields, line in (
        ({"seed": 0}, "2 trajectories have seed=0; name one by its trajectory_id, or by the fields that vary"),
        ({"strategy": "transfer"}, "0 trajectories have strategy=transfer"),
        ({"strateggy": "reset"}, "unknown field strateggy; did you mean strategy"),
    ):
        with pytest.raises(InputError, match=line):
            results.module(fields)


def test_there_is_a_frame_in_tunes_shape_but_no_result_grid(trained):
    results, names = trained({"strategy": "reset"}, {"strategy": "random"})
    frame = results.tune
    assert sorted(frame["trial_id"]) == sorted(names)
    assert set(frame["round"]) == {1}
    assert sorted(frame["config/strategy"]) == ["random", "reset"]
    assert "config/pgd.steps" in frame
    assert "final_none_accuracy_test" in frame


def test_what_is_not_there_is_one_line(trained, tmp_path):
    results, (name,) = trained({})
    for number, line in ((2, f"has no round 2 of a trajectory {name}"), (-1, "has no round -1")):
        with pytest.raises(lthray.InputError, match=line):
            results.module(name, number)
    with pytest.raises(InputError, match="has no round 0 of a trajectory 0123"):
        results.ticket("0123", 0)
    with pytest.raises(InputError, match="no such folder"):
        lthray.open(tmp_path / "nowhere")
    assert folder_of(tmp_path) == str(tmp_path)
    assert folder_of(results) == results.folder
