import pandas as pd

from lthray import analysis
from lthray.analysis import load, write_report
from lthray.analysis.page import masks
from tests.analysis import synthetic
from tests.analysis.tickets import with_tickets


def test_rounds_are_chosen_where_there_are_too_many_masks():
    frame = pd.concat(synthetic.grid(seed=[0, 1], rounds=20))
    assert masks.choose_rounds(frame) == list(range(21))
    assert masks.choose_rounds(frame, 5 * 2 * 266_200) == [4, 8, 12, 16, 20]
    assert masks.choose_rounds(frame, 1) == [20]


def test_the_page_shows_masks_and_says_what_is_missing(tmp_path):
    folder, _ = with_tickets(tmp_path, synthetic.grid(train_attack="fgsm", strategy=["reset", "random"], seed=[0, 1]))
    write_report(load(folder), folder / "report")
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert [f"Figure S{number}." in page for number in range(1, 5)] == [True, True, True, False]
    assert sorted(path.name for path in (folder / "report" / "figures").glob("figure-S*.pdf")) == [
        "figure-S1-layer-density-fashion-mnist.pdf", "figure-S2-overlap-strategy-fashion-mnist.pdf",
        "figure-S3-overlap-seed-fashion-mnist.pdf",
    ]  # fmt: skip
    assert "no ticket" not in page.lower()
    assert "Pruning was layerwise" in page
    assert len(pd.read_csv(folder / "report" / "tables" / "layer_density.csv")) == 4 * 3 * 3
    next(iter((folder / "tickets").rglob("round-01.safetensors"))).unlink()
    write_report(load(folder), folder / "report")
    assert "1 of 12 rounds has no readable ticket" in (folder / "report" / "index.html").read_text(encoding="utf-8")


def test_a_folder_without_tickets_is_no_error(tmp_path):
    folder = synthetic.write(tmp_path, synthetic.grid(seed=[0, 1]))
    assert load(folder).masks() == {(name,): {} for name in load(folder).rounds["trajectory_id"].unique()}
    write_report(load(folder), folder / "report")
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "These results have no tickets" in page
    assert "Figure S1." not in page


def test_two_folders_are_told_apart(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    one, _ = with_tickets(tmp_path / "a", synthetic.grid(seed=[0, 1]))
    other, _ = with_tickets(tmp_path / "b", synthetic.grid(seed=[0]), rounds=1)
    results = load(one, other)
    assert {label for label, _ in results.masks()} == {"a", "b"}
    density = analysis.layer_density(results.rounds, results.masks())
    assert density.groupby("folder").size().to_dict() == {"a": 18, "b": 6}
    write_report(results, tmp_path / "report")
