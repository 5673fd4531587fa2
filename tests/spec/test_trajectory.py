"""A trajectory's fields, their bounds and their identity."""

import json

import pytest
from pydantic import ValidationError

from lthray.methods.attacks import Attack
from lthray.spec.dotted import flatten, nest
from lthray.spec.presets import PRESETS, preset
from lthray.spec.trajectory import TrajectorySpec


def spec(**fields) -> TrajectorySpec:
    return TrajectorySpec.model_validate(fields)


def test_paper_is_the_default_and_says_what_the_protocol_says():
    assert spec().flat() == {
        "protocol": "paper", "dataset": "fashion-mnist", "model": "lenet-300-100", "seed": 0, "strategy": "reset",
        "widths": "300-100", "rewind_to": "init", "train_attack": "none",
        "eval_attacks": "fgsm,pgd", "rounds": 20, "iterations": 50_000,
        "batch_size": 60, "drop_last": True, "eval_every": 500, "eval_clock": "round", "validation_size": 10_000,
        "learning_rate": 0.0012, "label_smoothing": 0.1, "adversarial_weight": 0.5, "epsilon": 0.3,
        "attack_label": "predicted", "pgd.steps": 10, "pgd.step_size": 0.05, "pgd.random_start": True,
        "norm": "linf", "pgd.restarts": 1, "end_images": 2_000, "eval_attacks_at": "every",
        "end_attacks": "pgd(attack_label=ground-truth;steps=50;step_size=0.015;random_start=true;restarts=3)",
        "prune.rates.hidden_1": 0.2, "prune.rates.hidden_2": 0.2, "prune.rates.output": 0.1,
        "prune.rates.deeper": 0.2, "prune.rates.convolution": 0.1,
        "prune.cutoff": "exclusive", "prune.criterion": "magnitude", "prune.scope": "layerwise",
        "prune.learned.iterations": 100, "prune.learned.learning_rate": 0.1,
        "prune.structure.kind": "none", "prune.structure.n": 2, "prune.structure.m": 4,
        "prune.schedule": "iterative", "prune.rate": 0.2, "transfer.source": "", "transfer.setting": "",
        "retrain.iterations": 50_000, "retrain.train_attack": "none",
        "model_args": "", "normalize.mean": "", "normalize.std": "", "augment": "none", "attack_mode": "eval",
        "optimizer.name": "adam", "optimizer.momentum": 0.0, "optimizer.nesterov": False, "optimizer.weight_decay": 0.0,
        "optimizer.clip_norm": 0.0, "schedule.name": "constant", "schedule.warmup": 0, "schedule.milestones": "",
        "schedule.gamma": 0.1, "schedule.final": 0.0,
        "objective.name": "mixed", "objective.beta": 6.0, "objective.replays": 8, "objective.epsilon_warmup": 0,
        "prune.only": "", "prune.except": "", "compute.precision": "float32", "compute.compile": False,
        "compute.channels_last": False, "own.data": "", "own.shape": "", "own.classes": 0, "own.examples": 0,
        "own.validation": 0, "own.test": 0, "own.code": "", "own.tensors": "",
    }  # fmt: skip


def test_released_code_differs_in_its_known_defects():
    released = preset("released-code")
    different = {name for name, value in preset("paper").items() if released[name] != value}
    assert different == {"protocol", "rewind_to", "iterations", "drop_last", "eval_clock", "prune.cutoff"}
    assert (released["rewind_to"], released["iterations"]) == ("end-of-round-0", 50_040)


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_valid(name):
    assert TrajectorySpec.model_validate(nest(preset(name))).protocol == name


def test_flatten_and_nest_are_inverse():
    tree = {"a": 1, "b": {"c": [1], "d": {"e": None}}}
    assert flatten(tree) == {"a": 1, "b.c": [1], "b.d.e": None}
    assert nest(flatten(tree)) == tree


@pytest.mark.parametrize(
    ("train_attack", "eval_attacks", "resolved"),
    [
        ("none", "auto", ("fgsm", "pgd")),
        ("fgsm", "auto", ("fgsm",)),
        ("pgd", "auto", ("pgd",)),
        ("pgd", ["fgsm"], ("fgsm", "pgd")),
        ("none", ["pgd", "fgsm"], ("fgsm", "pgd")),
        ("none", ["pgd"], ("pgd",)),
    ],
)
def test_eval_attacks_always_hold_the_train_attack(train_attack, eval_attacks, resolved):
    assert spec(train_attack=train_attack, eval_attacks=eval_attacks).eval_attacks == tuple(map(Attack, resolved))


