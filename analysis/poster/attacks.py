"""Which attack breaks the published network that was trained against PGD? Each of AutoAttack's alone, beside PGD.

python analysis/poster/attacks.py DATA_DIR        # a folder with Fashion-MNIST in torchvision's layout; a minute
"""

import sys
import warnings
from pathlib import Path

import torch
from torchattacks import APGD, APGDT, FAB, PGD, Square
from torchvision.datasets import FashionMNIST

import lthray

FOLDER, IMAGES, COMMON = Path(__file__).parent / "fashion-pgd", 500, {"norm": "Linf", "eps": 0.3, "seed": 0}
ATTACKS = {
    "PGD, 10 steps": lambda network: PGD(network, eps=0.3, alpha=0.05, steps=10),
    "PGD, 100 steps": lambda network: PGD(network, eps=0.3, alpha=0.0075, steps=100),
    "APGD, cross-entropy": lambda network: APGD(network, **COMMON, steps=100, loss="ce"),
    "APGD, ratio of logits": lambda network: APGD(network, **COMMON, steps=100, loss="dlr"),
    "APGD, targeted": lambda network: APGDT(network, **COMMON, steps=100, n_classes=10),
    "FAB, targeted": lambda network: FAB(network, **COMMON, steps=100, multi_targeted=True, n_classes=10),
    "Square, 5,000 queries, no gradient": lambda network: Square(network, **COMMON, n_queries=5_000),
}

warnings.filterwarnings("ignore", module="torchattacks")
test = FashionMNIST(sys.argv[1], train=False)
images, labels = test.data[:IMAGES].unsqueeze(1) / 255, test.targets[:IMAGES]
results = lthray.open(FOLDER)
networks = {number: results.module({"strategy": "reset", "seed": 0}, round=number) for number in (0, 8, 15)}


def measure(network, pictures):
    """Accuracy in %."""
    with torch.no_grad():
        return 100 * (network(pictures).argmax(1) == labels).float().mean().item()


print(f"| attack alone, on {IMAGES:,} images | dense | 16.9 % of weights | 3.58 % |\n|---|---|---|---|")
print("| none |", " | ".join(f"{measure(network, images):.1f}" for network in networks.values()), "|")
for name, attack in ATTACKS.items():
    torch.manual_seed(0)
    left = [measure(network, attack(network)(images, labels)) for network in networks.values()]
    print(f"| {name} |", " | ".join(f"{accuracy:.1f}" for accuracy in left), "|", flush=True)
