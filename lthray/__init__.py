"""Lottery-ticket pruning trajectories under attack, swept with Ray Tune.

From Python: `sweep`, `plan`, `evaluate` and `open`, which give `Results`. The command line is `lthray --help`; results
alone are read by `lthray.analysis`, which needs neither torch nor Ray.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lthray.errors import InputError, RunError

if TYPE_CHECKING:
    from lthray.api.evaluating import evaluate
    from lthray.api.results import Results, open
    from lthray.api.sweeping import plan, sweep

__version__ = "0.2.0"
__all__ = ["InputError", "Results", "RunError", "evaluate", "open", "plan", "sweep"]

_MODULES = {
    "sweep": "lthray.api.sweeping",
    "plan": "lthray.api.sweeping",
    "evaluate": "lthray.api.evaluating",
    "open": "lthray.api.results",
    "Results": "lthray.api.results",
}


def __getattr__(name: str) -> Any:
    if name in _MODULES:  # imported only now, so that `import lthray` takes no time
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
