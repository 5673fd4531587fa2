"""Networks compared: which field tells them apart, and their accuracies by the number of weights."""

import pandas as pd
import pytest

from lthray.analysis import figures, load, networks, panels, summarise, varied, write_report
from tests.analysis import synthetic

MLPS = [("lenet-300-100", "300-100", 266_200), ("mlp", "100-50", 83_900), ("mlp", "1000-300", 1_087_000)]
NAMED = [("lenet-300-100", "300-100", 266_200), ("lenet-5", "120-84", 61_470)]


def trajectories(chosen, **axes):
    """Trajectories of several networks; the number of their weights falls by a fifth a round."""
    found = []
    for model, widths, weights in chosen:
        for one in synthetic.grid(model=model, widths=widths, **{"train_attack": "fgsm", "rounds": 3} | axes):
            count = (one["weights_remaining"] * weights).round().astype(int)
            found.append(one.assign(weights_remaining_count=count, weights_remaining=count / weights))
    return found


@pytest.mark.parametrize(
    ("chosen", "fields"),
    [
        (MLPS, ["widths"]),
        (MLPS[:2], ["widths"]),
        (NAMED, ["model"]),
        ([*MLPS, *NAMED[1:]], ["model", "widths"]),
        (MLPS[1:2], []),
    ],
)
def test_a_network_is_told_by_its_widths_or_its_name_or_both(chosen, fields):
    rounds = pd.concat(trajectories(chosen), ignore_index=True)
    assert varied(rounds) == fields
    assert len(list(panels(summarise(rounds)))) == len(chosen)


def test_a_figure_has_a_line_a_network_against_the_number_of_its_weights():
    summary = summarise(pd.concat(trajectories(MLPS, seed=[0, 1]), ignore_index=True))
    compared = networks(summary)
    figure = figures.draw_networks(compared)
    figure.canvas.draw()
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "Adversarial test accuracy, %", "Natural test accuracy, %",
    ]  # fmt: skip
    for axes, measure in zip(figure.axes, ("adversarial", "natural"), strict=True):
        assert [line.get_label() for line in axes.lines] == ["network 100-50", "network 300-100", "network 1000-300"]
        for line in axes.lines:
            rows = summary[summary["widths"] == line.get_label().removeprefix("network ")]
            assert list(line.get_xdata()) == rows["weights_remaining_count"].tolist()
            expected = rows[f"early_stopping_{measure}_accuracy_test_mean"] * 100
            assert list(line.get_ydata()) == pytest.approx(expected.tolist())
        left, right = axes.get_xlim()
        assert left > 1_087_000 > 83_900 * 0.8**3 > right
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "network 100-50", "network 300-100", "network 1000-300",
    ]  # fmt: skip
    assert figure.axes[0].get_xticklabels()[0].get_text() == "1,090,000"


def test_one_network_is_compared_with_none():
    assert networks(summarise(pd.concat(trajectories(MLPS[:1]), ignore_index=True))) is None


def test_names_stand_with_widths_where_neither_tells_all():
    summary = summarise(pd.concat(trajectories([*MLPS[:2], ("mlp", "120-84", 61_470), *NAMED[1:]]), ignore_index=True))
    assert set(networks(summary)["network"]) == {
        "lenet-300-100 300-100", "mlp 100-50", "mlp 120-84", "lenet-5 120-84",
    }  # fmt: skip


@pytest.mark.parametrize(("chosen", "by", "shown"), [(MLPS[:2], ["widths"], 1), (MLPS[:1], [], 0)])
def test_a_report_compares_the_networks_of_a_folder(chosen, by, shown, tmp_path):
    folder = synthetic.write(tmp_path / "r", trajectories(chosen, seed=[0, 1], rounds=1))
    page = write_report(load(folder), tmp_path / "out", by=by).read_text(encoding="utf-8")
    assert page.count("<strong>Figure S1.</strong>") == shown
    assert len(list((tmp_path / "out" / "figures").glob("figure-S1-networks-*.png"))) == shown
    assert ("fashion-mnist: networks" in page) == bool(shown)
    assert "weights_remaining_count" in (tmp_path / "out" / "tables" / "figure_2.csv").read_text(encoding="utf-8")
