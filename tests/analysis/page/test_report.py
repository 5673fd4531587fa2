import json
import re

import pandas as pd
import pytest
import yaml

from lthray.analysis import LayoutError, load, write_report
from lthray.analysis.numbers.summary import summarise
from lthray.analysis.page import drawing, tables
from lthray.analysis.page import report as report_page
from tests.analysis import synthetic
from tests.helpers import Page


def report(folder, trajectories, **options):
    results = load(synthetic.write(folder, trajectories, **options))
    path = write_report(results, folder / "report")
    assert path == folder / "report" / "index.html"
    return Page(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def trajectories():
    return synthetic.grid(
        dataset=["fashion-mnist", "mnist"], train_attack="fgsm", strategy=["reset", "random"], seed=[0, 1], rounds=2
    )


@pytest.fixture(scope="module")
def written(tmp_path_factory, trajectories):
    """A folder with a report of these trajectories, and its page; to be read only."""
    folder = tmp_path_factory.mktemp("written")
    return folder, report(folder, trajectories)


def test_every_figure_is_in_the_page_and_beside_it(written):
    folder, page = written
    files = sorted(path.name for path in (folder / "report" / "figures").iterdir())
    stems = [f"figure-{number}-{dataset}" for dataset in ("fashion-mnist", "mnist") for number in (1, 2, 3)]
    assert files == sorted(f"{stem}.{form}" for stem in stems for form in ("pdf", "png", "svg"))
    assert [picture["id"] for picture in page.pictures()] == stems
    for picture in page.pictures():
        shown = {"1": "test accuracy", "2": "early stopping", "3": "validation loss"}[picture["id"][7]]
        assert shown in picture["aria-label"]
        assert "mnist · LeNet-300-100 · ε = 0.3. " in picture["aria-label"]


def test_attacks_measured_at_the_ends_of_rounds_alone_have_no_curves(tmp_path):
    """Only FGSM was measured at every evaluation, of the networks trained against it."""
    natural, trained = (
        synthetic.grid(train_attack=attack, eval_attacks="fgsm,pgd", eval_attacks_at="ends", seed=[0, 1], rounds=2)
        for attack in ("none", "fgsm")
    )
    page = report(tmp_path / "natural", natural)
    assert [picture["id"][7] for picture in page.pictures()] == ["2"]
    page = report(tmp_path / "both", [*natural, *trained])
    assert [picture["id"][7] for picture in page.pictures()] == ["1", "2", "3"]
    curves = pd.read_csv(tmp_path / "both" / "report" / "tables" / "learning_curves.csv")
    assert set(zip(curves["train_attack"], curves["eval_attack"], strict=True)) == {("fgsm", "fgsm")}


def test_above_some_size_the_page_shows_the_figures_beside_it(tmp_path, trajectories, monkeypatch):
    monkeypatch.setattr(report_page, "EMBEDDED", 1000)
    page = report(tmp_path, trajectories)
    assert page.pictures() == []
    assert [image["loading"] for image in page.all("img")] == ["lazy"] * 6
    for image in page.all("img"):
        assert (tmp_path / "report" / image["src"]).is_file()
        assert "LeNet-300-100" in image["alt"]
    assert "it needs the folder figures" in page.text


def test_the_page_needs_no_network(written):
    folder, page = written
    text = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"https?://|//[a-z]", text.lower())
    assert page.all("script") == [{}]
    assert not page.all("link")
    targets = [link["href"] for link in page.all("a")]
    ids = {attributes["id"] for _, attributes in page.elements if "id" in attributes}
    for target in targets:
        assert target[1:] in ids if target.startswith("#") else (folder / "report" / target).is_file()


