"""The loops that lthray is compared with: what `lthray bench` asks of them, and how it loads them."""

import hashlib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Protocol

from torch import Tensor

import lthray
from lthray.errors import InputError
from lthray.spec.trajectory import TrajectorySpec

PEERS = Path(lthray.__file__).parents[1] / "benchmarks" / "peers"
"""The loops to compare with, where lthray runs from a checkout."""

Network = Sequence[Tensor]
"""One tensor (out, in) a layer."""


class Peer(Protocol):
    """One network in another training loop."""

    def train(self, images: Tensor, labels: Tensor, steps: int) -> None:
        """Takes `steps` optimizer steps on batches of images (n, D) and labels (n,)."""

    def evaluate(self, images: Tensor, labels: Tensor) -> dict[str, tuple[float, float]]:
        """Mean loss and accuracy against labels (n,), of the natural images (`none`) and under each eval attack."""

    def weights(self) -> Sequence[Tensor]:
        """The current weights, (out, in) a layer."""


@dataclass(frozen=True)
class Loop:
    """Another training loop."""

    make: Callable[[Network, Network, TrajectorySpec], Peer]
    """Makes a peer from weights, masks (bool) and the setting of a trajectory."""
    jitted: bool
    """Whether it compiles whole steps."""
    missing: str | None
    """Why the loop cannot run here; None if it can."""


def load_loops(path: Path) -> dict[str, Loop]:
    """Loads `LOOPS`, loops by name, from a Python file or a package like benchmarks/peers of the repository.

    Raises:
        InputError: there is no such file, it has no `LOOPS`, or a package that it imports is not installed.
    """
    file = path / "__init__.py" if path.is_dir() else path
    # A name of its own, so that what a package imports later comes from it and not from one loaded since.
    name = f"lthray_bench_peers_{hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]}"
    spec = spec_from_file_location(name, file, submodule_search_locations=[str(file.parent)])
    if not file.is_file() or spec is None or spec.loader is None:
        raise InputError(f"{path}: no Python file or package; --peers names one like the repository's benchmarks/peers")
    module = sys.modules[spec.name] = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        loops: dict[str, Loop] = module.LOOPS
    except ImportError as error:
        raise InputError(f"{path}: cannot be imported: {error}") from None
    except AttributeError:
        raise InputError(f"{path}: has no LOOPS; the repository's benchmarks/peers has") from None
    return loops


def choose_loops(loops: dict[str, Loop], names: Sequence[str]) -> dict[str, Loop]:
    """The loops of these names, in the order of `loops`.

    Raises:
        InputError: a name is not known, or its loop cannot run here.
    """
    for name in names:
        if name not in loops:
            raise InputError(f"--loop {name}: no such loop; there are {', '.join(loops) or 'none'}")
        if reason := loops[name].missing:
            raise InputError(f"--loop {name}: {reason}")
    return {name: loop for name, loop in loops.items() if name in names}
