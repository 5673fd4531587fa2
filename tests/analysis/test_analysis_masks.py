"""Masks: read from tickets, counted layer by layer, laid over each other, drawn, and put on the page."""

import itertools

import numpy as np
import pandas as pd
import pytest
from safetensors.numpy import save_file
from upath import UPath

from lthray import analysis
from lthray.analysis import figures, load, ticket_masks, write_report
from lthray.analysis.figures import layout
from lthray.analysis.numbers import masks
from lthray.analysis.page import mask_page
from tests.analysis import synthetic

SHAPES = {"hidden_1": (4, 5), "hidden_2": (3, 4), "output": (2, 3)}


def random_masks(seed: int, density: float) -> dict[str, np.ndarray]:
    draw = np.random.default_rng(seed)
    return {name: (draw.random(shape) < density).astype(np.uint8) for name, shape in SHAPES.items()}


def tensors(found: dict[str, np.ndarray], prefix: str = "") -> dict[str, np.ndarray]:
    weights = {f"{prefix}{name}.weight": np.ones(mask.shape, np.float32) for name, mask in found.items()}
    return weights | {f"{prefix}{name}.mask": mask for name, mask in found.items()}


def with_tickets(folder, trajectories, rounds=2):
    """A results folder whose trajectories have random masks, and these by trajectory and round."""
    synthetic.write(folder, trajectories)
    made = {}
    for place, trajectory in enumerate(trajectories):
        name = trajectory["trajectory_id"].iloc[0]
        (folder / "tickets" / name).mkdir(parents=True)
        for number in range(rounds + 1):
            made[name, number] = random_masks(100 * place + number, 0.8**number)
            save_file(tensors(made[name, number]), folder / "tickets" / name / f"round-{number:02d}.safetensors")
    return folder, made


def test_masks_are_read_whichever_file_holds_them(tmp_path):
    made = {number: random_masks(number, 0.5) for number in range(13)}
    for number in (0, 3, 12):
        save_file(tensors(made[number]), tmp_path / f"round-{number:02d}.safetensors")
    together = [tensors(made[number], f"round-{number:02d}.") for number in range(1, 12)]
    save_file({name: one for part in together for name, one in part.items()}, tmp_path / "rounds-01-11.safetensors")
    save_file(tensors(made[0]), tmp_path / "round-00-iteration-500.safetensors")  # no round's
    found = ticket_masks.read(UPath(tmp_path), [0, 2, 3, 11, 12, 13])
    assert list(found) == [0, 2, 3, 11, 12]
    for number, layers in found.items():
        assert list(layers) == list(SHAPES)
        for name, mask in layers.items():
            assert (mask.shape, mask.size, mask.count) == (SHAPES[name], mask.size, made[number][name].sum())
            other = found[2][name]
            assert mask.common(other) == (made[number][name] & made[2][name]).sum()


def test_layers_come_in_their_order_and_weights_of_any_shape(tmp_path):
    shapes = {"output": (2, 3), "hidden_10": (3, 3), "hidden_2": (3, 3), "conv_1": (2, 1, 5, 5)}
    save_file(
        {f"{name}.mask": np.ones(shape, np.uint8) for name, shape in shapes.items()}, tmp_path / "round-00.safetensors"
    )
    (layers,) = ticket_masks.read(UPath(tmp_path), [0]).values()
    assert list(layers) == ["conv_1", "hidden_2", "hidden_10", "output"]
    assert (layers["conv_1"].shape, layers["conv_1"].count) == ((2, 1, 5, 5), 50)


def test_what_can_not_be_read_is_missing(tmp_path):
    for number, content in enumerate([b"", b"torn", b"\xff" * 100]):
        (tmp_path / f"round-{number:02d}.safetensors").write_bytes(content)
    save_file({"output.mask": np.ones((2, 3), np.float32)}, tmp_path / "round-03.safetensors")
    assert ticket_masks.read(UPath(tmp_path), range(5)) == {}
    assert ticket_masks.read(UPath(tmp_path / "nowhere"), [0]) == {}


@pytest.mark.slow
def test_masks_are_read_by_url(s3, tmp_path):
    save_file(tensors(random_masks(1, 0.5)), tmp_path / "x")
    (s3 / "round-01.safetensors").write_bytes((tmp_path / "x").read_bytes())
    here = random_masks(1, 0.5)
    assert {name: mask.count for name, mask in ticket_masks.read(s3, [1])[1].items()} == {
        n: m.sum() for n, m in here.items()
    }


