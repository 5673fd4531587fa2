"""What several test files share: small sweeps, processes of the command line, networks to compare with."""

import json
import os
import pty
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from lthray.engine.arrays import Arrays
from lthray.engine.data import Split
from lthray.engine.randomness import Draw, generator
from lthray.engine.results import RoundResult
from lthray.engine.state import begin_round
from lthray.engine.tiled import TiledTraining
from lthray.engine.training import batches
from lthray.engine.trajectory import run
from lthray.methods.datasets import DatasetFacts
from lthray.spec.trajectory import TrajectorySpec

ROOT = Path(__file__).parent.parent
GOLDEN = ROOT / "tests" / "golden" / "0.1"
"""Results of lthray 0.1, as tests/golden/README.md says."""
SWEEPS = ROOT / "tests" / "golden" / "sweeps"


CPU = torch.device("cpu")


TINY = {
    "name": "tiny",
    "trajectory": {
        "dataset": "digits-8x8",
        "train_attack": "fgsm",
        "rounds": 2,
        "iterations": 30,
        "eval_every": 10,
        "end_attacks": [],  # which would take longer than all the rest
    },
    "grid": {"strategy": ["reset", "random", "continued"], "seed": [0, 1]},
    "resources": {"cpus": 1, "gpus": 0},
}


def own_fields(facts: DatasetFacts) -> dict[str, object]:
    """The fields of a trajectory on data of the user's own, as the driver fills them in."""
    sizes = {"classes": facts.classes, "examples": facts.examples, "validation": facts.validation or 0}
    shape = "x".join(map(str, facts.shape))
    return {"dataset": "own.npz", "own": {"data": "0" * 64, "shape": shape, "test": facts.test, **sizes}}


def own_arrays(facts: DatasetFacts, dtype: type[np.generic] = np.float32) -> Arrays:
    """Random images in which every class occurs; floats, or bytes."""
    draw = np.random.default_rng(0)

    def images(count: int) -> np.ndarray:
        drawn = draw.random((count, facts.inputs))
        return (255 * drawn).astype(np.uint8) if dtype is np.uint8 else drawn.astype(dtype)

    def labels(count: int) -> np.ndarray:
        return draw.permutation(np.arange(count) % facts.classes).astype(np.int16)

    n, m = facts.examples, facts.test
    return Arrays(images(n), labels(n), images(m), labels(m), 255 if dtype is np.uint8 else 1)


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def modules(spec: TrajectorySpec, weights: Sequence[torch.Tensor]) -> nn.Sequential:
    """A trajectory's network as torch's own modules, for flat images (B, D)."""
    side = {64: 8, 784: 28}[spec.inputs]
    layers: list[nn.Module] = [nn.Unflatten(1, (1, side, side))] if spec.model == "lenet-5" else []
    for place, weight in enumerate(weights):
        out, width, *kernel = weight.shape
        if kernel:
            padding = 2 if place == 0 or side == 8 else 0
            layers += [nn.Conv2d(width, out, 5, padding=padding, bias=False), nn.ReLU(), nn.MaxPool2d(2)]
        else:
            layers += [*([nn.Flatten()] if place == 2 else []), nn.Linear(width, out, bias=False), nn.ReLU()]
    network = nn.Sequential(*layers[:-1])
    for parameter, weight in zip(network.parameters(), weights, strict=True):
        parameter.data = weight.clone()
    return network


def totals(counts: list[dict[str, int]]) -> list[int]:
    """Weights left in the whole network, a number a round."""
    return [sum(layers.values()) for layers in counts]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "lthray", *map(str, arguments)]


def environment(**variables: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("LTHRAY", "RAY_"))}
    return clean | {"COLUMNS": "160"} | variables


