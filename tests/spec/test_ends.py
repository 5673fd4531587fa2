"""What is measured at the ends of rounds, and what it costs."""

from lthray.spec.ends import count_gradients, end_attacks, end_images
from lthray.spec.trajectory import TrajectorySpec


def spec(**fields) -> TrajectorySpec:
    return TrajectorySpec.model_validate(fields)


def test_no_more_images_than_there_are():
    assert end_images(spec(dataset="digits-8x8")) == 360
    assert end_images(spec()) == 2_000
    assert end_images(spec(end_images=20_000)) == 10_000


def test_what_the_eval_attacks_have_measured_already_is_not_measured_twice():
    own = "pgd(steps=3)"
    fields = {"eval_attacks": ["pgd", own], "end_attacks": ["pgd", own]}
    assert list(map(str, end_attacks(spec(**fields, dataset="digits-8x8")))) == ["pgd"]
    assert list(map(str, end_attacks(spec(**fields)))) == ["pgd", own], "on fewer images they are other rows"


def test_gradients_are_counted_by_hand():
    """Fashion-MNIST, 20,000 images an evaluation, at iterations 0, 500 and 1,000; PGD-10 has 10 steps an image."""
    few = {"rounds": 2, "iterations": 1_000, "end_images": 100}
    natural = count_gradients(spec(**few))
    assert natural == (3 * 1_000 * 60, 3 * 3 * 20_000 * (1 + 10), 3 * 2 * 100 * 150)
    fgsm = count_gradients(spec(**few, train_attack="fgsm", end_attacks=["pgd", "fgsm"]))
    assert fgsm == (3 * 1_000 * 60 * 3, 3 * 3 * 20_000, 3 * 2 * 100 * 11)
    pgd = {"train_attack": "pgd", "pgd": {"restarts": 2}, "end_attacks": []}
    assert count_gradients(spec(**few, **pgd)) == (3 * 1_000 * 60 * 22, 3 * 3 * 20_000 * 20, 0)
    ragged = spec(**few, drop_last=False)  # 834 batches of an epoch have 50,000 images
    assert count_gradients(ragged).training == 3 * round(1_000 * 50_000 / 834)


def test_gradients_at_the_ends_of_rounds_alone_are_counted_by_hand():
    """As above; at two of three evaluations, and under the train attack at all."""
    few = {"rounds": 2, "iterations": 1_000, "end_attacks": [], "eval_attacks_at": "ends"}
    assert count_gradients(spec(**few)).evaluation == 3 * 2 * 20_000 * (1 + 10)
    both = {"train_attack": "fgsm", "eval_attacks": ["fgsm", "pgd"]}
    assert count_gradients(spec(**few, **both)).evaluation == 3 * 20_000 * (3 * 1 + 2 * 10)
    assert count_gradients(spec(**few, retrain={"iterations": 0})).evaluation == (2 + 1 + 1) * 20_000 * (1 + 10)


def test_only_rounds_to_come_are_counted():
    brief = spec(rounds=2, iterations=1_000, train_attack="fgsm", retrain={"iterations": 0, "train_attack": "none"})
    whole, later, last, none = (count_gradients(brief, first) for first in range(4))
    assert whole.training == 1_000 * 60 * 3
    assert later.training == last.training == 0
    assert (whole.evaluation, later.evaluation, last.evaluation) == (5 * 20_000, 2 * 20_000, 20_000)
    assert (whole.ends, later.ends, last.ends) == tuple(rounds * 2 * 2_000 * 150 for rounds in (3, 2, 1))
    assert none == (0, 0, 0)
