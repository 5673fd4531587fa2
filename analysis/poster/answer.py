"""Are the poster's sparse networks robust? Accuracy under ever stronger attacks as networks get sparser.

python analysis/poster/answer.py docs/poster-answer.png
"""

import sys
from pathlib import Path

from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator, StrMethodFormatter

from lthray import analysis

HERE, GUESS = Path(__file__).parent, 10
STRONG = "pgd(attack_label=ground-truth;steps=100;step_size=0.0075;restarts=5)"
PANELS = {"fashion-fgsm": ("fgsm", "FGSM"), "fashion-pgd": ("pgd", "PGD, 10 steps")}

figure = Figure(figsize=(10, 4), layout="constrained")
for number, (folder, (attack, name)) in enumerate(PANELS.items(), 1):
    results = analysis.load(HERE / folder)
    rounds = results.rounds.query("strategy == 'reset'")
    measured = results.evaluations().query("strategy == 'reset' and moment == 'final'")
    strong = measured[measured["attack"] == STRONG]
    strongest = measured[measured["attack"] == "autoattack"]
    strongest = strongest[strongest["images"] == strongest["images"].max()]
    accuracies = {
        "natural images": (rounds, "final_none_accuracy_test", "#6e7781"),
        f"the attack trained against: {name}": (rounds, f"final_{attack}_accuracy_test", "#0072b2"),
        "PGD from the true label, 100 steps, 5 restarts": (strong, "accuracy", "#d55e00"),
        "AutoAttack": (strongest, "accuracy", "#aa3377"),
    }
    seeds = rounds["seed"].nunique()
    title = f"Trained against {name.partition(',')[0]} ({seeds} seeds)"
    axes = figure.add_subplot(1, 2, number, xscale="log", ylim=(-3, 103))
    axes.set_title(title, loc="left", fontweight="bold")
    axes.set(xlabel="Weights remaining, %", ylabel="Test accuracy at the end of a round, %")
    axes.invert_xaxis()
    axes.xaxis.set_major_locator(FixedLocator([100, 50, 20, 10, 5, 2, 1]))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.axhline(GUESS, color="#6e7781", linewidth=0.8, linestyle=(0, (5, 3)))
    axes.annotate("a guess", (105, GUESS), (0, -11), textcoords="offset points", color="#6e7781")
    print(title)
    for label, (frame, column, colour) in accuracies.items():
        means = 100 * frame.groupby("round").agg(weights=("weights_remaining", "mean"), accuracy=(column, "mean"))
        axes.plot(means["weights"], means["accuracy"], marker="o", markersize=3.5, color=colour, label=label)
        dense, sparse, sparsest = means["accuracy"].loc[[0, 8, 20]].map("{:.2f}".format)
        print(f"  {label}: dense {dense}, with 16.9 % of weights {sparse}, with 1.2 % {sparsest}")
    axes.legend(loc="upper right", bbox_to_anchor=(1, 0.62 if attack == "fgsm" else 0.72), frameon=False)
figure.savefig(sys.argv[1] if len(sys.argv) > 1 else "answer.svg", dpi=150)