def lthray(*arguments: object, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """Runs the command line as a user does: in a process of its own."""
    return subprocess.run(
        command(*arguments), capture_output=True, text=True, cwd=cwd, env=environment(**variables), timeout=280
    )


class Terminal:
    """A process of the command line on a terminal of 100 columns, and what it wrote there."""

    def __init__(self, *arguments):
        self.end, other = pty.openpty()
        variables = environment(COLUMNS="100", LINES="30", TERM="xterm-256color")
        self.process = subprocess.Popen(command(*arguments), stdin=other, stdout=other, stderr=other, env=variables)
        os.close(other)
        self.text = ""

    def read_until(self, part: str, times: int = 1) -> str:
        """Reads on until `part` was written so many times."""
        until = time.monotonic() + 60
        while self.text.count(part) < times:
            assert time.monotonic() < until, self.text
            self._read()
        return self.text

    def read_to_end(self) -> str:
        """Reads on until nobody can write any more."""
        with suppress(OSError):
            while True:
                self._read()
        os.close(self.end)
        return self.text

    def _read(self) -> None:
        self.text += os.read(self.end, 65536).decode(errors="replace")


@dataclass(frozen=True)
class Head:
    """A Ray cluster of one node with one CPU, which does not know the lthray under test."""

    url: str
    address: str
    """For drivers: `HOST:PORT`."""
    environment: dict[str, str]
    """For processes that talk to it."""

    def job(self, id_: str) -> dict[str, object]:
        with urllib.request.urlopen(f"{self.url}/api/jobs/{id_}", timeout=60) as answer:
            return json.load(answer)

    def ends(self, id_: str) -> str:
        """Waits for a job's end and returns its status."""
        until = time.monotonic() + 120
        while (status := str(self.job(id_)["status"])) in ("PENDING", "RUNNING"):
            assert time.monotonic() < until, f"{id_} is still {status}"
            time.sleep(1)
        return status


KEYS = ["trajectory_id", "round", "iteration", "split", "attack"]


CLOCKS = ["stack", "train_seconds", "eval_seconds"]


def tables(folder) -> tuple[pd.DataFrame, pd.DataFrame]:
    rounds, curves = pd.read_parquet(f"{folder}/rounds"), pd.read_parquet(f"{folder}/curves")
    return (
        rounds.drop(columns=CLOCKS).sort_values(KEYS[:2], ignore_index=True),
        curves.sort_values(KEYS, ignore_index=True),
    )


def evaluations(folder) -> pd.DataFrame:
    """The table that the end attacks have rows in."""
    return pd.read_parquet(f"{folder}/evaluations").sort_values([*KEYS, "moment", "images"], ignore_index=True)


def start(sweep: Path, out: Path, *options: str, **variables: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command("sweep", sweep, "--out", out, *options),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment(**variables),
        start_new_session=True,
    )


def wait_for(process: subprocess.Popen[str], part: str) -> None:
    for line in process.stdout:
        if part in line:
            return
    pytest.fail(f"the sweep ended without {part!r}")


def readable(folder: Path) -> None:
    """Whatever was killed: every file that a reader sees is whole."""
    for table in ("rounds", "curves"):
        if list((folder / table).glob("*.parquet")):
            frame = pd.read_parquet(folder / table)
            assert not frame.duplicated(
                [c for c in ("trajectory_id", "round", "iteration", "split", "attack") if c in frame]
            ).any()


def failed(process, *parts: str) -> None:
    """One clear line on stderr and exit status 2."""
    assert process.returncode == 2, process.stderr
    lines = process.stderr.strip().splitlines()
    assert len(lines) == 1, process.stderr
    assert lines[0].startswith("lthray: ")
    for part in parts:
        assert part in lines[0]


WHOLE = partial(TiledTraining, sparse=False)
"""Training with whole layers."""
REMAINING = partial(TiledTraining, sparse=True)
"""Training with the remaining weights alone."""


def trained(way, specs, weights, masks, data, steps):
    start = begin_round(weights, specs, 1)
    training = way(start, masks, specs)
    for _, batch in zip(range(steps), batches(specs, 1, CPU), strict=False):
        training.step(*data.batch(batch), start.generators)
    return training.current()[0]


def in_double(split):
    return Split(split.as_floats().images.double(), split.labels)


def run_watched(specs, digits, *arguments, **options):
    """A run's results by trajectory and round, and the checkpoints of each evaluation, one a trajectory."""
    taken = {}

    def observe(progress):
        if progress.measurements:
            taken[progress.round, progress.iteration] = progress.checkpoints()

    rounds = run(specs, digits, *arguments, observe=observe, **options)
    return {(result.spec.trajectory_id, result.round): result for stack in rounds for result in stack}, taken


def same(one: RoundResult, other: RoundResult) -> bool:
    """The same numbers, bit for bit; seconds and the stack's size are not among them."""
    clocks = {"train_seconds": 0.0, "eval_seconds": 0.0, "stack": 0, "ticket": None, "rewound": None}
    pairs = [(one.ticket.weights, other.ticket.weights), (one.ticket.masks, other.ticket.masks)]
    return replace(one, **clocks) == replace(other, **clocks) and all(
        ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)
        for ours, theirs in pairs
    )


