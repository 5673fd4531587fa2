"""What sparsity does to accuracy under attacks beyond those of the table of rounds."""

import pandas as pd
from matplotlib.figure import Figure

from lthray.analysis.figures import captions, layout, style
from lthray.analysis.figures.attack_words import describe_attack
from lthray.analysis.figures.grid import make_grid
from lthray.analysis.numbers.evaluations import KEYS
from lthray.analysis.numbers.fields import select
from lthray.analysis.numbers.frames import MEAN_EVALUATIONS, takes
from lthray.analysis.numbers.measurements import CHANCE
from lthray.analysis.numbers.summary import list_strategies

_ACCURACY = "Adversarial test accuracy, %"


@takes(means=MEAN_EVALUATIONS)
def draw_attacks(means: pd.DataFrame, *, width: style.Width = "page", chance: float = CHANCE) -> Figure:
    """Adversarial test accuracy under each further attack, against the weights remaining.

    A column per attack, moment and number of images, a row per train attack, a line per strategy: the mean over seeds,
    with a band of one standard deviation either side. All panels have the same vertical axis, unless that would flatten
    one. The figure's label (`get_label`) is its caption.

    Args:
        means: The rows of `summarise_evaluations` on test images, for one data set and one setting.
        width: As for `draw_sparsity`.
        chance: Likewise.

    Raises:
        ValueError: There are no rows, or rows of more than one figure, or no such width.
    """
    style.single_panel(means, ())
    rows, columns = layout.facets(means, ["train_attack"]), layout.facets(means, list(KEYS))
    looks = style.styles("strategy", list_strategies(means))
    with style.settings(width):
        grid = make_grid(len(rows), len(columns), width)
        for row, facet in zip(grid.rows, rows, strict=True):
            for axes, attack in zip(row, columns, strict=True):
                style.prepare(axes, _ACCURACY)
                style.label_weights(axes, means["weights_remaining"] * 100)
                panel = select(means, facet | attack)
                for strategy, look in looks.items():
                    chosen = select(panel, {"strategy": strategy})
                    style.draw_means(axes, chosen, "accuracy", look, 100, strategy)
                style.limit_accuracies(axes, chance)
        apart = [] if style.share_y(grid.panels) else ["accuracy"]
        for axes in grid.panels:
            style.draw_chance(axes, chance)
        grid.name([f"train {facet['train_attack']}" for facet in rows], [_name(attack) for attack in columns])
        grid.hide_inner_y()
        grid.label_x("Weights remaining, %")
        style.legend(grid.figure, [style.legend_line(strategy, look) for strategy, look in looks.items()])
    text = f"{_ACCURACY.removesuffix(', %')} under attacks beyond those of the other figures, by weights remaining."
    described = captions.describe_means(means["accuracy_n"])
    grid.figure.set_label(" ".join([text, described, *captions.describe_axes(apart)]))
    return grid.figure


def _name(attack: layout.Facet) -> str:
    moment = "early stopping" if attack["moment"] == "early_stopping" else "the end"
    return f"{describe_attack(attack['attack'])}\nat {moment}, {attack['images']:,} images: accuracy, %"
