"""A search made up, for the tests of its numbers, its figures and its section of the page."""

import json

import pytest
import yaml

from lthray.analysis import load
from lthray.analysis.numbers import search
from tests.analysis import synthetic

METRIC = "early_stopping_fgsm_accuracy_validation"
SWEEP = {
    "name": "searched",
    "protocol": "paper",
    "grid": {"strategy": ["reset", "random"], "seed": [0, 1]},
    "search": {
        "space": {"learning_rate": {"loguniform": [1e-4, 1e-2]}, "pgd.steps": {"choice": [5, 10]}},
        "samples": 3,
        "searcher": "random",
        "metric": METRIC,
        "mode": "max",
        "scheduler": {"asha": {"grace_period": 1, "reduction_factor": 4}},
        "seed": 0,
    },
}


def sample(strategy, rate, accuracies, *, steps=5, upto=None, seeds=(0, 1)):
    """A sample's trajectories of three rounds; `accuracies` are its adversarial test accuracies, one a seed.

    The synthetic validation accuracy is that of the test images and 0.002.
    """
    return [
        synthetic.trajectory(
            strategy=strategy, learning_rate=rate, pgd__steps=steps, seed=seed, train_attack="fgsm", upto=upto,
            adversarial=accuracy, rounds=2,
        )
        for seed, accuracy in zip(seeds, accuracies, strict=True)
    ]  # fmt: skip


@pytest.fixture
def search_trajectories():
    return [
        *sample("reset", 1e-3, [0.5, 0.6]),
        *sample("reset", 2e-3, [0.7, 0.9], steps=10),
        *sample("reset", 3e-3, [0.2, 0.2], upto=0),
        *sample("random", 1e-3, [0.4, 0.4]),
        *sample("random", 2e-3, [0.3, 0.5], steps=10, upto=1),
        *sample("random", 3e-3, [0.35], seeds=[0]),
    ]


@pytest.fixture
def search_folder(tmp_path, search_trajectories):
    """Results of a search: of reset one sample was stopped; of random one is partial, one lacks a seed."""
    path = synthetic.write(tmp_path / "searched", search_trajectories, name=None)
    (path / "sweep.yaml").write_text(yaml.safe_dump(SWEEP), encoding="utf-8")
    (path / "stopped").mkdir()
    for one in search_trajectories[4:6]:
        name = one["trajectory_id"].iloc[0]
        (path / "stopped" / f"{name}.json").write_text(json.dumps({"trajectory_id": name, "round": 0}))
    return path


@pytest.fixture
def searched(search_folder):
    results = load(search_folder)
    found = search.search_of(results.sweeps["searched"])
    return results, found, search.samples(results.rounds, found, results.stopped["searched"])