def test_densities_and_overlaps_are_those_of_a_count_by_hand(tmp_path):
    """Every pair, laid over each other as arrays."""
    grid = {"dataset": ["mnist", "fashion-mnist"], "train_attack": ["fgsm", "pgd"], "strategy": ["reset", "random"]}
    folder, made = with_tickets(tmp_path, synthetic.grid(**grid, seed=[0, 1, 2]))
    results = load(folder)
    density = analysis.layer_density(results.rounds, results.masks())
    pairs = analysis.overlaps(results.rounds, results.masks())
    identity = results.rounds.drop_duplicates("trajectory_id").set_index("trajectory_id")
    assert len(density) == 24 * 3 * 3
    keys = ["dataset", "train_attack", "strategy", "seed"]
    places = {tuple(identity.loc[name, keys]): name for name in identity.index}
    for row in density.to_dict("records"):
        mask = made[places[tuple(row[key] for key in keys)], row["round"]][row["layer"]]
        assert (row["remaining"], row["weights"], row["density"]) == (mask.sum(), mask.size, mask.mean())
    expected = 0
    for one, other in itertools.combinations(places, 2):
        differing = [name for name, a, b in zip(keys, one, other, strict=True) if a != b]
        if len(differing) != 1:
            continue
        expected += 1
        here = pairs[pairs["between"] == differing[0]]
        for key, a, b in zip(keys, one, other, strict=True):
            here = here[here[key].isin([str(a)] if a == b else [f"{a} – {b}", f"{b} – {a}"])]
        assert len(here) == 3 * 3
        for row in here.to_dict("records"):
            a, b = (made[places[who], row["round"]][row["layer"]].astype(bool) for who in (one, other))
            assert row["overlap"] == (a & b).sum() / (a | b).sum()
            p, q = a.mean(), b.mean()
            assert row["expected"] == pytest.approx(p * q / (p + q - p * q))
            assert {row["density_one"], row["density_other"]} == {p, q}
    assert len(pairs) == expected * 3 * 3
    summary = analysis.summarise_overlaps(pairs)
    seeds = summary[(summary["between"] == "seed")]
    assert set(seeds["overlap_n"]) == {3}
    assert len(seeds) == 2 * 2 * 2 * 3 * 3
    one = pairs[(pairs["between"] == "seed") & (pairs["layer"] == "output") & (pairs["round"] == 2)]
    one = one[(one["dataset"] == "mnist") & (one["train_attack"] == "pgd") & (one["strategy"] == "reset")]
    mean = seeds.merge(one[["dataset", "train_attack", "strategy", "round", "layer"]].drop_duplicates())
    assert mean["overlap_mean"].item() == pytest.approx(np.mean(one["overlap"]))
    assert mean["overlap_sd"].item() == pytest.approx(np.std(one["overlap"], ddof=1))


def test_what_is_expected_of_random_masks_is_what_random_masks_have():
    draw = np.random.default_rng(0)
    a, b = (ticket_masks.Mask.of(draw.random((500, 800)) < density) for density in (0.3, 0.1))
    common = a.common(b)
    p, q = a.count / a.size, b.count / b.size
    assert common / (a.count + b.count - common) == pytest.approx(p * q / (p + q - p * q), rel=0.02)


def test_layers_of_other_shapes_and_twins_are_not_compared(tmp_path):
    folder, _ = with_tickets(
        tmp_path, synthetic.grid(dataset=["mnist", "digits-8x8"], eval_attacks=["fgsm", "fgsm,pgd"])
    )
    results = load(folder)
    found = results.masks()
    digits = results.rounds[results.rounds["dataset"] == "digits-8x8"]["trajectory_id"].unique()
    for name in digits:
        for layers in found[name,].values():
            layers["hidden_1"] = ticket_masks.Mask.of(np.ones((4, 3), np.uint8))
    pairs = analysis.overlaps(results.rounds, found)
    assert set(pairs["between"]) == {"dataset"}
    assert pairs.groupby("layer").size().to_dict() == {"hidden_2": 3, "output": 3}
    assert len(analysis.layer_density(results.rounds, found)) == 2 * 3 * 3


def test_empty_layers_have_no_overlap():
    frame = pd.concat(synthetic.grid(seed=[0, 1], rounds=0))
    nothing = ticket_masks.Mask.of(np.zeros((2, 3), np.uint8))
    found = {(name,): {0: {"output": nothing}} for name in frame["trajectory_id"]}
    assert analysis.overlaps(frame, found)[["overlap", "expected"]].isna().all(axis=None)


def test_a_figure_has_a_column_per_layer_and_draws_the_means(tmp_path):
    folder, _ = with_tickets(
        tmp_path, synthetic.grid(train_attack=["fgsm", "pgd"], strategy=["reset", "random"], seed=[0, 1])
    )
    results = load(folder)
    summary = masks.summarise_density(analysis.layer_density(results.rounds, results.masks()))
    figure = figures.figure_6(summary)
    assert [axes.get_title(loc="left") for axes in figure.axes[:3]] == list(SHAPES)
    assert [axes.get_ylabel() for axes in figure.axes[::3]] == ["train fgsm", "train pgd"]
    first = summary[
        (summary["train_attack"] == "fgsm") & (summary["strategy"] == "reset") & (summary["layer"] == "hidden_1")
    ]
    np.testing.assert_allclose(figure.axes[0].lines[0].get_ydata(), 100 * first["density_mean"])
    pairs = masks.summarise_overlaps(analysis.overlaps(results.rounds, results.masks()))
    for between, rows, lines in (("strategy", 2, 1), ("seed", 2, 2), ("train_attack", 1, 2)):
        part = pairs[pairs["between"] == between]
        figure = figures.figure_7(part)
        assert len(figure.axes) == 3 * rows
        assert len(figure.axes[0].lines) == 2 * lines  # each with what is expected of random masks
    with pytest.raises(ValueError, match="one thing"):
        figures.figure_7(pairs)


