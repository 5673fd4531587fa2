"""The body of a trial of `lthray evaluate`: measures stored tickets."""

import time
from collections.abc import Mapping, Sequence

import torch

from lthray.engine.arrays import Arrays
from lthray.engine.data import on_device
from lthray.engine.evaluation import evaluate_ticket
from lthray.engine.results import Failure, count_remaining, share_remaining
from lthray.engine.trajectory import device_name
from lthray.errors import InputError
from lthray.references import describe_exception
from lthray.spec.attack_settings import label
from lthray.spec.evaluation import EvaluationRequest
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.evaluations import unmeasured, write_evaluation
from lthray.store.folder import Store
from lthray.worker.probe import is_out_of_memory
from lthray.worker.report import Progress, Report
from lthray.worker.share import take_share


def measure_tickets(
    stack: Sequence[TrajectorySpec],
    data: Mapping[str, Arrays],
    report: Report,
    largest: int | None = None,
    *,
    request: EvaluationRequest,
    store: Store,
    threads: int,
    gpus: float,
) -> None:
    """Measures the tickets that have no row yet, and writes each ticket's row at once.

    Args:
        stack: Trajectories, measured one after the other.
        data: Their data sets by name.
        report: Takes each message of the trial.
        largest: Has no effect, because trajectories are measured one after the other.
        request: What to measure.
        store: Results folder.
        threads: CPU threads to use.
        gpus: Share of a GPU, or a number of GPUs, see `take_share`.
    """
    device = take_share(threads, gpus)
    measured = 0
    for spec in stack:
        dataset = on_device(data[spec.dataset], spec.validation_size, device)
        images = request.image_count(spec)
        split = getattr(dataset, request.split).first(images)
        for number in unmeasured(store, spec, request):
            try:
                ticket = store.ticket(spec, number)
            except InputError as error:  # The other rounds may be whole.
                report(Failure(spec, number, str(error)))
                continue
            began = time.perf_counter()
            weights = tuple(torch.tensor(ticket.weights[name], device=device) for name in spec.tensor_sizes)
            try:
                natural, attacked = evaluate_ticket(weights, spec, split, request.split, request.attack, number)
            except Exception as error:
                if is_out_of_memory(error) or not spec.has_references:
                    raise
                known = describe_exception(error)
                report(Failure(spec, number, str(known), known.traceback))
                continue
            seconds = time.perf_counter() - began
            share = share_remaining(ticket.masks.values())
            row = {
                "round": number,
                "weights_remaining": share,
                "weights_remaining_count": count_remaining(ticket.masks.values()),
                "moment": "final",
                "iteration": spec.in_round(number).iterations,
                "split": request.split,
                "attack": str(request.attack),
                "loss": attacked.loss[0],
                "accuracy": attacked.accuracy[0],
                "zero_gradient_share": attacked.zero_gradient_share[0] if attacked.zero_gradient_share else None,
                "images": images,
                "seconds": seconds,
                "device": device_name(device),
            }
            write_evaluation(store, spec, row)
            measured += images
            report(
                Progress(
                    unit="images",
                    round=number,
                    done_in_round=images,
                    done_in_trial=measured,
                    round_done=True,
                    rate=images / seconds,
                    weights_remaining=share,
                    natural=natural.accuracy[0],
                    adversarial={label(request.attack): attacked.accuracy[0]},
                    running=1,
                    device=device_name(device),
                )
            )
