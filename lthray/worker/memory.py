"""Memory: what a trial takes, measured on the device that trains, and how to recognise out-of-memory errors."""

import resource
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

from lthray.engine import captured
from lthray.engine.data import Arrays, Dataset, Split, on_device
from lthray.engine.evaluation import CHUNK
from lthray.engine.trajectory import run
from lthray.spec.trajectory import TrajectorySpec

GIB = 2**30
CUDA_CONTEXT = 0.6 * GIB
"""Memory that CUDA takes in a process and PyTorch does not count; a high estimate, as it varies with the driver."""
PROBED_STACK = 5
NUMBER, COPIES = 4, 16
"""Bytes of a number, and an upper bound on the copies of a weight (start, mask, averages, ...) or activation held."""


@dataclass(frozen=True)
class Footprint:
    """What a trial takes of its share of the memory, in bytes."""

    base: float
    """The process, its libraries and the data set."""
    per_trajectory: float
    """Upper bound for one trajectory of the stack."""
    budget: float
    """What a trial may take."""

    @property
    def fits(self) -> int:
        """The largest stack that fits; 0 where not even one trajectory does."""
        return max(0, int((self.budget - self.base) // self.per_trajectory))

    def __str__(self) -> str:
        return (
            f"a trial takes {_size(self.base)} and {_size(self.per_trajectory)} for each trajectory of its stack;"
            f" of its {_size(self.budget)}, a stack of {self.fits:,} fits"
        )


def memory_bound(spec: TrajectorySpec, stack: int) -> float:
    """An upper bound on what a CPU trial takes, in bytes: where this fits, nothing needs to be measured."""
    weights = sum(spec.weights_left(0)[0].values())
    attacked = {spec.train_attack, spec.retrain.train_attack} != {"none"}
    images = spec.batch_size * (1 + attacked)
    per_trajectory = 64 * 2**20 + COPIES * NUMBER * (weights + images * spec.units)
    return 1.5 * GIB + COPIES * NUMBER * CHUNK["cpu"] * spec.units + stack * per_trajectory


def measure(spec: TrajectorySpec, arrays: Arrays, gpus: float, budget: float) -> Footprint:
    """Measures training and one evaluated chunk of images, with one trajectory and with several.

    Training is one iteration, or as many as it takes until a CUDA graph is captured.

    Call it in a process of its own, on the device and with the share that a trial has.

    Args:
        spec: A trajectory.
        arrays: Its data set.
        gpus: A trial's share of a GPU, or a number of GPUs; 0 for a CPU.
        budget: What a trial on a CPU may take, in bytes; on a GPU it is the share `gpus` of what is free.
    """
    gpu = bool(gpus) and torch.cuda.is_available()
    device = torch.device("cuda" if gpu else "cpu")
    if gpu:
        budget = min(gpus, 1.0) * torch.cuda.mem_get_info()[0]
    iterations = captured.WARM_UP + 1 if captured.is_wanted(device) else 1  # a graph takes memory of its own
    short = {"rounds": 0, "iterations": iterations, "eval_every": iterations, "rewind_to": "init"}
    whole = on_device(arrays, spec.validation_size, device)

    def shorten(split: Split) -> Split:
        return Split(split.images[: CHUNK[device.type]], split.labels[: CHUNK[device.type]])

    data = Dataset(whole.train, shorten(whole.validation), shorten(whole.test))

    def peak(stack: int) -> float:
        specs = [spec.model_copy(update={**short, "seed": seed}) for seed in range(stack)]
        _forget_peak()  # loading the data set may have taken more than training does
        for _ in run(specs, data):
            pass
        return torch.cuda.max_memory_reserved() + CUDA_CONTEXT if gpu else _peak_of_process()

    alone = peak(1)
    per_trajectory = max((peak(PROBED_STACK) - alone) / (PROBED_STACK - 1), 2**20)
    return Footprint(base=alone - per_trajectory, per_trajectory=per_trajectory, budget=budget)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error means that the memory of the GPU or of the machine ran out."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "allocate memory" in str(error)


def _forget_peak() -> None:
    with suppress(OSError):  # only Linux has this file
        Path("/proc/self/clear_refs").write_text("5")


def _peak_of_process() -> float:
    """The most memory that this process has held, on Linux since `_forget_peak`."""
    with suppress(OSError):
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(float(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(peak if sys.platform == "darwin" else peak * 1024)


def _size(count: float) -> str:
    return f"{count / GIB:.1f} GiB" if count >= GIB else f"{count / 2**20:.0f} MiB"