WIDTHS = [
    [], [0], [-5], [100_001], [1] * 33, "x", "auto", 300, None, [300.5, 100.0], ["300"], [True], [[300, 100]], {"a": 1},
    [float("nan")], [10**30],
]  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"epsilon": -1.0}, {"epsilon": 1.5}, {"rounds": -3}, {"iterations": 0}, {"batch_size": 0}, {"seed": -1},
        {"learning_rate": 0.0}, {"label_smoothing": 1.0}, {"adversarial_weight": 1.1}, {"pgd": {"steps": 0}},
        {"pgd": {"step_size": 0.0}}, {"prune": {"rates": {"output": 1.5}}}, {"prune": {"rates": {"output": 1.0}}},
        {"learning_rate": float("nan")}, {"learning_rate": float("inf")}, {"rounds": 2.5}, {"rounds": "2"},
        {"rounds": True}, {"dataset": "cifar-10"}, {"strategy": "warm"}, {"unknown": 1}, {"pgd": {"unknown": 1}},
        {"eval_attacks": []}, {"eval_attacks": ["cw"]}, {"eval_attacks": "fgsm"}, {"validation_size": 60_000},
        {"batch_size": 50_001}, {"dataset": "digits-8x8", "validation_size": 100},
        {"rounds": 200, "prune": {"cutoff": "inclusive"}}, {"rewind_to": "iteration:0"}, {"rewind_to": "iteration:x"},
        {"rewind_to": "iteration:50000"}, {"rewind_to": "iteration:-1"}, {"rewind_to": "iteration:01"},
        {"rewind_to": "start"}, {"prune": {"criterion": "size"}}, {"prune": {"scope": "local"}},
        {"prune": {"rate": 0.3}}, {"prune": {"scope": "global", "rate": 1.0}},
        {"prune": {"scope": "global", "rates": {"output": 0.2}}},
        {"prune": {"scope": "global", "rate": 0.99}}, {"prune": {"schedule": "once"}},
        {"model": "mlp"}, {"widths": [100, 50]}, {"widths": "300-100"}, {"model": "lenet-5", "widths": [300, 100]},
        *({"model": "mlp", "widths": widths} for widths in WIDTHS),
        {"prune": {"rates": {"deeper": 0.3}}}, {"prune": {"rates": {"convolution": 0.3}}},
        {"model": "mlp", "widths": [50], "prune": {"rates": {"hidden_2": 0.3}}},
        {"objective": {"name": "trades"}, "train_attack": "fgsm"}, {"optimizer": {"name": "sgd", "nesterov": True}},
        {"optimizer": {"momentum": 0.9}}, {"schedule": {"name": "step"}}, {"schedule": {"milestones": [0.5]}},
        {"schedule": {"name": "step", "milestones": [0.5, 0.5]}}, {"objective": {"name": "hinge"}},
        {"normalize": {"mean": [0.5]}}, {"compute": {"compile": True}}, {"prune": {"except": ["conv"]}},
        {"transfer": {"source": "a" * 12}}, {"strategy": "transfer", "transfer": {"source": "results/x"}},
    ],
)  # fmt: skip
def test_impossible_values_are_refused(fields):
    with pytest.raises(ValidationError):
        spec(**fields)


def test_retraining_is_as_the_first_round_unless_it_is_said():
    one = spec(train_attack="pgd", iterations=70, rounds=3)
    assert one.retrain.model_dump() == {"iterations": 70, "train_attack": "pgd"}
    assert one.in_round(3) == one.in_round(0) == one
    assert [one.iterations_from(number) for number in range(5)] == [280, 210, 140, 70, 0]
    assert spec(train_attack="pgd", iterations=70, retrain={"iterations": "auto"}).retrain == one.retrain
    brief = spec(train_attack="pgd", iterations=70, rounds=3, retrain={"iterations": 5, "train_attack": "none"})
    assert (brief.in_round(1).iterations, brief.in_round(1).train_attack) == (5, "none")
    assert [brief.iterations_from(number) for number in range(5)] == [85, 15, 10, 5, 0]
    assert spec(retrain={"iterations": 50_000}).trajectory_id == spec().trajectory_id
    with pytest.raises(ValidationError, match="retrain"):
        spec(retrain={"iterations": -1})


def test_digits_have_a_fixed_validation_split():
    assert spec(dataset="digits-8x8").validation_size == 360
    assert spec(dataset="digits-8x8", validation_size=10_000).validation_size == 360
    assert spec(dataset="digits-8x8").train_size == 1_077


MODULE = {
    "model": "a.py:Net",
    "own": {"tensors": json.dumps([["fc.weight", "weight", [10, 784], "float32"]]), "code": "0123456789ab"},
}


