"""The frames that functions hand to each other: what a function takes, and an error of one line where it gets another.

A misuse such as `summarise(results)` or `draw_sparsity(rounds)` would otherwise end in a KeyError deep inside pandas.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import pandas as pd

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True)
class Frame:
    """A kind of frame.

    Attributes:
        source: The expression that gives such a frame.
        columns: Columns that every such frame has; together they tell it from the other kinds.
    """

    source: str
    columns: tuple[str, ...]

    def lacks(self, frame: pd.DataFrame) -> list[str]:
        """The columns that a frame would need to be of this kind."""
        return [name for name in self.columns if name not in frame.columns]


ROUNDS = Frame(
    "results.rounds",
    ("trajectory_id", "dataset", "strategy", "train_attack", "seed", "round", "early_stopping_iteration"),
)
_CURVE = ("trajectory_id", "round", "iteration", "split", "attack", "loss")
CURVES = Frame("results.curves()", (*_CURVE, "accuracy"))
OBJECTIVES = Frame("results.curves()", (*_CURVE, "train_attack", "adversarial_weight"))
"""Curves as read, with what the objective of training depends on."""
EVALUATIONS = Frame("results.evaluations()", (*CURVES.columns, "moment", "images"))
_MEANS = ("dataset", "train_attack", "strategy", "round", "weights_remaining")
SUMMARY = Frame("analysis.summarise(rounds)", (*_MEANS, "eval_attack", "early_stopping_iteration_mean"))
MEAN_EVALUATIONS = Frame(
    "analysis.summarise_evaluations(evaluations, rounds)", (*_MEANS, "attack", "moment", "images", "accuracy_mean")
)
NETWORKS = Frame("analysis.networks(summary)", ("network", *SUMMARY.columns))
MEAN_CURVES = Frame("analysis.learning_curves(curves, rounds)", (*_MEANS, "iteration", "accuracy_test_mean"))
DENSITY = Frame("analysis.layer_density(rounds, masks)", (*_MEANS, "seed", "layer", "place", "density"))
MEAN_DENSITY = Frame("analysis.summarise_density(density)", (*_MEANS, "layer", "place", "density_mean"))
OVERLAPS = Frame("analysis.overlaps(rounds, masks)", (*_MEANS, "between", "layer", "place", "overlap"))
MEAN_OVERLAPS = Frame("analysis.summarise_overlaps(pairs)", (*_MEANS, "between", "layer", "place", "overlap_mean"))

_KINDS = (
    NETWORKS, SUMMARY, MEAN_EVALUATIONS, MEAN_CURVES, DENSITY, MEAN_DENSITY, OVERLAPS, MEAN_OVERLAPS, EVALUATIONS,
    CURVES, ROUNDS,
)  # fmt: skip
"""The most particular first: a frame is of the first kind whose columns it has."""


def takes(**kinds: Frame) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """A decorator that checks a function's frames before it is called.

    Args:
        kinds: The kind of frame that each parameter takes, by the parameter's name.

    Returns:
        The decorator. The function then raises, besides its own errors, a TypeError where such an argument is no frame
        and a ValueError where it is a frame of another kind; the line names the function, the parameter, what was
        passed and what to pass.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        signature = inspect.signature(function)

        @wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> R:
            arguments = signature.bind(*args, **kwargs).arguments
            for name, kind in kinds.items():
                check(arguments[name], kind, f"{function.__name__}({name})")
            return function(*args, **kwargs)

        return checked

    return decorate


def check(value: Any, kind: Frame, place: str) -> None:
    """Checks that a value is a frame of a kind.

    Args:
        value: What was passed.
        kind: What is taken.
        place: What the error's line begins with: `summarise(rounds)`.

    Raises:
        TypeError: it is no frame.
        ValueError: it is a frame that lacks columns of this kind.
    """
    if not isinstance(value, pd.DataFrame):
        passed = "None" if value is None else f"an object of type {type(value).__name__}"
        raise TypeError(f"{place}: pass {kind.source}, not {passed}")
    if missing := kind.lacks(value):
        sources = (known.source for known in _KINDS if known.source != kind.source and not known.lacks(value))
        passed = (
            next(sources, None) or f"a frame without the column{'s' if len(missing) > 1 else ''} {', '.join(missing)}"
        )
        raise ValueError(f"{place}: pass {kind.source}, not {passed}")
