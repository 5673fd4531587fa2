"""Do winning tickets account for the accuracy? Natural test accuracy of each strategy as networks get sparser.

python analysis/natural_accuracy.py results/quickstart natural_accuracy.svg
"""

import sys

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from lthray import analysis

MOMENTS = {"early_stopping": "at early stopping", "final": "at the end of training"}
folder, out = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "natural_accuracy.svg"

rounds = analysis.load(folder).rounds
summary = analysis.summarise(rounds)
keys = list(summary.columns[: summary.columns.get_loc("eval_attack")])  # the fields that vary, data set, train attack
summary = summary.drop_duplicates([*keys, "strategy", "round"])  # natural accuracy does not depend on the eval attack
groups = list(summary.groupby(keys, sort=False, dropna=False))

figure = Figure(figsize=(10, 3.5 * len(groups)), layout="constrained")
grid = figure.subplots(len(groups), len(MOMENTS), sharex=True, sharey="row", squeeze=False)
for (key, rows), row in zip(groups, grid, strict=True):
    title = ", ".join(f"{name} {value}" for name, value in zip(keys, key, strict=True))
    for (moment, when), axes in zip(MOMENTS.items(), row, strict=True):
        measure = f"{moment}_natural_accuracy_test"
        weights = (100 * rows.groupby("round")["weights_remaining"].mean()).rename("weights, %").round(1)
        means = rows.pivot_table(index="round", columns="strategy", values=f"{measure}_mean", sort=False)
        print(f"{title}: natural test accuracy {when}, %, mean over seeds\n")
        print((100 * means).round(1).set_index(weights, append=True).to_string(), "\n")

        axes.set(title=f"{title}\n{when}", xlabel="Weights remaining, %", ylabel="Natural test accuracy, %")
        for strategy, line in rows.groupby("strategy", sort=False):
            mean, spread = 100 * line[f"{measure}_mean"], 100 * line[f"{measure}_sd"]
            axes.plot(100 * line["weights_remaining"], mean, marker="o", markersize=4, label=strategy)
            axes.fill_between(100 * line["weights_remaining"], mean - spread, mean + spread, alpha=0.2)
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.xaxis.set_minor_locator(NullLocator())
        axes.legend()
grid[0, 0].invert_xaxis()  # of all axes, which share it
figure.savefig(out)

# Seed by seed: a ticket less the network of another strategy in the same round, and less its own dense network.
pairs = analysis.compare(rounds, "early_stopping_natural_accuracy_test", ["dense", "random", "continued"])
pairs = pairs.drop_duplicates([*keys, "against", "round"])
print("Winning tickets less other networks of the same seed, in points, mean over rounds:\n")
print(
    (100 * pairs.groupby([*keys, "against"], sort=False, dropna=False)["mean_difference"].mean()).round(2).to_string()
)
