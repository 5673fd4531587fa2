"""A figure of one's own, from the Parquet files: does a lower validation loss mean a more accurate network?

python analysis/examples/accuracy_against_loss.py results/quickstart out.svg
"""

import sys

from matplotlib.figure import Figure

from lthray import analysis

results = analysis.load(sys.argv[1])
curves = analysis.learning_curves(results.curves(), results.rounds)
last = curves.sort_values("iteration").groupby(["dataset", "train_attack", "eval_attack", "strategy", "round"]).tail(1)

figure = Figure(layout="constrained")
axes = figure.add_subplot(xlabel="Adversarial validation loss", ylabel="Adversarial test accuracy")
for strategy, rows in last.groupby("strategy"):
    area = 60 * rows["weights_remaining"]
    axes.scatter(rows["loss_validation_mean"], rows["accuracy_test_mean"], area, label=strategy)
axes.legend(title="area: weights remaining")
figure.savefig(sys.argv[2])
