"""What the networks of a panel are, in a heading: data set, setting, network and attack."""

import pandas as pd

from lthray.analysis.numbers.fields import select, show
from lthray.analysis.numbers.summary import Panel

_NORMS = {"linf": "", "l2": " in L2"}


def describe_panel(rounds: pd.DataFrame, panel: Panel) -> str:
    """A panel's title with the network and the size of its attacks: "mnist · LeNet-300-100 · ε = 0.3".

    What the title says already is not said again, nor is what a table of rounds made by hand lacks.

    Args:
        rounds: The table of rounds, with the fields `model`, `widths`, `epsilon` and `norm`.
        panel: A part of a frame of means.
    """
    part = select(rounds[rounds["dataset"].isin(panel.dataset.split(", "))], panel.setting)
    part = part if len(part) else rounds  # of pairs of data sets
    words = [panel.title]
    if "model" in part and "model" not in panel.setting:
        widths = part["widths"] if "widths" in part else [""] * len(part)
        networks = dict.fromkeys(
            _name(str(model), str(wide)) for model, wide in zip(part["model"], widths, strict=True)
        )
        words.append(", ".join(networks))
    if "epsilon" in part and "epsilon" not in panel.setting:
        norms = _values(part, "norm") or ["linf"]
        norm = _NORMS.get(norms[0], f" in {norms[0]}") if len(norms) == 1 else ""
        words.append(f"ε = {', '.join(_values(part, 'epsilon'))}{norm}")
    return " · ".join(words)


def _name(model: str, widths: str) -> str:
    """A network as papers write it."""
    if model == "mlp":
        return f"MLP {widths}"
    return model.replace("lenet", "LeNet") if model.startswith("lenet") else model


def _values(rounds: pd.DataFrame, name: str) -> list[str]:
    return [show(value) for value in sorted(rounds[name].dropna().unique())] if name in rounds else []
