"""The body of a trial of a search: trains a sample's stack and reports its score."""

from collections.abc import Mapping, Sequence

from lthray.engine.arrays import Arrays
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.worker.body import TrialBody
from lthray.worker.report import Message, Progress, Report, Score


def train_sample(
    stack: Sequence[TrajectorySpec],
    data: Mapping[str, Arrays],
    report: Report,
    largest: int | None = None,
    *,
    train: TrialBody,
    store: Store,
    metric: str,
) -> None:
    """Trains a sample's stack, and reports its score after each round.

    The scores of rounds finished earlier come first, for a scheduler and a searcher that know nothing of them. A
    trajectory that fails leaves the sample without a score for that round and later ones.

    Args:
        stack: The sample's trajectories.
        data: The sweep's data sets by name.
        report: Takes each message of the trial.
        largest: The most trajectories to train at once; None for the whole stack.
        train: Trains the stack.
        store: Results folder.
        metric: The column of `rounds` to report, as a mean over the stack.
    """
    scored = 0

    def report_scores() -> None:
        nonlocal scored
        for value in store.means(stack, metric)[scored:]:
            scored += 1
            report(Score(value, scored))

    def report_and_score(message: Message) -> None:
        report(message)
        if isinstance(message, Progress) and message.round_done:
            report_scores()

    report_scores()
    train(stack, data, report_and_score, largest)
