"""Loggers that a sweep file names: Ray's callbacks for other tools, which take every trial's progress."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any

from ray.tune import Callback

from lthray.errors import InputError, first_line

CALLBACKS = {
    "tensorboard": ("ray.tune.logger", "TBXLoggerCallback", "tensorboardX"),
    "mlflow": ("ray.tune.logger.mlflow", "MLflowLoggerCallback", "mlflow"),
    "wandb": ("ray.tune.logger.wandb", "WandbLoggerCallback", "wandb"),
}
"""A logger's module, callback and package."""


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
            raise InputError(f"loggers.{name}: the package {package} is not installed: pip install {package}") from None
        try:
            logger = getattr(import_module(module), callback)(**options)
            logger.setup()  # Tune calls it again. Here, a server out of reach still ends in one line.
        except Exception as error:  # noqa: BLE001 - every logger has exceptions of its own
            raise InputError(f"loggers.{name}: {first_line(error)}") from None
        made.append(logger)
    return made