def test_what_is_looked_up_is_no_part_of_the_id_but_the_content_of_the_data():
    one, own = spec(**MODULE), MODULE["own"]
    assert spec(**MODULE | {"own": own | {"code": "b" * 12}}).trajectory_id == one.trajectory_id
    assert spec(**MODULE | {"own": own | {"data": "b" * 12}}).trajectory_id != one.trajectory_id
    with pytest.raises(ValidationError, match="its tensors are not known"):
        spec(model="a.py:Net")
    with pytest.raises(ValidationError, match="allowed are mnist"):
        spec(dataset="a.npz")


def test_the_id_stands_for_every_field_that_can_change_a_training_or_its_curves():
    """A changed id would train everything anew: change these only together with the numbers."""
    base = spec()
    other = {
        "protocol": "released-code", "dataset": "mnist", "model": "lenet-5", "seed": 1,
        "strategy": "random", "train_attack": "pgd",
        "rewind_to": "end-of-round-0", "eval_attacks": ["pgd"], "iterations": 49_999, "batch_size": 59,
        "drop_last": False, "eval_every": 499, "eval_clock": "epoch", "validation_size": 9_999, "learning_rate": 0.001,
        "label_smoothing": 0.0, "adversarial_weight": 0.6, "epsilon": 0.2, "attack_label": "ground-truth",
        "pgd": {"steps": 11}, "prune": {"rates": {"output": 0.2}}, "retrain": {"iterations": 0}, "norm": "l2",
        "augment": "crop-flip", "objective": {"beta": 5.0},
        "optimizer": {"name": "sgd"}, "schedule": {"name": "cosine"}, "attack_mode": "train",
    }  # fmt: skip
    attacks = [
        {"eval_attacks": ["pgd", {"pgd": {"steps": 11}}]}, {"pgd": {"restarts": 2}}, {"pgd": {"step_size": 0.06}},
        {"pgd": {"random_start": False}},
    ]  # fmt: skip
    pruning = [
        {"criterion": "random"}, {"scope": "global"}, {"schedule": "one-shot"}, {"cutoff": "inclusive"},
        {"scope": "global", "rate": 0.3}, {"only": ["hidden*"]}, {"except": ["output"]},
    ]  # fmt: skip
    rules = [
        {"criterion": "learned"}, {"structure": {"kind": "units"}},
        *({"criterion": "learned", "learned": {name: 7}} for name in ("iterations", "learning_rate")),
        *({"structure": {"kind": "n-of-m", **sizes}} for sizes in ({}, {"n": 1}, {"m": 5})),
    ]  # fmt: skip
    modules = {"model_args": {"width": 3}, "compute": {"precision": "tf32"}, "normalize": {"std": [0.5]}}
    ids = {spec(**{name: value}).trajectory_id for name, value in other.items()}
    unhashed = {"rounds", "eval_attacks_at", "end_attacks", "end_images"}
    assert set(other) | unhashed | {"widths", "transfer", *MODULE, *modules} == set(TrajectorySpec.model_fields)
    assert len(ids) == len(other)
    widths = ([300], [300, 100, 30], [100, 300], [30, 10])
    ids |= {spec(model="mlp", widths=one).trajectory_id for one in widths}
    assert len(ids) == len(other) + 4
    assert {*flatten({"prune": pruning[-3] | pruning[-2] | pruning[-1] | pruning[0] | pruning[2] | pruning[3]})} | {
        f"prune.rates.{name}" for name in ("hidden_1", "hidden_2", "output", "deeper", "convolution")
    } | {name for fields in rules for name in flatten({"prune": fields})} == {
        name for name in base.flat() if name.startswith("prune.")
    }
    ids |= {spec(prune=fields, rounds=2).trajectory_id for fields in (*pruning, *rules)}
    deep = {"model": "mlp", "widths": [300, 100, 30]}
    ids.add(spec(**deep, prune={"rates": {"deeper": 0.3}}).trajectory_id)
    ids.add(spec(model="lenet-5", prune={"rates": {"convolution": 0.3}}).trajectory_id)
    ids.add(spec(retrain={"train_attack": "fgsm"}).trajectory_id)
    ids |= {spec(**fields).trajectory_id for fields in attacks}
    assert len(ids) == len(other) + 4 + len(pruning) + len(rules) + 3 + len(attacks)
    assert base.trajectory_id not in ids
    ids |= {spec(**MODULE | {name: value}).trajectory_id for name, value in (modules | {"model": "b.py:Net"}).items()}
    ids.add(spec(**MODULE | {"model_args": {"width": 4}}).trajectory_id)
    ids.add(spec(**MODULE).trajectory_id)
    assert len(ids) == len(other) + 4 + len(pruning) + len(rules) + 3 + len(attacks) + len(modules) + 3
    transfers = [spec(strategy="transfer", transfer={"source": one * 12}) for one in "ab"]
    assert len({one.trajectory_id for one in transfers}) == 2
    said = spec(strategy="transfer", transfer={"source": "a" * 12, "setting": "strategy=reset"})
    assert said.trajectory_id == transfers[0].trajectory_id
    measured = ({"eval_attacks_at": "ends"}, {"end_attacks": []}, {"end_attacks": ["fgsm"]}, {"end_images": 7})
    for fields in ({"rounds": 3}, *measured):
        assert spec(**fields).trajectory_id == base.trajectory_id
    assert spec(learning_rate=0.0012).trajectory_id == base.trajectory_id


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"eval_attacks": ["fgsm", {"pgd": {"steps": 40, "step_size": 0.01}}]},
        {"model": "mlp", "widths": [50]},
        {"model": "lenet-5", "dataset": "mnist"},
        {"end_attacks": [], "end_images": 10},
        {"eval_attacks_at": "ends"},
        {"prune": {"except": ["output"], "only": ["hidden*", "output"]}},
        {"prune": {"criterion": "learned", "learned": {"iterations": 7}, "structure": {"kind": "units"}}},
        {"prune": {"structure": {"kind": "n-of-m", "n": 3, "m": 8}}, "rounds": 5},
        MODULE | {"model_args": {"width": 3, "on": True, "names": ["a"]}, "normalize": {"mean": [0.5], "std": [1]}},
        {"end_attacks": ["fgsm", {"pgd": {"steps": 40, "step_size": 0.01}}]},
    ],
)
def test_a_trajectory_is_the_same_from_what_the_tables_carry(fields):
    assert TrajectorySpec.from_flat(spec(**fields).flat()) == spec(**fields)