def plain(spec, weights, masks, data, round_):
    """The same round as a researcher writes it: nn.Linear, autograd, torch.optim.Adam, an attack in a loop."""
    layers = nn.ModuleList([nn.Linear(w.shape[2], w.shape[1], bias=False, dtype=w.dtype) for w in weights])
    for layer, w in zip(layers, weights, strict=True):
        layer.weight.data.copy_(w[0])

    def model(x):
        return layers[2](F.relu(layers[1](F.relu(layers[0](x)))))

    def slope(x, label):
        leaf = x.clone().requires_grad_()
        return torch.autograd.grad(F.cross_entropy(model(leaf), label), leaf)[0]

    def attacked(x, y, noise):
        label = model(x).argmax(-1).detach() if spec.attack_label == "predicted" else y
        if spec.train_attack == "fgsm":
            return (x + spec.epsilon * slope(x, label).sign()).clamp(0, 1)
        start = torch.empty_like(x).uniform_(-spec.epsilon, spec.epsilon, generator=noise)
        found = (x + start).clamp(0, 1)
        for _ in range(spec.pgd.steps):
            found = found + spec.pgd.step_size * slope(found, label).sign()
            found = (x + (found - x).clamp(-spec.epsilon, spec.epsilon)).clamp(0, 1)
        return found

    adam = torch.optim.Adam(layers.parameters(), lr=spec.learning_rate, betas=(0.9, 0.999), eps=1e-7)
    order, noise = generator(spec.seed, Draw.BATCHES, round_), generator(spec.seed, Draw.TRAIN_ATTACK, round_)
    done = 0
    while done < spec.iterations:
        for batch in torch.randperm(len(data.labels), generator=order).split(spec.batch_size):
            if (len(batch) < spec.batch_size and spec.drop_last) or done == spec.iterations:
                break
            x, y = data.batch(batch)
            loss = F.cross_entropy(model(x), y, label_smoothing=spec.label_smoothing)
            if spec.train_attack != "none":
                worse = F.cross_entropy(model(attacked(x, y, noise)), y, label_smoothing=spec.label_smoothing)
                loss = (1 - spec.adversarial_weight) * loss + spec.adversarial_weight * worse
            adam.zero_grad()
            loss.backward()
            for layer, mask in zip(layers, masks, strict=True):
                layer.weight.grad *= mask[0]
            adam.step()
            done += 1
    return [layer.weight.data for layer in layers]


VOID = {"meta", "img", "br", "link", "input", "hr"}


class Page(HTMLParser):
    """What a test asks of a page: its elements, its text, and that what is opened is closed."""

    def __init__(self, text):
        super().__init__()
        self.elements, self.open, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    def pictures(self):
        """The figures of a report that are part of the page."""
        return [attributes for attributes in self.all("svg") if "data-series" in attributes]
