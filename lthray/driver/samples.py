"""A search's samples in its results folder: which were drawn, and which of their trajectories were stopped."""

import json
from collections.abc import Sequence
from dataclasses import asdict

from lthray.driver.transfer import resolve_sources
from lthray.files import names, read, replace
from lthray.spec.search import Sample
from lthray.spec.sweep import SweepSpec
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store


def drawn(sweep: SweepSpec, store: Store) -> list[Sample]:
    """The samples of a search, cell by cell, in the order they were drawn.

    Samples drawn at random follow from the sweep file. Those of a searcher that learns from results are
    recorded in the folder (see `remember`); those in the search's space count, at most as many as it asks for.
    """
    if not sweep.search or sweep.search.searcher == "random":
        return sweep.samples()
    folder = store.folder / "samples"
    records = [json.loads(read(folder / f"{name}.json")) for name in names(folder, ".json")]
    samples: list[Sample] = []
    for cell in sweep.cells():
        own = [record for record in records if record["cell"] == cell and sweep.search.holds(record["drawn"])]
        own.sort(key=lambda record: (record["number"], sorted(record["drawn"].items())))
        samples += [Sample(cell, record["drawn"]) for record in own[: sweep.search.samples]]
    return samples


def remember(sweep: SweepSpec, store: Store, sample: Sample, number: int) -> None:
    """Writes a sample that a searcher has drawn, the `number`th of its cell, before anything of it is trained."""
    replace(
        store.folder / "samples" / f"{sweep.sample_id(sample)}.json",
        json.dumps(asdict(sample) | {"number": number}).encode(),
    )


def trajectories(sweep: SweepSpec, from_file: Sequence[TrajectorySpec], store: Store) -> list[TrajectorySpec]:
    """All known trajectories of a sweep: those of the sweep file, or those of the samples drawn so far.

    Those of strategy transfer have their sources.

    Raises:
        InputError: a source can't be found.
    """
    if not sweep.search or sweep.search.searcher == "random":
        return resolve_sources(sweep, from_file, store)
    return [spec for sample in drawn(sweep, store) for spec in sweep.stack_of(sample)]


def stopped(sweep: SweepSpec, store: Store) -> set[str]:
    """The trajectories that a scheduler stopped; none where the sweep has no scheduler, as it trains them further."""
    return store.stopped() if sweep.search and sweep.search.scheduler else set()
