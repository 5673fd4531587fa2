"""Below which density sparse computation is faster than dense: the source of `lthray.engine.sparse.BREAK_EVEN`.

    python benchmarks/break_even.py [--repeats N] [--widths 1000 300]

Prints, round by round, the time of dense computation divided by that of sparse (one thread, CPU seconds of the process;
median and quartiles). `--widths` are the units of the network's hidden layers, 300 and 100 by default.
"""

import argparse
import time
from functools import partial

import torch

from lthray.bench.measure import Spread, alternate, pruned
from lthray.engine.evaluation import dense_logits
from lthray.engine.randomness import Draw, generator
from lthray.engine.results import share_remaining
from lthray.engine.sparse import SparseEvaluation, SparseTraining
from lthray.engine.state import begin_round
from lthray.engine.training import DenseTraining
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

    def steps(training: DenseTraining | SparseTraining, count: int) -> None:
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
            ways = (DenseTraining(start, masks, [spec]), SparseTraining(start, masks, [spec]))
            line.append({str(i): (partial(steps, way, count), 1) for i, way in enumerate(ways)})
        network = tuple(weight[0] for weight in weights)
        logits = (partial(dense_logits, network, spec), SparseEvaluation(network, spec).logits)
        pgd = {Attack("pgd"): draw}
        line.append({str(i): (partial(way, many, their_labels, pgd), 1) for i, way in enumerate(logits)})
        cells = []
        for jobs in line:
            dense, sparse = alternate(jobs, repeats, time.process_time).values()
            ratio = Spread.compute([one / other for one, other in zip(dense, sparse, strict=True)])
            cells.append(f"{ratio.median:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]")
        share = share_remaining(masks)
        print(f"{number:5}  {share:7.1%}  " + "".join(f"{cell:>22}" for cell in cells), flush=True)


if __name__ == "__main__":
    main()
