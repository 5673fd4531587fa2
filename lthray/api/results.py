"""The results of a sweep, with its networks."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.figure import Figure

from lthray import analysis
from lthray.analysis.numbers.curves import CURVES_READ
from lthray.analysis.numbers.fields import field_columns, select
from lthray.analysis.numbers.measurements import chance
from lthray.driver import lock, samples
from lthray.driver.own import fetch_package
from lthray.driver.status import states
from lthray.engine.results import Ticket
from lthray.errors import InputError
from lthray.spec.suggestions import did_you_mean
from lthray.spec.sweepfile import load
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import SWEEP, Store

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

    @property
    def status(self) -> pd.DataFrame:
        """How far each trajectory is, read anew each time, also while the sweep runs.

        One row per trajectory: `trajectory_id`, the fields that vary, `state` (complete, running, stopped by a search's
        scheduler, failed or waiting), `rounds_done`, and `rounds`, how many there are in all.
        """
        store = Store(self.folder)
        sweep, from_file = load(store.folder / SWEEP)
        specs = samples.trajectories(sweep, from_file, store)
        varied = [*(sweep.search.space if sweep.search else ()), *sweep.grid]
        current = states(sweep, specs, store, lock.read(store.folder))
        rows = [
            (spec.trajectory_id, *map(spec.values().get, varied), *current[spec.trajectory_id], spec.rounds + 1)
            for spec in specs
        ]
        return pd.DataFrame(rows, columns=["trajectory_id", *varied, "state", "rounds_done", "rounds"])

    def trajectory(self, trajectory: str | Mapping[str, Any], round: int | None = None) -> TrajectorySpec:
        """The setting that a round was trained by; see `ticket` for the arguments."""
        return self._find(trajectory, round)[0]

    def _find(self, trajectory: str | Mapping[str, Any], number: int | None) -> tuple[TrajectorySpec, int]:
        """The setting that a round was trained by, and its number."""
        name = trajectory if isinstance(trajectory, str) else self._identify(trajectory)
        table = Store(self.folder).read("rounds", name)
        rows = {} if table is None else {row["round"]: row for row in table.to_pylist()}
        number = max(rows, default=0) if number is None else number
        if number not in rows:
            raise InputError(f"{self.folder}: has no round {number} of a trajectory {name}; see rounds")
        fields = {field: value for field, value in rows[number].items() if field in TrajectorySpec().flat()}
        # A row's `iterations` are those of its round; the field's are round 0's.
        return TrajectorySpec.from_flat(fields | {"iterations": rows[min(rows)]["iterations"]}), number

    def _identify(self, fields: Mapping[str, Any]) -> str:
        """The id of the one trajectory that has these values of fields."""
        for field in fields:
            if field not in self.rounds:
                raise InputError(f"unknown field {field}{did_you_mean(field, list(self.rounds.columns))}")
        rows = self.rounds
        for field, value in fields.items():
            rows = rows[rows[field] == value]
        names = [str(name) for name in rows["trajectory_id"].unique()]
        if len(names) != 1:
            shown = ", ".join(f"{field}={value}" for field, value in fields.items())
            varied = ", ".join(name for name in self.status.columns[1:-3]) or "none"
            raise InputError(
                f"{self.folder}: {len(names)} trajectories have {shown}; name one by its trajectory_id, or by the"
                f" fields that vary ({varied})"
            )
        return names[0]

    def ticket(self, trajectory: str | Mapping[str, Any], round: int | None = None) -> Ticket:
        """The weights and masks of a round, as arrays by layer; of a module, its other tensors too.

        Args:
            trajectory: A trajectory's id, or values of fields that one trajectory alone has:
                `{"strategy": "reset", "seed": 0}`.
            round: The round; by default the last that is finished.

        Raises:
            InputError: there is no such trajectory or round, or its file is damaged.
        """
        return Store(self.folder).ticket(*self._find(trajectory, round))

    def module(self, trajectory: str | Mapping[str, Any], round: int | None = None) -> "nn.Module":
        """The network of a round as a plain torch module in eval mode; pruned weights are zero.

        It takes images (B, channels, height, width), or (B, features), in [0, 1], and gives logits (B, C): the
        normalisation is in it. A network of the user's own is made by the code that trained it, which the folder keeps.

        Args:
            trajectory: See `ticket`.
            round: See `ticket`.

        Raises:
            InputError: as `ticket`, or the network's own function fails.
        """
        from lthray.engine.export import to_module  # torch takes seconds to import

        store = Store(self.folder)
        spec, number = self._find(trajectory, round)
        if spec.own.code:
            fetch_package(store, spec.own.code)
        return to_module(spec, store.ticket(spec, number))

    def figures(self) -> dict[str, Figure]:
        """The poster's Figures 1 to 3 for each data set and setting, by title; a figure's label is its caption."""
        drawn: dict[str, Figure] = {}
        means = analysis.learning_curves(self.curves(CURVES_READ), self.rounds)
        guess = {panel.dataset: chance(select(self.rounds, {"dataset": panel.dataset})) for panel in self._panels()}
        for panel in self._panels():
            figure = analysis.figures.draw_sparsity(panel.summary, chance=guess[panel.dataset])
            drawn[f"sparsity · {panel.title}"] = figure
        for panel in analysis.panels(means):
            figure = analysis.figures.draw_accuracy_curves(panel.summary, chance=guess[panel.dataset])
            drawn[f"accuracy · {panel.title}"] = figure
            drawn[f"loss · {panel.title}"] = analysis.figures.draw_loss_curves(panel.summary)
        return drawn

    def _panels(self) -> list[analysis.Panel]:
        return list(analysis.panels(analysis.summarise(self.rounds)))

    def report(self, out: str | os.PathLike[str] | None = None, **options: Any) -> Path:
        """Draws the results as a page, as `lthray report` does.

        Args:
            out: Folder to write into; by default `report/` in the results folder.
            **options: As for `lthray.analysis.write_report`: margin, at, by, width, processes.

        Returns:
            The page's path.
        """
        return analysis.write_report(self, Path(out) if out else Path(self.folder) / "report", **options)

    @property
    def tune(self) -> pd.DataFrame:
        """A frame in the shape of Ray Tune's `ResultGrid.get_dataframe()`, with a trajectory as a trial.

        There is no `ResultGrid`: a trial of Tune trains a stack of several trajectories, and a sweep that was resumed
        has trials of its last part alone. One row per trajectory, of its last round: `trial_id` (the trajectory's),
        what was measured, and each field as `config/<field>`.
        """
        names = {name: f"config/{name}" for name in field_columns(self.rounds)} | {"trajectory_id": "trial_id"}
        last = self.rounds.groupby("trajectory_id", sort=False).tail(1)
        return last.rename(columns=names).reset_index(drop=True)


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
    """The folder of results, which are passed as `Results` or as the folder's path.

    Raises:
        InputError: they are of several folders.
    """
    if not isinstance(results, analysis.Results):
        return os.fspath(results)
    if len(results.folders) != 1:
        raise InputError(f"results are of {len(results.folders)} folders: {', '.join(results.folders)}; give one")
    return str(next(iter(results.folders.values())))
