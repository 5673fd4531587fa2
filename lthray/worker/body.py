"""What every trial's body has in common: its form, and its share of a machine."""

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch

from lthray.engine.data import Arrays
from lthray.spec.trajectory import TrajectorySpec
from lthray.worker.report import Report


class TrialBody(Protocol):
    """Does the work of a trial, on a worker."""

    def __call__(self, stack: Sequence[TrajectorySpec], data: Mapping[str, Arrays], report: Report) -> None:
        """Does the work.

        Args:
            stack: The trial's trajectories.
            data: The sweep's data sets by name.
            report: Takes each message of the trial.
        """


def take_share(threads: int, gpus: float) -> torch.device:
    """Limits this process to a trial's share of the machine, and returns the device to use.

    Args:
        threads: CPU threads to use.
        gpus: Share of a GPU, or a number of GPUs; 0, or no GPU that torch finds, means the CPU.
    """
    torch.set_num_threads(threads)
    if not gpus or not torch.cuda.is_available():
        return torch.device("cpu")
    if gpus < 1:  # A trial that takes more than its share fails alone, and its neighbours on the GPU go on.
        torch.cuda.set_per_process_memory_fraction(gpus)
    return torch.device("cuda")
