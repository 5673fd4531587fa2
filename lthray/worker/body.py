"""What every trial's body has in common: its form."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from lthray.engine.arrays import Arrays
from lthray.spec.trajectory import TrajectorySpec
from lthray.worker.report import Report


class TrialBody(Protocol):
    """Does the work of a trial, on a worker."""

    def __call__(
        self,
        stack: Sequence[TrajectorySpec],
        data: Mapping[str, Arrays],
        report: Report,
        largest: int | None = None,
    ) -> None:
        """Does the work.

        Args:
            stack: The trial's trajectories.
            data: The sweep's data sets by name.
            report: Takes each message of the trial.
            largest: The most trajectories to train at once, where a worker has died that trained more; None for all.
        """
