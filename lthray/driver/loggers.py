"""Loggers that a sweep file names: Ray's callbacks for other tools, which take every trial's progress."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from ray.tune import Callback

from lthray.errors import InputError, first_line
from lthray.installing import install_command

CALLBACKS = {
    "tensorboard": ("ray.tune.logger", "TBXLoggerCallback", "tensorboardX"),
    "mlflow": ("ray.tune.logger.mlflow", "MLflowLoggerCallback", "mlflow"),
    "wandb": ("ray.tune.logger.wandb", "WandbLoggerCallback", "wandb"),
}
"""A logger's module, callback and package."""
MEASURES = ("round", "weights_remaining", "natural", "adversarial", "rate", "running", "metric")
"""The values of a trial's results that a logger gets. Tune adds a dozen of its own, and the trial's config."""
CLOCK = "timesteps_total"
"""The clock of a trial's results: iterations since its trajectories began."""
STEP = "training_iteration"
"""The value that loggers take as their step where there is no clock; for them, 0 is none."""


def callbacks(loggers: Mapping[str, Mapping[str, Any]]) -> list[Callback]:
    """Ray's callbacks of the loggers that a sweep file names, with their options.

    Raises:
        InputError: a logger's package is not installed, it does not know an option, or it can't start.
    """
    made = []
    for name, options in loggers.items():
        module, callback, package = CALLBACKS[name]
        try:
            import_module(package)
        except ImportError:
            raise InputError(
                f"loggers.{name}: the package {package} is not installed: {install_command(package)}"
            ) from None
        try:
            logger = _measures_alone(getattr(import_module(module), callback))(**options)
            logger.setup()  # Tune calls it again. Here, a server out of reach still ends in one line.
        except Exception as error:  # noqa: BLE001 - every logger has exceptions of its own
            raise InputError(f"loggers.{name}: {first_line(error)}") from None
        made.append(logger)
    return made


def _measures_alone(kind: Any) -> Any:
    """A logger's class that is given nothing but measures and their clock, so that its charts show nothing else."""

    class Logger(kind):  # type: ignore[misc]
        def log_trial_result(self, iteration: int, trial: Any, result: dict[str, Any]) -> None:
            measures = {name: result[name] for name in MEASURES if result.get(name) is not None}
            if measures:
                super().log_trial_result(iteration, trial, measures | {STEP: result[CLOCK]})

    return Logger
