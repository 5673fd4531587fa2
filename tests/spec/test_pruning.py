"""Weights remaining, from the rule alone."""

import pytest
from pydantic import ValidationError

from lthray.methods.networks import layer_sizes, weights
from lthray.spec.dotted import nest
from lthray.spec.presets import preset
from lthray.spec.pruning import number_to_prune, weights_remaining
from lthray.spec.trajectory import TrajectorySpec
from tests.helpers import totals

RATES = {"hidden_1": 0.2, "hidden_2": 0.2, "output": 0.1}

# Weights left in hidden_1, hidden_2, output and the whole network, rounds 0 to 20 of 784-300-100-10. From the rule
# alone, in exact fractions: n - half_even(rate * n), and one less again where the cutoff is inclusive.
GOLDEN = {
    "exclusive": (
        (235_200, 30_000, 1_000, 266_200),
        (188_160, 24_000, 900, 213_060),
        (150_528, 19_200, 810, 170_538),
        (120_422, 15_360, 729, 136_511),
        (96_338, 12_288, 656, 109_282),
        (77_070, 9_830, 590, 87_490),
        (61_656, 7_864, 531, 70_051),
        (49_325, 6_291, 478, 56_094),
        (39_460, 5_033, 430, 44_923),
        (31_568, 4_026, 387, 35_981),
        (25_254, 3_221, 348, 28_823),
        (20_203, 2_577, 313, 23_093),
        (16_162, 2_062, 282, 18_506),
        (12_930, 1_650, 254, 14_834),
        (10_344, 1_320, 229, 11_893),
        (8_275, 1_056, 206, 9_537),
        (6_620, 845, 185, 7_650),
        (5_296, 676, 167, 6_139),
        (4_237, 541, 150, 4_928),
        (3_390, 433, 135, 3_958),
        (2_712, 346, 121, 3_179),
    ),
    "inclusive": (
        (235_200, 30_000, 1_000, 266_200),
        (188_159, 23_999, 899, 213_057),
        (150_526, 19_198, 808, 170_532),
        (120_420, 15_357, 726, 136_503),
        (96_335, 12_285, 652, 109_272),
        (77_067, 9_827, 586, 87_480),
        (61_653, 7_861, 526, 70_040),
        (49_321, 6_288, 472, 56_081),
        (39_456, 5_029, 424, 44_909),
        (31_564, 4_022, 381, 35_967),
        (25_250, 3_217, 342, 28_809),
        (20_199, 2_573, 307, 23_079),
        (16_158, 2_057, 275, 18_490),
        (12_925, 1_645, 246, 14_816),
        (10_339, 1_315, 220, 11_874),
        (8_270, 1_051, 197, 9_518),
        (6_615, 840, 176, 7_631),
        (5_291, 671, 157, 6_119),
        (4_232, 536, 140, 4_908),
        (3_385, 428, 125, 3_938),
        (2_707, 341, 112, 3_160),
    ),
}
DENSE = weights(layer_sizes("lenet-300-100", (300, 100), (1, 28, 28), 10))
PRESET_CUTOFFS = {"paper": "exclusive", "released-code": "inclusive"}


def test_a_layer_loses_the_rounded_share_half_to_even():
    assert number_to_prune(10, 0.25, "exclusive") == 2  # 2.5 rounds to even
    assert number_to_prune(14, 0.25, "exclusive") == 4  # 3.5 rounds to even
    assert number_to_prune(235_200, 0.2, "exclusive") == 47_040


def test_the_released_code_takes_one_more_but_never_more_than_there_is():
    assert number_to_prune(10, 0.25, "inclusive") == 3
    assert number_to_prune(1, 0.2, "inclusive") == 1
    assert number_to_prune(0, 0.2, "inclusive") == 0


def test_lenet_has_266_200_weights_on_784_pixels():
    assert totals(weights_remaining(DENSE, RATES, "exclusive", 0)) == [266_200]


@pytest.mark.parametrize(
    ("round_", "count"), [(3, 136_503), (8, 44_909), (11, 23_079), (15, 9_518), (18, 4_908), (20, 3_160)]
)
def test_released_code_leaves_the_counts_that_it_was_seen_to_leave(round_, count):
    assert totals(weights_remaining(DENSE, RATES, "inclusive", 20))[round_] == count


def test_exact_pruning_leaves_4_928_at_round_18():
    assert totals(weights_remaining(DENSE, RATES, "exclusive", 18))[18] == 4_928


@pytest.mark.parametrize(("name", "cutoff"), PRESET_CUTOFFS.items())
def test_every_round_of_both_presets_leaves_exactly_its_weights(name, cutoff):
    spec = TrajectorySpec.model_validate(nest(preset(name)))
    found = [(*layers.values(), sum(layers.values())) for layers in spec.weights_left()]
    assert tuple(found) == GOLDEN[cutoff]


def spec(**fields) -> TrajectorySpec:
    return TrajectorySpec.model_validate({"dataset": "digits-8x8", "rounds": 2} | fields)