def test_ids_are_given_once(written):
    ids = [attributes["id"] for _, attributes in written[1].elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_hostile_names_and_errors_are_text(tmp_path, trajectories):
    hostile = '<script>alert("1")</script>{{ 7 * 7 }}'
    synthetic.write_failure(tmp_path, "<img src=x onerror=alert(2)>", 1, seed=9)
    page = report(tmp_path, trajectories, name=hostile)
    assert page.all("script") == [{}]
    assert len(page.pictures()) == 6
    assert hostile in page.text
    assert "<img src=x onerror=alert(2)>" in page.text


def test_without_a_sweep_file_the_folder_gives_the_name(tmp_path, trajectories):
    page = report(tmp_path / "my-sweep", trajectories, name=None)
    assert "my-sweep" in page.text


def test_the_table_holds_the_figures_numbers(tmp_path):
    page = report(
        tmp_path,
        [
            synthetic.trajectory(
                train_attack="fgsm", seed=0, rounds=1, stop=[1000, 500], adversarial=[0.5, 0.4], natural=0.9
            ),
            synthetic.trajectory(train_attack="fgsm", seed=1, rounds=0, stop=3000, adversarial=0.7, natural=0.9),
        ],
    )
    text = " ".join(page.text.split())
    assert "0 100.0 2,000 ± 1,414 (2) 60.0 ± 14.1 (2) 90.0 ± 0.0 (2)" in text
    assert "1 80.0 500 (1) 40.0 (1) 90.0 (1)" in text


def test_a_table_has_a_cell_for_every_measure_and_strategy():
    frame = pd.concat(
        [
            synthetic.trajectory(train_attack="fgsm", rounds=1),
            synthetic.trajectory(train_attack="fgsm", strategy="continued", rounds=0),
        ]
    )
    early, end = tables.page_tables(summarise(frame))
    assert early.strategies == end.strategies == ("reset", "continued")
    assert [len(row.cells) for row in (*early.rows, *end.rows)] == [6, 6, 4, 4]
    assert [cell is None for cell in early.rows[1].cells] == [False, True] * 3


def test_the_csv_is_the_summary(written):
    folder, _ = written
    read = pd.read_csv(folder / "report" / "tables" / "figure_2.csv")
    expected = summarise(load(folder).rounds)
    pd.testing.assert_frame_equal(read, expected, check_dtype=False)


def opened(page):
    """Whether each group of verdicts is unfolded."""
    return ["open" in attributes for attributes in page.all("details") if attributes.get("class") == "group"]


def test_with_one_strategy_alone_another_varied_field_is_a_line_for_each_value(tmp_path):
    axes = {"pgd__step_size": [0.05, 0.1], "pgd__steps": [7, 10]}
    page = report(tmp_path, synthetic.grid(train_attack="pgd", strategy="continued", rounds=1, seed=[0, 1], **axes))
    names = sorted(path.name for path in (tmp_path / "report" / "figures").glob("figure-2-*.svg"))
    assert names == ["figure-2-fashion-mnist-pgd-step-size-0-05.svg", "figure-2-fashion-mnist-pgd-step-size-0-1.svg"]
    assert "pgd.steps 7" in (tmp_path / "report" / "figures" / names[0]).read_text(encoding="utf-8")
    assert opened(page) == [False, False, False, False]


def test_another_varied_field_makes_its_own_figures(tmp_path):
    axes = {"strategy": ["reset", "random"], "pgd__step_size": [0.05, 0.1], "seed": [0, 1]}
    page = report(tmp_path, synthetic.grid(train_attack="pgd", rounds=1, **axes))
    assert len(page.pictures()) == 6
    assert "fashion-mnist · pgd.step_size 0.05" in page.text
    assert opened(page) == [True, True]
    names = sorted(path.name for path in (tmp_path / "report" / "figures").glob("figure-2-*.svg"))
    assert names == ["figure-2-fashion-mnist-pgd-step-size-0-05.svg", "figure-2-fashion-mnist-pgd-step-size-0-1.svg"]


def test_a_dense_network_alone_and_a_folder_of_one_seed(tmp_path):
    page = report(tmp_path, [synthetic.trajectory(rounds=0)])
    assert "2 lines rest on a single seed" in page.text
    assert len(page.all("table")) == 4
    assert "There are no pruned rounds of the same seeds to compare" in page.text


def test_writing_again_gives_the_same_bytes_and_leaves_nothing_beside(tmp_path, trajectories):
    def contents():
        return {path: path.read_bytes() for path in (tmp_path / "report").rglob("*") if path.is_file()}

    report(tmp_path, trajectories)
    first = contents()
    report(tmp_path, trajectories)
    assert contents() == first
    assert not [path for path in first if path.name.startswith(".")]


def test_a_clean_folder_has_no_warnings(written):
    text = " ".join(written[1].text.split())
    assert "Warnings and audit None." in text


def test_verdicts_come_before_figures_and_in_json_too(written):
    folder, page = written
    assert page.text.index("What was run") < page.text.index("Verdicts on") < page.text.index("Figure 1.")
    said = json.loads((folder / "report" / "claims.json").read_text(encoding="utf-8"))
    assert (said["schema"], said["version"], said["margin"]) == ("lthray-claims", 2, 0.01)
    assert len(said["claims"]) == 2 * 8
    first = said["claims"][0]
    assert (first["dataset"], first["verdict"]) == ("fashion-mnist", "withheld")
    accurate, against_continued = said["claims"][1], said["claims"][6]
    assert [row["round"] for row in accurate["evidence"]] == [1, 2]
    assert (against_continued["verdict"], against_continued["against"]) == (None, "continued")


def test_a_folder_remembers_how_often_verdicts_were_asked_of_it(tmp_path):
    first = synthetic.grid(train_attack="fgsm", strategy=["reset"], seed=[0, 1], rounds=1)
    assert "This is look" not in report(tmp_path, first).text
    assert "This is look" not in report(tmp_path, first).text
    more = synthetic.grid(train_attack="fgsm", strategy=["reset"], seed=[2], rounds=1)
    assert "This is look 2 at these results" in report(tmp_path, more).text
    looks = json.loads((tmp_path / "looks.json").read_text(encoding="utf-8"))["looks"]
    assert [list(look["seeds"].values()) for look in looks] == [[[0, 1]], [[0, 1, 2]]]


def test_verdicts_wait_for_the_seeds_that_the_sweep_file_names(tmp_path):
    rows = synthetic.grid(train_attack="fgsm", strategy=["reset"], seed=[0, 1], rounds=1)
    synthetic.write(tmp_path, rows)
    sweep = {"name": "planned", "grid": {"seed": [0, 1, 2]}, "verdicts": {"at": 0.8, "margin": 0.02}}
    (tmp_path / "sweep.yaml").write_text(yaml.safe_dump(sweep), encoding="utf-8")
    write_report(load(tmp_path), tmp_path / "report")
    said = json.loads((tmp_path / "report" / "claims.json").read_text(encoding="utf-8"))
    assert (said["at"], said["margin"]) == (0.8, 0.02)
    assert (said["claims"][1]["reason"], said["claims"][1]["seeds"]) == ("incomplete", 3)
    assert not (tmp_path / "looks.json").exists()
    write_report(load(tmp_path), tmp_path / "report", margin=0.01, at=0.64)
    said = json.loads((tmp_path / "report" / "claims.json").read_text(encoding="utf-8"))
    assert (said["at"], said["margin"]) == (0.64, 0.01)


def test_a_failed_seed_counts_as_planned(tmp_path):
    rows = synthetic.grid(train_attack="fgsm", strategy=["reset"], seed=[0, 1], rounds=1)
    synthetic.write(tmp_path, rows)
    synthetic.write_failure(tmp_path, "out of memory", 0, train_attack="fgsm", strategy="reset", seed=2, rounds=1)
    write_report(load(tmp_path), tmp_path / "report")
    said = json.loads((tmp_path / "report" / "claims.json").read_text(encoding="utf-8"))
    assert (said["claims"][1]["reason"], said["claims"][1]["seeds"]) == ("incomplete", 3)


def test_accuracies_as_csv_markdown_and_latex(tmp_path):
    axes = {"train_attack": "fgsm", "rounds": 0, "natural": 0.9}
    report(tmp_path, [synthetic.trajectory(**axes, seed=seed, adversarial=0.5 + seed / 10) for seed in (0, 1)])
    folder = tmp_path / "report" / "tables"
    row = pd.read_csv(folder / "accuracies.csv").iloc[0]
    assert row["early_stopping_adversarial_accuracy_test_mean"] == pytest.approx(0.55)
    assert row["final_adversarial_accuracy_test_mean"] == pytest.approx(0.54)
    assert row["final_natural_accuracy_test_n"] == 2
    head, rule, body = (folder / "accuracies.md").read_text(encoding="utf-8").splitlines()
    assert head.startswith("| dataset | train attack | eval attack | strategy | round | weights, % | natural, early")
    assert head.count("|") == rule.count("|") == body.count("|")
    assert body.endswith("| 90.0 ± 0.0 (2) | 55.0 ± 7.1 (2) | 89.0 ± 0.0 (2) | 54.0 ± 7.1 (2) |")
    latex = (folder / "accuracies.tex").read_text(encoding="utf-8")
    assert latex.count(r"\\") == 2
    assert r"55.0 $\pm$ 7.1 (2)" in latex
    assert "±" not in latex


def test_latex_and_markdown_escape_what_they_would_read():
    text = pd.DataFrame({"a_b": ["50 % & {x}|y"], "n, %": ["–"]})
    assert r"50 \% \& \{x\}|y & -- \\" in tables.latex(text)
    assert tables.markdown(text).splitlines()[2] == "| 50 % & {x}&#124;y | – |"


def test_several_folders_are_shown_in_one_figure(tmp_path):
    for name, steps in (("a", 7), ("b", 40)):
        synthetic.write(tmp_path / name, synthetic.grid(train_attack="pgd", pgd__steps=steps, seed=[0, 1], rounds=1))
    results = load(tmp_path / "a", tmp_path / "b")
    assert results.rounds.groupby("folder").size().to_dict() == {"a": 4, "b": 4}
    page = Page(write_report(results, tmp_path / "out").read_text(encoding="utf-8"))
    assert len(page.pictures()) == 3
    assert "fashion-mnist · folder b · trained against pgd" in page.text
    assert "attacked with pgd, folder a" in page.text


def test_by_places_a_field(tmp_path):
    frames = synthetic.grid(train_attack="pgd", pgd__steps=[7, 40], seed=[0, 1], rounds=1)
    results = load(synthetic.write(tmp_path, frames))
    page = Page(write_report(results, tmp_path / "out", by=["pgd.steps"]).read_text(encoding="utf-8"))
    assert len(page.pictures()) == 3
    with pytest.raises(LayoutError, match="'seed' does not vary"):
        write_report(results, tmp_path / "out", by=["seed"])


def test_without_curves_figure_2_stands_alone(tmp_path, trajectories):
    folder = synthetic.write(tmp_path, trajectories)
    for path in (folder / "curves").iterdir():
        path.unlink()
    page = Page(write_report(load(folder), tmp_path / "out").read_text(encoding="utf-8"))
    assert len(page.pictures()) == 2


def test_further_processes_draw_the_same(tmp_path, trajectories, monkeypatch):
    monkeypatch.setattr(drawing, "_MANY", 1)
    results = load(synthetic.write(tmp_path, trajectories))
    one, two = (write_report(results, tmp_path / str(count), processes=count) for count in (1, 2))
    assert one.read_bytes() == two.read_bytes()