def test_of_many_pairs_those_with_the_first_strategy_are_drawn(tmp_path):
    names = ["reset", "random", "continued", "shuffled", "kept-signs"]
    folder, _ = with_tickets(tmp_path, synthetic.grid(strategy=names))
    results = load(folder)
    pairs = masks.summarise_overlaps(analysis.overlaps(results.rounds, results.masks()))
    figure = figures.figure_7(pairs)
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [
        *(f"reset – {name}" for name in ("random", "continued", "kept-signs", "shuffled")),
        "independent random masks",
    ]
    assert "6 more pairs are in the CSV file" in figure.get_suptitle()


def test_criteria_can_be_placed_on_colour(tmp_path):
    folder, _ = with_tickets(
        tmp_path, synthetic.grid(prune__criterion=["magnitude", "random"], strategy=["reset", "random"])
    )
    results = load(folder)
    summary = masks.summarise_density(analysis.layer_density(results.rounds, results.masks()))
    figure = figures.figure_6(summary, layout.Layout(colour="prune.criterion"))
    assert len(figure.axes) == 3 * 2
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        "prune.criterion magnitude",
        "prune.criterion random",
    ]


def test_rounds_are_chosen_where_there_are_too_many_masks():
    frame = pd.concat(synthetic.grid(seed=[0, 1], rounds=20))
    assert mask_page.rounds_read(frame) == list(range(21))
    assert mask_page.rounds_read(frame, 5 * 2 * 266_200) == [4, 8, 12, 16, 20]
    assert mask_page.rounds_read(frame, 1) == [20]


def test_the_page_shows_masks_and_says_what_is_missing(tmp_path):
    folder, _ = with_tickets(tmp_path, synthetic.grid(train_attack="fgsm", strategy=["reset", "random"], seed=[0, 1]))
    write_report(load(folder), folder / "report")
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert [f"Figure {number}." in page for number in range(6, 11)] == [True, True, True, False, False]
    assert "no ticket" not in page.lower()
    assert "Pruning was layerwise" in page
    assert len(pd.read_csv(folder / "report" / "tables" / "layer_density.csv")) == 4 * 3 * 3
    next(iter((folder / "tickets").rglob("round-01.safetensors"))).unlink()
    write_report(load(folder), folder / "report")
    assert "Of 12 rounds, 1 have no ticket" in (folder / "report" / "index.html").read_text(encoding="utf-8")


def test_a_folder_without_tickets_is_no_error(tmp_path):
    folder = synthetic.write(tmp_path, synthetic.grid(seed=[0, 1]))
    assert load(folder).masks() == {(name,): {} for name in load(folder).rounds["trajectory_id"].unique()}
    write_report(load(folder), folder / "report")
    page = (folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "No tickets were found beside these results" in page
    assert "Figure 6." not in page


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


def test_sources_of_a_transfer_are_strategies_of_their_own(tmp_path):
    """Masks of two sources beside one reset: in one figure, each with its seeds."""
    own = synthetic.grid(seed=[0, 1], train_attack="pgd")
    for attack in ("fgsm", "pgd"):
        for seed in (0, 1):
            setting = f"strategy=reset; train_attack={attack}"
            source = {"transfer__source": f"{attack}{seed}", "transfer__setting": setting}
            own.append(synthetic.trajectory(strategy="transfer", train_attack="pgd", seed=seed, **source))
    rounds = load(synthetic.write(tmp_path, own)).rounds
    assert set(rounds["strategy"]) == {"reset", "transfer (fgsm)", "transfer (pgd)"}
    assert analysis.varied(rounds) == []
    summary = analysis.summarise(rounds)
    assert set(summary["early_stopping_iteration_n"]) == {2}
    assert len(list(analysis.panels(summary))) == 1
    # frames that do not come from load keep them apart too
    raw = pd.concat(own, ignore_index=True)
    assert analysis.varied(raw) == ["transfer.setting"]
    assert set(analysis.summarise(raw)["early_stopping_iteration_n"]) == {2}
    alone = load(synthetic.write(tmp_path / "one", own[:4])).rounds
    assert set(alone["strategy"]) == {"reset", "transfer"}
    assert analysis.varied(alone) == []
