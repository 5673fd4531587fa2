"""The results of a sweep, with its networks."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from matplotlib.figure import Figure

from lthray import analysis
from lthray.driver.own import fetch
from lthray.engine.results import Ticket
from lthray.errors import InputError
from lthray.spec.own import OwnFacts
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, eq=False, repr=False)
class Results(analysis.Results):
    """One results folder, read once: frames, networks, figures.

    It is what `lthray.analysis` takes, with the frames `rounds` and `failures` and the methods `curves()` and
    `evaluations()`. What is added reads the folder when it is called.
    """

    @property
    def folder(self) -> str:
        """The results folder."""
        return str(next(iter(self.folders.values())))

    def trajectory(self, trajectory_id: str, number: int = 0) -> TrajectorySpec:
        """The setting that a round was trained by.

        Raises:
            InputError: there is no such round.
        """
        table = Store(self.folder).read("rounds", trajectory_id)
        rows = {} if table is None else {row["round"]: row for row in table.to_pylist()}
        if number not in rows:
            raise InputError(f"{self.folder}: has no round {number} of a trajectory {trajectory_id}; see rounds")
        fields = {name: value for name, value in rows[number].items() if name in TrajectorySpec().flat()}
        # A row's `iterations` are those of its round; the field's are round 0's.
        return TrajectorySpec.from_flat(fields | {"iterations": rows[min(rows)]["iterations"]})

    def ticket(self, trajectory_id: str, number: int) -> Ticket:
        """The weights and masks of a round, as arrays by layer; of a module, its other tensors too.

        Raises:
            InputError: there is no such round, or its file is damaged.
        """
        return Store(self.folder).ticket(self.trajectory(trajectory_id, number), number)

    def module(self, trajectory_id: str, number: int) -> "nn.Module":
        """The network of a round as a plain torch module in eval mode; pruned weights are zero.

        It takes images (B, channels, height, width), or (B, features), in [0, 1], and gives logits (B, C): the
        normalisation is in it. A network of the user's own is made by the code that trained it, which the folder keeps.

        Raises:
            InputError: there is no such round, a file is damaged, or the network's own function fails.
        """
        from lthray.engine.export import to_module  # torch takes seconds to import

        spec = self.trajectory(trajectory_id, number)
        if spec.own.code:
            fetch(Store(self.folder), OwnFacts(code={"": spec.own.code}))
        return to_module(spec, self.ticket(trajectory_id, number))

    def figures(self) -> dict[str, Figure]:
        """The poster's Figures 1 to 3 for each data set and setting, by what they show; their labels are captions."""
        drawn: dict[str, Figure] = {}
        means = analysis.learning_curves(self.curves(), self.rounds)
        for panel in analysis.panels(analysis.summarise(self.rounds)):
            drawn[f"sparsity · {panel.title}"] = analysis.figures.draw_sparsity(panel.summary)
        for panel in analysis.panels(means):
            drawn[f"accuracy · {panel.title}"] = analysis.figures.draw_accuracy_curves(panel.summary)
            drawn[f"loss · {panel.title}"] = analysis.figures.draw_loss_curves(panel.summary)
        return drawn

    def report(self, out: str | os.PathLike[str] | None = None, **options: Any) -> Path:
        """Draws the results as a page, as `lthray report` does.

        Args:
            out: Folder to write into; by default `report/` in the results folder.
            **options: As for `lthray.analysis.write_report`: margin, at, by, width, processes.

        Returns:
            The page's path.
        """
        return analysis.write_report(self, Path(out) if out else Path(self.folder) / "report", **options)

    def evaluate(self, attack: str, **options: Any) -> "Results":
        """Measures the tickets under another attack; see `lthray.evaluate`, whose options these are."""
        from lthray.api.evaluating import evaluate

        return evaluate(self, attack, **options)

    @property
    def tune(self) -> NoReturn:
        """There is none.

        A trial of Ray Tune trains a stack of several trajectories through all their rounds, and a sweep that was
        resumed has trials of its last part alone. So a `ResultGrid` would be neither whole nor one row a trajectory.
        `rounds` has a row for each trajectory and round, with every field of its config.

        Raises:
            AttributeError: always, with what to read instead.
        """
        raise AttributeError(
            "there is no ResultGrid: a trial of Tune trains several trajectories, and only those of the last run that"
            " were missing; rounds has a row for each trajectory and round, with every field of its config"
        )


def open(folder: str | os.PathLike[str]) -> Results:
    """Reads a results folder, by path or URL, also while a sweep writes into it.

    Raises:
        InputError: it is missing, holds no finished round, or can't be read.
    """
    try:
        loaded = analysis.load(os.fspath(folder))
    except analysis.NotResultsError as error:
        raise InputError(str(error)) from None
    return Results(**vars(loaded))


def folder_of(results: "str | os.PathLike[str] | analysis.Results") -> str:
    """The folder of results, given by themselves or by its path.

    Raises:
        InputError: they are of several folders.
    """
    if not isinstance(results, analysis.Results):
        return os.fspath(results)
    if len(results.folders) != 1:
        raise InputError(f"results are of {len(results.folders)} folders: {', '.join(results.folders)}; give one")
    return str(next(iter(results.folders.values())))
