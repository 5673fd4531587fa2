"""A search's samples in its results folder: which were drawn, how good they are, and how one is trained."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from lthray.files import names, read, replace
from lthray.spec.search import Sample
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.sweep.transfer import resolved

METRIC, ROUNDS_DONE = "metric", "rounds_done"
"""What a search's report has besides: the mean over the sample's seeds, and the rounds that all of them finished."""


def known(sweep: SweepSpec, store: Store) -> list[Sample]:
    """The samples of a search, cell by cell, in the order they were drawn.

    Where they are drawn at random the sweep file says them; where results lead a searcher, they are those that the
    folder remembers (`remember`) and the search's space holds, as many as the search asks for.
    """
    if not sweep.search or sweep.search.searcher == "random":
        return sweep.samples()
    folder = store.folder / "samples"
    records = [json.loads(read(folder / f"{name}.json")) for name in names(folder, ".json")]
    found: list[Sample] = []
    for cell in sweep.cells():
        mine = [one for one in records if one["cell"] == cell and sweep.search.holds(one["drawn"])]
        mine.sort(key=lambda one: (one["number"], sorted(one["drawn"].items())))
        found += [Sample(cell, one["drawn"]) for one in mine[: sweep.search.samples]]
    return found


def remember(sweep: SweepSpec, store: Store, sample: Sample, number: int) -> None:
    """Writes a sample that a searcher has drawn, the `number`th of its cell, before anything of it is trained."""
    replace(
        store.folder / "samples" / f"{sweep.sample_id(sample)}.json",
        json.dumps(asdict(sample) | {"number": number}).encode(),
    )


def trajectories(sweep: SweepSpec, given: Sequence[TrajectorySpec], store: Store) -> list[TrajectorySpec]:
    """All trajectories of a sweep that are known: those of the sweep file, or those of the samples drawn so far.

    Those of strategy transfer have their sources.

    Raises:
        InputError: a source is not to be found.
    """
    if not sweep.search or sweep.search.searcher == "random":
        return resolved(sweep, given, store)
    return [spec for sample in known(sweep, store) for spec in sweep.stack_of(sample)]


def stopped(sweep: SweepSpec, store: Store) -> set[str]:
    """The trajectories that are left as they are because a scheduler stopped them; without one, they are trained on."""
    return store.stopped() if sweep.search and sweep.search.scheduler else set()


def train_sample(
    fields: Sequence[dict[str, Any]],
    store: Store,
    metric: str,
    train: Callable[..., None],
    report: Callable[[dict[str, Any]], None],
    **options: Any,
) -> None:
    """Trains a sample's stack as `train_stack` does, and reports the metric once a round.

    The rounds that are finished already are reported first, for a scheduler and a searcher that know nothing of them.
    A trajectory that fails leaves the sample without the metric of that round and of later ones.

    Args:
        fields: The stack's trajectories.
        store: The results folder.
        metric: The column of `rounds` to report, as a mean over the stack.
        train: `train_stack` with all else that it takes.
        report: As in `train_stack`; a report of a finished round has `METRIC` and `ROUNDS_DONE` besides.
        options: What else `train` takes.
    """
    specs = [TrajectorySpec.model_validate(one) for one in fields]
    told = 0

    def tell(metrics: dict[str, Any]) -> None:
        nonlocal told
        values = store.means(specs, metric)[told:] if metrics.get("round_done") else []
        if not values:
            report(metrics)
        for value in values:
            told += 1
            report(metrics | {METRIC: value, ROUNDS_DONE: told})

    for told, value in enumerate(store.means(specs, metric), start=1):
        report({"failures": [], METRIC: value, ROUNDS_DONE: told})
    train(fields, report=tell, **options)
