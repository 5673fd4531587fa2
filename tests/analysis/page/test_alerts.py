import pandas as pd

from lthray.analysis import load, write_report
from lthray.analysis.numbers.summary import summarise
from lthray.analysis.page.alerts import review
from tests.analysis import synthetic
from tests.helpers import Page


def warnings(folder, frames=(), evaluations=None):
    """The cases of each warning by its title."""
    results = load(synthetic.write(folder, list(frames)))
    measured = results.evaluations() if evaluations is None else evaluations
    return {warning.title: warning.cases for warning in review(results, measured, summarise(results.rounds)).warnings}


def strategies(**changes):
    return synthetic.grid(train_attack="fgsm", strategy=["reset", "random"], seed=[0, 1], rounds=1, **changes)


def test_a_complete_sweep_has_none(tmp_path):
    assert warnings(tmp_path, strategies()) == {}


def test_failed_and_partial_trajectories_are_named(tmp_path):
    frames = [
        synthetic.trajectory(train_attack="fgsm", seed=seed, upto=upto) for seed, upto in ((0, 2), (1, 0), (2, 1))
    ]
    synthetic.write(tmp_path, frames)
    synthetic.write_failure(tmp_path, "boom", 2, train_attack="fgsm", seed=2)
    synthetic.write_failure(tmp_path, "at once", None, train_attack="fgsm", seed=3)
    named = warnings(tmp_path)
    assert list(named) == [
        "2 trajectories failed",
        "1 trajectory is not complete: later rounds may rest on fewer seeds",
    ]
    failed, partial = named.values()
    assert any(case.endswith(", round 2: boom") and "seed 2" in case for case in failed)
    assert any(case.endswith(": at once") for case in failed)
    assert "1 of 3 rounds" in partial[0]


def test_training_that_always_stops_at_the_end_is_named(tmp_path):
    assert warnings(tmp_path, strategies(stop=50_000)) == {
        "2 groups of networks were often still improving at the last iteration: train longer": (
            "fashion-mnist, random, train attack fgsm: in 100 % of 4 rounds",
            "fashion-mnist, reset, train attack fgsm: in 100 % of 4 rounds",
        )
    }


def test_a_dense_round_that_differs_is_named_with_device_and_versions(tmp_path):
    frames = strategies(stop=9_000)
    frames[2].loc[0, ["early_stopping_iteration", "final_fgsm_accuracy_test"]] = [9_500, 0.5]
    frames[2]["torch_version"] = "2.9.0"
    named = warnings(tmp_path, frames)
    differ, mixed = named.values()
    assert list(named) == [
        "1 trajectory differs in round 0 from one that starts alike: device, versions, threads or data differed",
        "1 comparison mixes networks of several devices or versions",
    ]
    reset, random = (frame["trajectory_id"].iloc[0] for frame in (frames[0], frames[2]))
    assert differ == (
        f"fashion-mnist, random, train attack fgsm, seed 0 ({random}) against fashion-mnist, reset, train attack fgsm,"
        f" seed 0 ({reset}): early stopping iteration 9500 against 9000, torch 2.9.0 against 2.11.0, and 1 more"
        " measure",
    )
    assert mixed == ("fashion-mnist, train attack fgsm: torch 2.11.0 in 6 rounds, 2.9.0 in 2 rounds",)


def test_an_alarm_stands_above_everything_and_links_to_its_cases(tmp_path):
    frames = strategies()
    for frame in frames:
        frame["final_fgsm_accuracy_test"], frame["final_pgd_accuracy_test"] = 0.781, 0.024
    page = write_report(load(synthetic.write(tmp_path, frames)), tmp_path / "report").read_text(encoding="utf-8")
    text = " ".join(Page(page).text.split())
    alarm = text.index("Networks trained against fgsm are not robust: PGD leaves them 2.4 % (FGSM 78.1 %).")
    assert text.index("What was run fashion-mnist") < alarm < text.index("Data and network")
    links = [link["href"] for link in Page(page).all("a")]
    assert links.count("#warning-masked") == 1
    assert [cases for cases in Page(page).all("details") if cases.get("id") == "warning-masked"] == [
        {"id": "warning-masked", "open": None}
    ]
    assert "every network from round 0 (100.0 % of the weights) to round 1 (80.0 % of the weights)" in text


def test_further_attacks_are_audited(tmp_path):
    frames = strategies()
    row = frames[0].loc[[1], ["trajectory_id", "round"]]
    row = row.assign(split="test", moment="final", attack="pgd(steps=50)", images=1_000, accuracy=0.0)
    (cases,) = warnings(tmp_path, frames, pd.DataFrame(row)).values()
    assert "every network of round 1 (80.0 % of the weights); on average FGSM " in cases[0]
    assert cases[0].endswith("PGD (50 steps) 0.0 % on the first 1,000 images")