def test_the_id_never_changes_between_versions():
    small = {"dataset": "digits-8x8", "train_attack": "fgsm", "rounds": 3}
    transfer = {"strategy": "transfer", "transfer": {"source": "0123456789ab", "setting": "strategy=reset"}}
    deep = {"model": "mlp", "widths": [24, 12], "epsilon": 0.15, "eval_attacks": ["fgsm", {"pgd": {"steps": 40}}]}
    ids = {
        "44136fa355b3": {},
        "24ccf0edca07": nest(preset("released-code")),
        "d9c1c7fa2a2b": small,
        "003f779bac2d": small | deep | {"seed": 3},
        "4efb164d3f11": {"prune": {"scope": "global", "rate": 0.5}, "retrain": {"iterations": 100}},
        "e81ec1b156a4": small | transfer,
    }
    assert {spec(**fields).trajectory_id: fields for fields in ids.values()} == ids


def test_what_a_round_keeps_is_known_whatever_the_scope():
    tiny = {"dataset": "digits-8x8", "rounds": 2}  # 19,200 + 30,000 + 1,000 weights
    assert spec(**tiny).weights_left() == [
        {"hidden_1": 19_200, "hidden_2": 30_000, "output": 1_000},
        {"hidden_1": 15_360, "hidden_2": 24_000, "output": 900},
        {"hidden_1": 12_288, "hidden_2": 19_200, "output": 810},
    ]
    together = {"scope": "global", "rate": 0.5, "cutoff": "inclusive"}
    assert spec(**tiny, prune=together).weights_left() == [{"all": 50_200}, {"all": 25_099}, {"all": 12_548}]


def test_rates_and_rate_belong_to_their_scopes():
    with pytest.raises(ValidationError, match=r"prune\.rates: is for prune\.scope layerwise"):
        spec(prune={"scope": "global", "rates": {"hidden_1": 0.5}})
    with pytest.raises(ValidationError, match=r"prune\.rate: is for prune\.scope global"):
        spec(prune={"rate": 0.5})


def test_an_iteration_to_rewind_to_comes_before_the_end_of_a_round():
    assert spec(rewind_to="iteration:49999").rewind_iteration == 49_999
    assert spec().rewind_iteration is None
    with pytest.raises(ValidationError, match="iteration:50000 is not before the end of a round of 50000 iterations"):
        spec(rewind_to="iteration:50000")


def test_evaluations_come_every_500_iterations_and_at_the_end():
    assert list(spec(iterations=1_000).evaluation_iterations().items()) == [(0, 0), (500, 500), (1_000, 1_000)]
    assert list(spec(iterations=1_200).evaluation_iterations()) == [0, 500, 1_000, 1_200]
    assert list(spec(iterations=3, eval_every=500).evaluation_iterations()) == [0, 3]


