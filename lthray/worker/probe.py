"""Memory: what a trial takes, measured on the device that trains, and how to recognise out-of-memory errors."""

import resource
import sys
from contextlib import suppress
from pathlib import Path

import torch

from lthray.engine import captured
from lthray.engine.arrays import CHUNK, Arrays
from lthray.engine.data import Dataset, on_device
from lthray.engine.trajectory import run
from lthray.spec.trajectory import TrajectorySpec
from lthray.worker.memory import GIB, Footprint

CUDA_CONTEXT = 0.6 * GIB
"""Memory that CUDA takes in a process and PyTorch does not count; a high estimate, as it varies with the driver."""
PROBED_STACK = 5


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
    chunk = CHUNK[device.type]
    data = Dataset(whole.train, whole.validation.first(chunk), whole.test.first(chunk))

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
