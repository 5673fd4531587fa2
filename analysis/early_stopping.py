"""Do winning tickets train faster? The early-stopping iteration of each strategy as networks get sparser.

python analysis/early_stopping.py results/quickstart early_stopping.svg
"""

import sys

from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter

from lthray import analysis

MEASURE = "early_stopping_iteration"
folder, out = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "early_stopping.svg"

rounds = analysis.load(folder).rounds
summary = analysis.summarise(rounds)
keys = list(summary.columns[: summary.columns.get_loc("eval_attack")])  # the fields that vary, data set, train attack
summary = summary.drop_duplicates(
    [*keys, "strategy", "round"]
)  # when training stops does not depend on the eval attack
groups = list(summary.groupby(keys, sort=False, dropna=False))

figure = Figure(figsize=(6, 3.5 * len(groups)), layout="constrained")
for number, (key, rows) in enumerate(groups, 1):
    title = ", ".join(f"{name} {value}" for name, value in zip(keys, key, strict=True))
    weights = (100 * rows.groupby("round")["weights_remaining"].mean()).rename("weights, %").round(1)
    means = rows.pivot_table(index="round", columns="strategy", values=f"{MEASURE}_mean", sort=False)
    print(f"{title}: early-stopping iteration, mean over seeds\n")
    print(means.round().astype("Int64").set_index(weights, append=True).to_string(), "\n")

    axes = figure.add_subplot(len(groups), 1, number, title=title, xscale="log")
    axes.set(xlabel="Weights remaining, %", ylabel="Early-stopping iteration")
    axes.invert_xaxis()
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    for strategy, line in rows.groupby("strategy", sort=False):
        mean, spread = line[f"{MEASURE}_mean"], line[f"{MEASURE}_sd"]
        axes.plot(100 * line["weights_remaining"], mean, marker="o", markersize=4, label=strategy)
        axes.fill_between(100 * line["weights_remaining"], mean - spread, mean + spread, alpha=0.2)
    axes.legend()
figure.savefig(out)

# The same seed has the same data and, under `reset`, the same start, so that differences are taken seed by seed.
pairs = analysis.compare(rounds, MEASURE, ["dense", "random"]).drop_duplicates([*keys, "against", "round"])
sparsest = pairs.groupby([*keys, "against"], sort=False, dropna=False).tail(1)
print("Winning tickets less the dense network and less random networks, in the last round:\n")
print(sparsest[[*keys, "against", "round", "mean_difference", "ci_low", "ci_high", "n"]].to_string(index=False))
