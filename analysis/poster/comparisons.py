"""The poster's three comparisons across strategies, and what stronger attacks leave of each network.

python analysis/poster/comparisons.py analysis/poster/comparisons.png
"""

import sys
from pathlib import Path

import pandas as pd

from lthray import analysis

HERE, ROUNDS = Path(__file__).parent, [0, 3, 8, 11, 15, 20]
FOLDERS = {"fgsm": "fashion-fgsm", "pgd": "fashion-pgd", "none": "fashion-natural"}
GROUPS = [(attack, strategy) for attack in FOLDERS for strategy in ("reset", "random", "continued")]
MEASURES = {
    "Early-stopping iteration": ("early_stopping_iteration", 1, "{:,.0f}"),
    "Adversarial accuracy at early stopping, %": ("early_stopping_adversarial_accuracy_test", 100, "{:.2f}"),
    "Natural accuracy at early stopping, %": ("early_stopping_natural_accuracy_test", 100, "{:.2f}"),
}
PGD = "pgd(attack_label=ground-truth;steps=100;step_size=0.0075;restarts=5)"
STRONG = {"PGD from the true label, 100 steps, 5 restarts": PGD, "AutoAttack": "autoattack"}


def print_table(title, rows, measure, form):
    """Means over seeds as Markdown: a row for each of ROUNDS, a column for each train attack and strategy."""
    table = rows.pivot_table(index=["train_attack", "strategy"], columns="round", values=measure)
    table = table.reindex([group for group in GROUPS if group in table.index])
    print(f"\n{title}\n\n| weights, % | {' | '.join(map(', '.join, table.index))} |\n|{'---|' * (len(table) + 1)}")
    for number in ROUNDS:
        print(f"| {weights[number]:.3g} | {' | '.join(table[number].map(form.format))} |")


results = {attack: analysis.load(HERE / folder) for attack, folder in FOLDERS.items()}
rounds = pd.concat([result.rounds for result in results.values()], ignore_index=True)
strong = pd.concat([result.evaluations() for result in results.values()], ignore_index=True)
strong = strong.query("moment == 'final' and split == 'test'").assign(percent=100 * strong["accuracy"])
# Networks trained on natural images are measured under FGSM and PGD, of which PGD is the stronger.
summary = analysis.summarise(rounds).query("train_attack != 'none' or eval_attack == 'pgd'").reset_index(drop=True)
weights = 100 * summary.groupby("round")["weights_remaining"].first()
seeds = rounds.groupby("train_attack")["seed"].nunique()
print("Seeds: " + ", ".join(f"trained against {attack}: {seeds[attack]}" for attack in FOLDERS))

for title, (measure, scale, form) in MEASURES.items():
    print_table(title, summary.assign(mean=scale * summary[f"{measure}_mean"]), "mean", form)
for words, name in STRONG.items():
    measured = strong[strong["attack"] == name]
    images = measured.groupby("train_attack")["images"].max()
    counts = ", ".join(f"{attack}: {images[attack]:,}" for attack in FOLDERS)
    most = measured[measured["images"] == measured["train_attack"].map(images)]
    print_table(f"Accuracy under {words}, at the end of a round, % (images, {counts})", most, "percent", "{:.2f}")

(panel,) = analysis.panels(summary)
figure = analysis.figures.draw_sparsity(panel.summary)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "comparisons.svg", dpi=100)
