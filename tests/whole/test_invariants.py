"""What must hold whatever the setting: property tests over small trajectories and random arrays."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from lthray.driver.datasets.known import read
from lthray.engine.data import on_device
from lthray.engine.network import glorot_uniform
from lthray.engine.randomness import Draw, generator
from lthray.engine.results import RoundResult
from lthray.engine.state import begin_round
from lthray.engine.training import batches, train
from lthray.engine.trajectory import run
from lthray.methods.attacks import fgsm, pgd
from lthray.methods.criteria import CRITERIA, LEARNED, prune
from lthray.methods.strategies import SHUFFLED, STRATEGIES, TRANSFER
from lthray.methods.structures import N_OF_M, UNITS
from lthray.spec.pruning import number_to_prune
from lthray.spec.trajectory import TrajectorySpec
from tests.helpers import CPU

DIGITS = on_device(read("digits-8x8", Path()), 360, CPU)

few = partial(settings, deadline=None, suppress_health_check=[HealthCheck.too_slow])

rates = st.floats(0, 0.999)
seeds = st.integers(0, 2**31)
criteria = [criterion for criterion in CRITERIA if criterion != LEARNED]
pruning = {
    "schedule": st.sampled_from(["iterative", "one-shot"]),
    "cutoff": st.sampled_from(["exclusive", "inclusive"]),
}
learned = {"criterion": LEARNED, "learned": {"iterations": 3}}
layerwise = st.sampled_from([*({"criterion": criterion} for criterion in criteria), learned])
shares = st.floats(0, 0.6)


def make(**fields) -> TrajectorySpec:
    """A small trajectory, in which `strategy` and `m` fit the structure."""
    if structure := fields["prune"].get("structure"):
        fields["strategy"] = "reset" if fields["strategy"] == SHUFFLED else fields["strategy"]
        if structure["kind"] == N_OF_M:
            structure["m"] = structure["n"] + fields["rounds"]
    return TrajectorySpec.model_validate(
        {"dataset": "digits-8x8", "eval_attacks": ["fgsm"], "end_attacks": []} | fields
    )


trajectories = st.builds(
    make,
    seed=seeds,
    strategy=st.sampled_from([strategy for strategy in STRATEGIES if strategy != TRANSFER]),
    rewind_to=st.sampled_from(["init", "end-of-round-0", "iteration:1"]),
    train_attack=st.sampled_from(["none", "fgsm", "pgd"]),
    rounds=st.integers(1, 4),
    iterations=st.integers(2, 25),
    eval_every=st.integers(1, 30),
    batch_size=st.integers(1, 70),
    drop_last=st.booleans(),
    epsilon=st.floats(0, 1),
    attack_label=st.sampled_from(["predicted", "ground-truth"]),
    pgd=st.builds(lambda steps, start: {"steps": steps, "random_start": start}, st.integers(1, 3), st.booleans()),
    prune=st.one_of(
        st.builds(
            lambda fields, criterion: fields | criterion,
            st.one_of(
                st.fixed_dictionaries(
                    {
                        "rates": st.fixed_dictionaries(dict.fromkeys(("hidden_1", "hidden_2", "output"), shares)),
                        **pruning,
                    }
                ),
                st.fixed_dictionaries(
                    {
                        "structure": st.just({"kind": UNITS}),
                        "rates": st.fixed_dictionaries(dict.fromkeys(("hidden_1", "hidden_2"), shares)),
                        **pruning,
                    }
                ),
                st.fixed_dictionaries(
                    {
                        "structure": st.builds(lambda n: {"kind": N_OF_M, "n": n}, st.integers(1, 4)),
                        "schedule": pruning["schedule"],
                    }
                ),
            ),
            layerwise,
        ),
        # Learned scores start at one scale in each layer: a single threshold may empty a layer.
        st.fixed_dictionaries(
            {"scope": st.just("global"), "rate": st.floats(0, 0.4), "criterion": st.sampled_from(criteria), **pruning}
        ),
    ),
)


def finished(*specs: TrajectorySpec) -> dict[str, list[RoundResult]]:
    found: dict[str, list[RoundResult]] = {spec.trajectory_id: [] for spec in specs}
    for stack in run(specs, DIGITS):
        for one in stack:
            assert isinstance(one, RoundResult)
            found[one.spec.trajectory_id].append(one)
    return found


@few(max_examples=100)
@given(
    values=st.lists(st.sampled_from([0.0, 0.1, -0.1, 0.5, -2.0]), min_size=1, max_size=60),
    rate=rates,
    cutoff=st.sampled_from(["exclusive", "inclusive"]),
    data=st.data(),
)
def test_a_pruning_removes_exactly_its_count_ties_included_and_the_smallest(values, rate, cutoff, data):
    kept = data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values)))
    weight, mask = torch.tensor(values).view(1, 1, -1), torch.tensor(kept).view(1, 1, -1)
    count = number_to_prune(int(mask.sum()), rate, cutoff)
    new = prune(weight.abs(), mask, int(mask.sum()) - count)
    gone = mask & ~new
    assert not (new & ~mask).any()
    assert int(gone.sum()) == count
    if gone.any() and new.any():
        assert weight[gone].abs().max() <= weight[new].abs().min()


@few(max_examples=20)
@given(spec=trajectories)
def test_masks_only_shrink_counts_are_exact_and_pruned_weights_are_zero_in_every_ticket(spec):
    (rounds,) = finished(spec).values()
    for number, (result, counts) in enumerate(zip(rounds, spec.weights_left(), strict=True)):
        kept = {name: int(mask.sum()) for name, mask in result.ticket.masks.items()}
        assert counts in (kept, {"all": sum(kept.values())})
        for name, mask in result.ticket.masks.items():
            assert not result.ticket.weights[name][mask == 0].any()
            if number:
                assert (mask <= rounds[number - 1].ticket.masks[name]).all()


@few(max_examples=15)
@given(spec=trajectories, share=st.floats(0.01, 0.9))
def test_pruned_weights_are_exactly_zero_at_every_evaluation(spec, share):
    drawn = glorot_uniform(list(spec.layer_sizes.values()), generator(spec.seed, Draw.INIT))
    masks = tuple((torch.rand(w.shape, generator=generator(0, Draw.INIT, 1)) < share)[None] for w in drawn)
    start = tuple(w[None] * m for w, m in zip(drawn, masks, strict=True))
    for state in train(begin_round(start, [spec], 1), masks, [spec], DIGITS.train, 1):
        for weight, mask in zip(state.weights, masks, strict=True):
            assert not weight[~mask].any()


images = st.integers(0, 2**31).map(lambda seed: torch.rand(4, 16, generator=torch.Generator().manual_seed(seed)))
slopes = st.integers(0, 2**31).map(
    lambda seed: torch.randn(4, 16, generator=torch.Generator().manual_seed(seed)).round(decimals=0)
)


@few(max_examples=60)
@given(x=images, slope=slopes, epsilon=st.floats(0, 1), steps=st.integers(1, 8), size=st.floats(0.001, 1), seed=seeds)
def test_attacks_stay_in_the_ball_and_in_the_pixels_and_move_nothing_without_a_gradient(
    x, slope, epsilon, steps, size, seed
):
    noise = torch.empty_like(x).uniform_(-epsilon, epsilon, generator=torch.Generator().manual_seed(seed))
    for found in (
        fgsm(x, slope, epsilon),
        pgd(x, lambda _: slope, epsilon, steps, size, None),
        pgd(x, lambda _: slope, epsilon, steps, size, noise),
    ):
        assert found.min() >= 0
        assert found.max() <= 1
        assert (found - x).abs().max() <= epsilon + 1e-7
    still = slope == 0
    assert torch.equal(fgsm(x, slope, epsilon)[still], x[still])
    assert torch.equal(pgd(x, lambda _: slope, epsilon, steps, size, None)[still], x[still])


@few(max_examples=10)
@given(seed=seeds, round_=st.integers(0, 20))
@example(seed=0, round_=0)
def test_the_same_seed_gives_the_same_start_and_batches_whatever_the_strategy_and_attack(seed, round_):
    specs = [
        TrajectorySpec(dataset="digits-8x8", seed=seed, strategy=strategy, train_attack=attack)
        for strategy in ("reset", "random", "continued")
        for attack in ("none", "fgsm", "pgd")
    ]
    drawn = [next(batches([spec], round_, CPU)) for spec in specs]
    assert all(torch.equal(one, drawn[0]) for one in drawn)
    other = next(batches([specs[0].model_copy(update={"seed": seed + 1})], round_, CPU))
    assert not torch.equal(other, drawn[0])


@few(max_examples=8)
@given(seed=seeds, iterations=st.integers(1, 20), attack=st.sampled_from(["none", "fgsm", "pgd"]))
def test_the_same_seed_gives_the_same_round_0_whatever_the_strategy(seed, iterations, attack):
    specs = [
        TrajectorySpec(
            dataset="digits-8x8",
            seed=seed,
            strategy=strategy,
            train_attack=attack,
            rounds=0,
            iterations=iterations,
            end_attacks=(),
        )
        for strategy in ("reset", "random", "continued")
    ]
    rounds = [one for (one,) in finished(*specs).values()]
    assert rounds[0].curves == rounds[1].curves == rounds[2].curves


@few(max_examples=10)
@given(spec=trajectories, every=st.integers(1, 30))
def test_the_evaluation_cadence_changes_no_weight_and_no_number(spec, every):
    other = spec.model_copy(update={"eval_every": every})
    (one,), (two,) = finished(spec).values(), finished(other).values()
    for a, b in zip(one, two, strict=True):
        for name, weight in a.ticket.weights.items():
            assert np.array_equal(weight, b.ticket.weights[name])
        shared = {row.iteration for row in a.curves} & {row.iteration for row in b.curves}
        assert [r for r in a.curves if r.iteration in shared] == [r for r in b.curves if r.iteration in shared]


@few(max_examples=8)
@given(spec=trajectories, neighbours=st.lists(st.integers(0, 1000), min_size=1, max_size=4, unique=True))
def test_rows_are_the_same_again_bit_for_bit_and_with_other_neighbours_within_rounding(spec, neighbours):
    stack = [spec, *(spec.model_copy(update={"seed": seed}) for seed in neighbours if seed != spec.seed)]
    one, again, alone = (finished(*specs)[spec.trajectory_id] for specs in (stack, stack, [spec]))
    for a, b, c in zip(one, again, alone, strict=True):
        assert a.curves == b.curves
        for name, weight in a.ticket.weights.items():
            assert np.array_equal(weight, b.ticket.weights[name])
        losses = [[row.loss for row in rows] for rows in (a.curves, c.curves)]
        np.testing.assert_allclose(losses[0], losses[1], rtol=0.02)
