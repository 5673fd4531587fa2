"""The body of a trial of `lthray evaluate`: a plain function that measures stored tickets."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from upath import UPath

from lthray.engine.data import Arrays, Split, on_device
from lthray.engine.evaluation import evaluate_ticket
from lthray.engine.results import count_remaining, share_remaining
from lthray.engine.trajectory import device_name
from lthray.errors import InputError
from lthray.spec.attack_settings import label
from lthray.spec.trajectory import TrajectorySpec
from lthray.store.folder import Store
from lthray.worker.wanted import Wanted


def measure_tickets(
    trajectories: Sequence[Mapping[str, Any]],
    wanted: Wanted,
    folder: UPath,
    data: Mapping[str, Arrays],
    threads: int,
    gpus: float,
    report: Callable[[dict[str, Any]], None],
) -> None:
    """Measures the tickets of trajectories that have no row yet, and writes a row for each at once.

    Args:
        trajectories: Their fields as `TrajectorySpec.model_dump` gives them.
        wanted: What to measure.
        folder: Results folder.
        data: The trajectories' data sets by name.
        threads: CPU threads to use.
        gpus: Share of a GPU that it may take, or a number of GPUs; 0, or no GPU that torch finds, means the CPU.
        report: Told of every ticket measured or damaged, as `train_stack` tells of rounds; an iteration is an image.
    """
    torch.set_num_threads(threads)
    device = torch.device("cuda" if gpus and torch.cuda.is_available() else "cpu")
    if device.type == "cuda" and gpus < 1:
        torch.cuda.set_per_process_memory_fraction(gpus)
    store, measured = Store(folder), 0
    for spec in (TrajectorySpec.model_validate(fields) for fields in trajectories):
        dataset = on_device(data[spec.dataset], spec.validation_size, device)
        whole, images = getattr(dataset, wanted.split), wanted.images_of(spec)
        split = Split(whole.images[:images], whole.labels[:images])
        for number in wanted.missing(spec, store):
            try:
                ticket = store.ticket(spec, number)
            except InputError as error:  # the other rounds may be whole
                report({"failures": [(spec.trajectory_id, number, str(error))]})
                continue
            began = time.perf_counter()
            weights = tuple(torch.tensor(ticket.weights[name], device=device) for name in spec.layer_sizes)
            natural, attacked = evaluate_ticket(weights, spec, split, wanted.split, wanted.attack, number)
            seconds = time.perf_counter() - began
            share = share_remaining(ticket.masks.values())
            row = {
                "round": number,
                "weights_remaining": share,
                "weights_remaining_count": count_remaining(ticket.masks.values()),
                "moment": "final",
                "iteration": spec.in_round(number).iterations,
                "split": wanted.split,
                "attack": str(wanted.attack),
                "loss": attacked.loss[0],
                "accuracy": attacked.accuracy[0],
                "zero_gradient_share": attacked.zero_gradient_share[0] if attacked.zero_gradient_share else None,
                "images": images,
                "seconds": seconds,
                "device": device_name(device),
            }
            store.write_evaluation(spec, row)
            measured += images
            report(
                {
                    "round": number,
                    "iteration": images,
                    "round_done": True,
                    "iterations_done": measured,
                    "rate": images / seconds,
                    "weights_remaining": share,
                    "natural": natural.accuracy[0],
                    "adversarial": {label(wanted.attack): attacked.accuracy[0]},
                    "running": 1,
                    "device": device_name(device),
                    "failures": [],
                }
            )