def test_the_released_code_labels_its_evaluations_ahead_of_time():
    released = TrajectorySpec.model_validate(nest(preset("released-code")))
    assert released.epoch_batches == 834
    at = released.evaluation_iterations()
    assert list(at.items())[:5] == [(0, 0), (500, 500), (834, 1_000), (1_334, 1_500), (1_668, 2_000)]
    assert list(at.items())[-2:] == [(59 * 834 + 500, 59_500), (50_040, 60_000)]
    assert len(at) == 121


def test_trajectories_share_a_stack_if_they_differ_in_seed_and_strategy_alone():
    key = spec().stack_key
    assert spec(seed=3, strategy="random", rewind_to="end-of-round-0").stack_key == key
    assert spec(learning_rate=0.001).stack_key != key
    assert spec(train_attack="fgsm").stack_key != key


def test_an_mlp_of_300_and_100_units_is_lenet_300_100():
    named, plain = spec(seed=3), spec(seed=3, model="mlp", widths=[300, 100])
    assert named == plain
    assert named.trajectory_id == plain.trajectory_id
    assert (plain.model, plain.widths, plain.flat()["widths"]) == ("lenet-300-100", (300, 100), "300-100")
    assert spec(widths=[300, 100]) == spec(widths="auto") == spec()
    assert spec(model="lenet-5", widths=[120, 84]) == spec(model="lenet-5")
    for one in (plain, spec(model="mlp", widths=[7]), spec(model="lenet-5")):
        assert TrajectorySpec.model_validate(one.model_dump()) == one


def test_layers_are_named_in_order_and_pruned_by_their_own_rates():
    deep = spec(
        dataset="digits-8x8", model="mlp", widths=[50, 40, 30, 20], rounds=1,
        prune={"rates": {"hidden_1": 0.5, "hidden_2": 0.25, "deeper": 0.1, "output": 0.0}},
    )  # fmt: skip
    assert deep.weights_left() == [
        {"hidden_1": 3_200, "hidden_2": 2_000, "hidden_3": 1_200, "hidden_4": 600, "output": 200},
        {"hidden_1": 1_600, "hidden_2": 1_500, "hidden_3": 1_080, "hidden_4": 540, "output": 200},
    ]
    assert list(spec(model="mlp", widths=[7]).layer_sizes.items()) == [("hidden_1", (7, 784)), ("output", (10, 7))]
    assert deep.units == 64 + 50 + 40 + 30 + 20 + 10


def test_lenet_5_is_that_of_its_paper_on_28x28_pixels_and_fits_8x8():
    """LeCun et al. 1998, with every map of the second convolution on every one of the first, and without biases."""
    whole = spec(model="lenet-5", rounds=1)
    assert whole.weights_left() == [
        {"conv_1": 150, "conv_2": 2_400, "hidden_1": 48_000, "hidden_2": 10_080, "output": 840},
        {"conv_1": 135, "conv_2": 2_160, "hidden_1": 38_400, "hidden_2": 8_064, "output": 756},
    ]
    assert whole.units == 784 + 6 * 28**2 + 16 * 10**2 + 120 + 84 + 10
    small = spec(model="lenet-5", dataset="digits-8x8")
    assert small.layer_sizes["hidden_1"] == (120, 16 * 2 * 2)
    assert small.units == 64 + 6 * 8**2 + 16 * 4**2 + 120 + 84 + 10


def test_a_rate_that_is_for_no_layer_is_refused_by_name():
    with pytest.raises(
        ValidationError, match=r"prune\.rates\.convolution: is for no layer of lenet-300-100, which has"
    ):
        spec(prune={"rates": {"convolution": 0.3}})
    with pytest.raises(
        ValidationError, match=r"prune\.rates\.hidden_2: is for no layer of mlp, which has hidden_1, output"
    ):
        spec(model="mlp", widths=[50], prune={"rates": {"hidden_2": 0.3}})
    with pytest.raises(ValidationError, match="prunes hidden_3 to nothing in round 2"):
        spec(model="mlp", widths=[50, 40, 1], rounds=2, prune={"rates": {"deeper": 0.9}})


def test_networks_share_no_stack():
    assert spec(model="mlp", widths=[50]).stack_key != spec(model="mlp", widths=[51]).stack_key
    assert spec(model="lenet-5").stack_key != spec().stack_key


def test_eval_attacks_with_settings_read_back_from_the_tables():
    one = spec(eval_attacks=["pgd", {"pgd": {"steps": 40, "norm": "l2", "random_start": False}}])
    assert TrajectorySpec.from_flat(one.flat()) == one
