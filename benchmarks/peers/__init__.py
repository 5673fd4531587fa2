"""The loops that `lthray bench` compares with, by name: those that a researcher writes, and those that an expert jits.

`torchattacks`, `foolbox` and `art` are plain PyTorch loops with the attacks of a library. `torch.compile` and `jax`
compile whole steps. All follow lthray's protocol: batches from a new permutation each epoch, attacks away from the
model's own prediction, the mean of natural and adversarial loss, and masked gradients that keep pruned weights at zero.
tests/bench/test_peers.py holds each to lthray's own step.
"""

import os
import shutil
from importlib.util import find_spec

from lthray.bench.loops import Loop, Network, Peer
from lthray.spec.trajectory import TrajectorySpec


def _torchattacks(weights: Network, masks: Network, spec: TrajectorySpec) -> Peer:
    from .plain import PlainPeer, torchattacks_attack

    return PlainPeer(weights, masks, spec, torchattacks_attack)


def _foolbox(weights: Network, masks: Network, spec: TrajectorySpec) -> Peer:
    from .plain import PlainPeer, foolbox_attack

    return PlainPeer(weights, masks, spec, foolbox_attack)


def _art(weights: Network, masks: Network, spec: TrajectorySpec) -> Peer:
    from .plain import PlainPeer, art_attack

    return PlainPeer(weights, masks, spec, art_attack)


def _torch_compile(weights: Network, masks: Network, spec: TrajectorySpec) -> Peer:
    from .torch_compile import CompiledPeer

    return CompiledPeer(weights, masks, spec)


def _jax(weights: Network, masks: Network, spec: TrajectorySpec) -> Peer:
    from .jax_scan import JaxPeer

    return JaxPeer(weights, masks, spec)


def _package(name: str) -> str | None:
    return None if find_spec(name) else f"the package {name} is not installed"


def _compiler() -> str | None:
    name = os.environ.get("CXX", "g++")
    return None if shutil.which(name) else f"there is no C++ compiler {name}"


LOOPS = {
    "torchattacks": Loop(_torchattacks, jitted=False, missing=_package("torchattacks")),
    "foolbox": Loop(_foolbox, jitted=False, missing=_package("foolbox")),
    "art": Loop(_art, jitted=False, missing=_package("art")),
    "torch.compile": Loop(_torch_compile, jitted=True, missing=_compiler()),
    "jax": Loop(_jax, jitted=True, missing=_package("jax")),
}
