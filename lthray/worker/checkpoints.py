"""Checkpoints inside a round, as a trial takes them."""

import time

from lthray.engine import trajectory
from lthray.engine.results import Checkpoint
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.worker.report import Note, Report


class Checkpointer:
    """Decides when a stack's checkpoints are written, and which of those in the folder this device goes on from.

    Args:
        store: Results folder.
        minutes: Least minutes between checkpoints; 0 for none.
        device: What trains, as `RoundResult.device`.
        report: Takes a message where a checkpoint can't be written.
    """

    def __init__(self, store: Store, minutes: float, device: str, report: Report) -> None:
        self.store, self.seconds, self.device, self.report = store, 60 * minutes, device, report
        self.last = time.monotonic()

    def find(self, spec: TrajectorySpec, number: int) -> Checkpoint | None:
        """A trajectory's checkpoint inside round `number`, if this device has written it: others round differently."""
        checkpoint = self.store.checkpoint(spec, number)
        return checkpoint if checkpoint and checkpoint.device == self.device else None

    def position(self, spec: TrajectorySpec) -> tuple[int, int]:
        """The round that a trajectory is to go on in, and the iterations of it that are done."""
        number = self.store.rounds_done(spec.trajectory_id)
        checkpoint = self.find(spec, number)
        return number, checkpoint.iteration if checkpoint else 0

    def observe(self, progress: trajectory.Progress) -> None:
        """Writes the stack's checkpoints when it is time."""
        now = time.monotonic()
        if progress.iteration == 0:
            self.last = now
        elif self.seconds and now - self.last >= self.seconds:
            self.last = now
            try:
                for checkpoint in progress.checkpoints():
                    self.store.write_checkpoint(checkpoint)
            except OSError as error:  # Training goes on: a checkpoint only saves time.
                self.report(Note(f"a checkpoint could not be written: {error.strerror or error}"))
