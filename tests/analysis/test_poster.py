"""The published results of the poster's protocol at full size: they are whole, and the protocol's."""

import re
import subprocess
import sys

from lthray.analysis import judge, load
from lthray.spec.sweepfile import load as load_sweep
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from tests.helpers import ROOT, environment

FOLDER = ROOT / "analysis" / "poster" / "fashion-fgsm"


def test_all_trajectories_are_complete_under_the_ids_of_their_fields():
    _, trajectories = load_sweep(FOLDER / "sweep.yaml")
    done = Store(FOLDER).done(trajectories)
    assert len(trajectories) == 15
    assert set(done.values()) == {21}


def test_the_trajectories_trained_against_pgd_are_complete_and_their_numbers_are_those_of_the_readme():
    folder = FOLDER.with_name("fashion-pgd")
    _, trajectories = load_sweep(folder / "sweep.yaml")
    assert len(trajectories) == 6
    assert set(Store(folder).done(trajectories).values()) == {21}
    results = load(folder)
    final = results.evaluations().query("moment == 'final'")
    steps = final["attack"].str.extract(r"steps=(\d+)", expand=False)
    weaker, strongest = ((final[steps == number], "accuracy") for number in ("50", "100"))
    natural = results.rounds, "final_none_accuracy_test"
    for heading, columns in (("attacked: reset", (weaker, natural)), ("PGD-100: reset", (strongest,))):
        for number, cells in _table(folder.parent / "README.md", heading):
            means = [
                100 * frame[(frame["round"] == number) & (frame["strategy"] == strategy)][column].mean()
                for frame, column in columns
                for strategy in ("reset", "random", "continued")
            ]
            assert all(abs(mean - cell) < 0.0051 for mean, cell in zip(means, cells, strict=True)), heading


def test_natural_training_is_complete_and_its_numbers_are_those_of_the_readme():
    folder = FOLDER.with_name("fashion-natural")
    _, trajectories = load_sweep(folder / "sweep.yaml")
    assert len(trajectories) == 3
    assert set(Store(folder).done(trajectories).values()) == {21}
    means = load(folder).rounds.groupby("round").mean(numeric_only=True)
    columns = ("early_stopping_none_accuracy_test", "final_none_accuracy_test", "early_stopping_iteration")
    for number, cells in _table(folder.parent / "README.md", "natural: at early stopping"):
        expected = [means.loc[number, column] * scale for column, scale in zip(columns, (100, 100, 1), strict=True)]
        assert [abs(a - b) < (0.0051 if b < 100 else 0.51) for a, b in zip(cells, expected, strict=True)] == [True] * 3


def _table(page, heading):
    """The rounds and the further cells of a table with this heading."""
    lines = page.read_text().splitlines()
    start = next(i for i, line in enumerate(lines) if heading in line)
    for line in lines[start + 2 : start + 8]:
        number, _, *cells = (float(cell.replace(",", "")) for cell in line.strip("|").split("|"))
        yield number, cells


def test_the_first_screen_says_what_the_script_prints(tmp_path):
    command = [sys.executable, "-W", "error", str(FOLDER.parent / "answer.py"), str(tmp_path / "answer.png")]
    printed = subprocess.run(command, capture_output=True, text=True, check=True, env=environment()).stdout
    assert (tmp_path / "answer.png").stat().st_size > 20_000
    screen = (ROOT / "README.md").read_text().split("## Try it")[0]
    said = re.findall(r"\d+\.\d\d(?= %)", screen)
    assert said == ["87.29", "79.23", "0.01", "0.00", "25.94", "13.95"]
    fgsm, pgd = (part.splitlines() for part in printed.split("Trained against PGD"))
    dense, sparse = ([re.findall(r"\d+\.\d\d", line)[place] for line in fgsm[2:4]] for place in (0, -1))
    assert [dense[0], sparse[0], dense[1], sparse[1]] == said[:4]
    assert [re.findall(r"\d+\.\d\d", line)[0] for line in pgd[2:4]] == said[4:]


def test_a_strong_attack_leaves_next_to_nothing_and_no_verdict_on_robustness():
    results = load(FOLDER)
    evaluations = results.evaluations()
    assert len(evaluations) == 90
    tickets = evaluations[(evaluations["strategy"] == "reset")]
    assert tickets["accuracy"].max() < 0.005
    verdicts = judge(results.rounds, evaluations, planned={"": range(5)}).verdicts.set_index("claim")
    assert verdicts.loc["robust", ["verdict", "reason"]].tolist() == ["withheld", "dense-at-chance"]


def test_they_follow_the_protocol_and_share_their_dense_network():
    rounds = load(FOLDER).rounds
    left = TrajectorySpec().weights_left()
    for number, rows in rounds.groupby("round"):
        assert set(rows["weights_remaining_count"]) == {sum(left[number].values())}
    assert set(rounds["round_iterations"]) == {50_000}
    dense = rounds[rounds["round"] == 0].groupby("seed")
    for column in ("early_stopping_iteration", "final_none_accuracy_test", "final_fgsm_accuracy_test"):
        assert (dense[column].nunique() == 1).all()
