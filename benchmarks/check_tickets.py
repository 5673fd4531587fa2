"""Measures stored tickets without lthray and compares the test accuracies with the logged ones.

    python benchmarks/check_tickets.py results/fashion-small --data-dir DATA

Loads the last ticket of every trajectory on MNIST or Fashion-MNIST into plain PyTorch, attacks the whole test set with
torchattacks under the settings in the trajectory's row, and prints logged and measured accuracy side by side. The exit
status is 1 if they differ by more than --points. Needs torchattacks (pip install --no-deps torchattacks).
"""

import argparse
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torchattacks
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision import datasets

READERS = {"mnist": datasets.MNIST, "fashion-mnist": datasets.FashionMNIST}


def place(layer: str) -> tuple[int, int]:
    """The position of a layer in its network, by its name, as a key to sort by."""
    kind, _, number = layer.partition("_")
    return ("conv", "hidden", "output").index(kind), int(number or 0)


def network(ticket: Path) -> nn.Module:
    """The ticket's network in plain PyTorch, for flat images of 28x28 pixels.

    Convolutions come first, and only the first convolution is padded; dense layers follow.
    """
    tensors = load_file(ticket)
    names = sorted((name.removesuffix(".weight") for name in tensors if name.endswith(".weight")), key=place)
    layers: list[nn.Module] = [nn.Unflatten(1, (1, 28, 28))] if "conv_1" in names else []
    for name in names:
        weight = tensors[f"{name}.weight"]
        out, width, *kernel = weight.shape
        layer: nn.Module = nn.Linear(width, out, bias=False)
        if kernel:
            layer = nn.Conv2d(width, out, tuple(kernel), padding=2 if name == "conv_1" else 0, bias=False)
        elif "conv_1" in names and name == "hidden_1":
            layers.append(nn.Flatten())
        layer.weight = nn.Parameter(weight)
        layers += [layer, nn.ReLU(), *([nn.MaxPool2d(2)] if kernel else [])]
    return nn.Sequential(*layers[:-1]).eval()


def measure(model: nn.Module, images: Tensor, labels: Tensor, row: dict[str, Any]) -> dict[str, float]:
    """Natural and adversarial accuracy in [0, 1], by attack, under the attack settings in the row."""
    attacks = {
        "fgsm": torchattacks.FGSM(model, eps=row["epsilon"]),
        "pgd": torchattacks.PGD(
            model,
            eps=row["epsilon"],
            alpha=row["pgd.step_size"],
            steps=row["pgd.steps"],
            random_start=row["pgd.random_start"],
        ),
    }
    predicted = model(images).argmax(-1).detach()
    away = predicted if row["attack_label"] == "predicted" else labels
    found = {"none": (predicted == labels).double().mean().item()}
    for name in row["eval_attacks"].split(","):
        if name not in attacks:  # an attack with settings of its own has no column in the table to compare with
            continue
        correct = 0
        for x, y, target in zip(images.split(1000), labels.split(1000), away.split(1000), strict=True):
            correct += int((model(attacks[name](x, target)).argmax(-1) == y).sum())
        found[name] = correct / len(labels)
    return found


def main() -> int:
    """Prints a line for every ticket and returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--points", type=float, default=0.5, help="largest difference allowed, in points")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    rounds = pd.read_parquet(arguments.results / "rounds")
    last = rounds.sort_values("round").groupby("trajectory_id").tail(1)
    worst = 0.0
    print("| data set | network | train attack | strategy | seed | weights | attack | logged | measured | difference |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    for row in last[last["dataset"].isin(list(READERS))].to_dict("records"):
        test = READERS[row["dataset"]](str(arguments.data_dir), train=False)
        images = test.data.reshape(len(test.data), -1).float() / 255
        ticket = arguments.results / "tickets" / row["trajectory_id"] / f"round-{row['round']:02d}.safetensors"
        cells = []
        for attack, accuracy in measure(network(ticket), images, test.targets, row).items():
            logged = row[f"final_{attack}_accuracy_test"]
            worst = max(worst, 100 * abs(accuracy - logged))
            cells.append(
                (attack, f"{100 * logged:.2f} %", f"{100 * accuracy:.2f} %", f"{100 * (accuracy - logged):+.2f}")
            )
        model = f"{row['model']} {row['widths']}" if row["model"] == "mlp" else row["model"]
        fields = (row["dataset"], model, row["train_attack"], row["strategy"], str(row["seed"]))
        columns = ["<br>".join(column) for column in zip(*cells, strict=True)]
        print("|", " | ".join([*fields, f"{100 * row['weights_remaining']:.1f} %", *columns]), "|")
    print(f"\nlargest difference: {worst:.2f} points")
    return int(worst > arguments.points)


if __name__ == "__main__":
    sys.exit(main())
