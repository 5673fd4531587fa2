"""Below which density remaining weights are faster than whole layers: the source of `lthray.engine.tiled.BREAK_EVEN`.

    python benchmarks/break_even.py [--repeats N] [--widths 1000 300]

Prints, round by round, the time with whole layers divided by that with the remaining weights alone (one thread, CPU
seconds of the process; median and quartiles). `--widths` are the units of the hidden layers, 300 and 100 by default.
"""

import argparse
import time
from functools import partial

import torch

from lthray.bench.measure import Spread, alternate, pruned
from lthray.engine.randomness import Draw, generator
from lthray.engine.results import share_remaining
from lthray.engine.state import begin_round
from lthray.engine.tiled import TiledEvaluation, TiledTraining
from lthray.methods.attacks import Attack
from lthray.spec.trajectory import TrajectorySpec

ROUNDS = range(8)
STEPS = {"none": 60, "fgsm": 30, "pgd": 10}


def main() -> None:
    """Measures every round and prints a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15, help="turns (default: %(default)s)")
    parser.add_argument("--widths", type=int, nargs="+", default=[300, 100], help="units of the hidden layers")
    arguments = parser.parse_args()
    repeats, fields = arguments.repeats, {"model": "mlp", "widths": arguments.widths}
    torch.set_num_threads(1)
    images, labels = torch.rand(1, 60, 784), torch.randint(0, 10, (1, 60))
    many, their_labels = torch.rand(512, 784), torch.randint(0, 10, (512,))
    draw = [generator(0, Draw.TRAIN_ATTACK)]

    def steps(training: TiledTraining, count: int) -> None:
        for _ in range(count):
            training.step(images, labels, draw)

    print(
        "round  weights  "
        + "".join(f"{name:>22}" for name in ("natural step", "FGSM step", "PGD step", "PGD evaluation"))
    )
    for number in ROUNDS:
        line = []
        for attack, count in STEPS.items():
            spec = TrajectorySpec.model_validate({"train_attack": attack} | fields)
            weights, masks = pruned(spec, number)
            start = begin_round(weights, [spec], 1)
            ways = [TiledTraining(start, masks, [spec], sparse=sparse) for sparse in (False, True)]
            line.append({str(i): (partial(steps, way, count), 1) for i, way in enumerate(ways)})
        network = tuple(weight[0] for weight in weights)
        logits = [TiledEvaluation(network, spec, sparse=sparse).logits for sparse in (False, True)]
        pgd = {Attack("pgd"): draw}
        line.append({str(i): (partial(way, many, their_labels, pgd), 1) for i, way in enumerate(logits)})
        cells = []
        for jobs in line:
            whole, remaining = alternate(jobs, repeats, time.process_time).values()
            ratio = Spread.compute([one / other for one, other in zip(whole, remaining, strict=True)])
            cells.append(f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]")
        share = share_remaining(masks)
        print(f"{number:5}  {share:7.1%}  " + "".join(f"{cell:>22}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