def test_n_of_m_leaves_the_n_of_every_group_in_the_last_round_and_one_more_in_each_before():
    """Units of 64, 300 and 100 inputs; m = 7 leaves a last group of 1, 6 and 2 of them."""
    left = spec(prune={"structure": {"kind": "n-of-m"}}).weights_left()
    assert left == [
        {"hidden_1": 300 * 64, "hidden_2": 100 * 300, "output": 10 * 100},
        {"hidden_1": 300 * 48, "hidden_2": 100 * 225, "output": 10 * 75},
        {"hidden_1": 300 * 32, "hidden_2": 100 * 150, "output": 10 * 50},
    ]
    seven = spec(rounds=4, prune={"structure": {"kind": "n-of-m", "n": 3, "m": 7}, "except": ["output"]})
    assert seven.weights_left(9)[3:5] == [
        {"hidden_1": 300 * (9 * 4 + 1), "hidden_2": 100 * (42 * 4 + 4), "output": 1_000},
        {"hidden_1": 300 * (9 * 3 + 1), "hidden_2": 100 * (42 * 3 + 3), "output": 1_000},
    ]
    assert seven.weights_left(9)[9] == seven.weights_left(4)[4]


def test_units_are_pruned_by_the_rates_and_those_of_the_output_never():
    rates = {"hidden_1": 0.5, "hidden_2": 0.25}
    left = spec(prune={"structure": {"kind": "units"}, "rates": rates}).weights_left()
    assert left == [
        {"hidden_1": 300 * 64, "hidden_2": 100 * 300, "output": 1_000},
        {"hidden_1": 150 * 64, "hidden_2": 75 * 300, "output": 1_000},
        {"hidden_1": 75 * 64, "hidden_2": 56 * 300, "output": 1_000},  # round(18.75) of 75 units are 19
    ]
    lenet = spec(model="lenet-5", rounds=1, prune={"structure": {"kind": "units"}, "rates": {"convolution": 0.5}})
    assert lenet.weights_left()[1] == {
        "conv_1": 3 * 25, "conv_2": 8 * 6 * 25, "hidden_1": 96 * 64, "hidden_2": 67 * 120, "output": 840,
    }  # fmt: skip
    inclusive = spec(rounds=1, prune={"structure": {"kind": "units"}, "rates": rates, "cutoff": "inclusive"})
    assert inclusive.weights_left()[1] == {"hidden_1": 149 * 64, "hidden_2": 74 * 300, "output": 1_000}


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"prune": {"structure": {"n": 1}}}, "n: is for kind n-of-m, not none"),
        ({"prune": {"structure": {"kind": "units", "m": 8}}}, "m: is for kind n-of-m, not units"),
        ({"prune": {"structure": {"kind": "n-of-m", "n": 4}}}, "n: 4 is not less than m, 4, so nothing would be"),
        ({"prune": {"structure": {"kind": "blocks"}}}, "allowed are none, n-of-m, units"),
        (
            {"rounds": 3, "prune": {"structure": {"kind": "n-of-m"}}},
            "rounds: 3 is more than the 2 prunings that leave 2 of every 4 weights",
        ),
        (
            {"prune": {"structure": {"kind": "n-of-m"}, "rates": {"output": 0.2}}},
            r"prune.rates: is not for n-of-m, where round k keeps max\(2, 4 - k\) of every 4",
        ),
        (
            {"prune": {"structure": {"kind": "n-of-m"}, "cutoff": "inclusive"}},
            "prune.cutoff: inclusive is for rates, and n-of-m has none",
        ),
        (
            {"prune": {"structure": {"kind": "n-of-m"}, "scope": "global"}},
            "prune.scope: global compares single weights of all layers; with n-of-m, take layerwise",
        ),
        (
            {"prune": {"structure": {"kind": "units"}, "scope": "global"}},
            "prune.scope: global compares single weights of all layers; with units, take layerwise",
        ),
        (
            {"prune": {"structure": {"kind": "units"}}, "strategy": "shuffled"},
            "strategy: shuffled moves single weights",
        ),
        (
            {"prune": {"structure": {"kind": "units"}, "rates": {"output": 0.2}}},
            "prune.rates.output: has no use, because units of the output layer are never pruned",
        ),
        (
            {"prune": {"structure": {"kind": "units"}, "except": ["hidden*"]}},
            "prune.structure.kind: units leaves no layer to prune",
        ),
        (
            {"prune": {"structure": {"kind": "units"}, "rates": {"hidden_2": 0.999}}},
            "prunes hidden_2 to nothing in round 1",
        ),
        (
            {"prune": {"learned": {"iterations": 7}}},
            "prune.learned.iterations: is for prune.criterion learned, not magnitude",
        ),
        ({"prune": {"criterion": "learned", "learned": {"iterations": 0}}}, "greater than or equal to 1"),
    ],
)
def test_what_makes_no_sense_together_is_refused_in_a_line(fields, line):
    with pytest.raises(ValidationError, match=line):
        spec(**fields)
