"""Does robustness need overparameterization? Adversarial test accuracy of each strategy as networks get sparser.

python analysis/adversarial_accuracy.py results/quickstart adversarial_accuracy.svg
"""

import sys

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from lthray import analysis

MEASURE, MARGIN = "early_stopping_adversarial_accuracy_test", 0.01
folder, out = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "adversarial_accuracy.svg"

rounds = analysis.load(folder).rounds
summary = analysis.summarise(rounds)
keys = list(summary.columns[: summary.columns.get_loc("strategy")])  # the fields that vary, data set and both attacks
groups = list(summary.groupby(keys, sort=False, dropna=False))

figure = Figure(figsize=(6, 3.5 * len(groups)), layout="constrained")
for number, (key, rows) in enumerate(groups, 1):
    title = ", ".join(f"{name} {value}" for name, value in zip(keys, key, strict=True))
    weights = (100 * rows.groupby("round")["weights_remaining"].mean()).rename("weights, %").round(1)
    means = rows.pivot_table(index="round", columns="strategy", values=f"{MEASURE}_mean", sort=False)
    print(f"{title}: adversarial test accuracy at early stopping, %, mean over seeds\n")
    print((100 * means).round(1).set_index(weights, append=True).to_string(), "\n")

    axes = figure.add_subplot(len(groups), 1, number, title=title, xscale="log")
    axes.set(xlabel="Weights remaining, %", ylabel="Adversarial test accuracy, %")
    axes.invert_xaxis()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    for strategy, line in rows.groupby("strategy", sort=False):
        mean, spread = 100 * line[f"{MEASURE}_mean"], 100 * line[f"{MEASURE}_sd"]
        axes.plot(100 * line["weights_remaining"], mean, marker="o", markersize=4, label=strategy)
        axes.fill_between(100 * line["weights_remaining"], mean - spread, mean + spread, alpha=0.2)
    axes.legend()
figure.savefig(out)

# Seed by seed: a ticket less the dense network that it was cut from. p is small where it loses less than the margin.
pairs = analysis.compare(rounds, MEASURE, ["dense"], boundary=-MARGIN)
kept = pairs[pairs["p_above_holm"] <= 0.025]
print(f"The sparsest tickets shown to lose less than {100 * MARGIN:g} point against the dense network:\n")
columns = [*keys, "round", "weights_remaining", "mean_difference", "p_above_holm", "n"]
print(kept.groupby(keys, sort=False, dropna=False).tail(1)[columns].to_string(index=False) if len(kept) else "none")
