"""A question of one's own: does a lower validation loss mean a more robust network?

python analysis/accuracy_against_loss.py results/quickstart accuracy_against_loss.svg
"""

import sys

from matplotlib.figure import Figure

from lthray import analysis

folder, out = sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "accuracy_against_loss.svg"

results = analysis.load(folder)
curves = analysis.learning_curves(results.curves(), results.rounds)
keys = list(curves.columns[: curves.columns.get_loc("round")])  # the fields that vary, data set, attacks and strategy
last = curves.groupby([*keys, "round"], sort=False, dropna=False).tail(1)
columns = [*keys, "round", "weights_remaining", "loss_validation_mean", "accuracy_test_mean"]
print("Adversarial validation loss and adversarial test accuracy at the end of each round, mean over seeds:\n")
print(last[columns].round(3).to_string(index=False))

figure = Figure(layout="constrained")
axes = figure.add_subplot(xlabel="Adversarial validation loss", ylabel="Adversarial test accuracy, %")
for strategy, rows in last.groupby("strategy", sort=False):
    area = 60 * rows["weights_remaining"]
    axes.scatter(rows["loss_validation_mean"], 100 * rows["accuracy_test_mean"], area, label=strategy)
axes.legend(title="area: weights remaining")
figure.savefig(out)
