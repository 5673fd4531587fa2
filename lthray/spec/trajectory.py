"""The setting of a trajectory: every field of the protocol, its bounds, and its id."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, PlainSerializer, ValidationInfo, field_validator, model_validator

from lthray.methods import networks
from lthray.methods.attacks import Attack, Setting
from lthray.methods.datasets import DATASETS
from lthray.methods.strategies import STRATEGIES, TRANSFER
from lthray.spec import attack_settings, pruning
from lthray.spec.attack_settings import AttackLabel, NormName, PgdSpec, TrainAttack
from lthray.spec.dotted import flatten, nest
from lthray.spec.groups import RetrainSpec, TransferFields
from lthray.spec.identity import AUTO, Base, bases, follow, identify, resolve_auto
from lthray.spec.pruning import PruneSpec
from lthray.spec.strict import Count, Strict, one_of

Attacks = tuple[Annotated[Attack, PlainSerializer(str)], ...]
ATTACK_LISTS = ("eval_attacks", "end_attacks")
"""The fields that list attacks."""


class TrajectorySpec(Strict):
    """Every field of a trajectory; the defaults are those of the preset `paper`.

    A new field needs a base value (`Base`) beside it: what lthray did before the field existed.
    """

    protocol: Annotated[Literal["paper", "released-code"], Base("paper")] = "paper"
    """Preset from which the other fields take their defaults."""
    dataset: Annotated[Literal["mnist", "fashion-mnist", "digits-8x8"], Base("fashion-mnist")] = "fashion-mnist"
    """Images to train on."""
    model: Annotated[str, one_of(networks.MODELS), Base("lenet-300-100")] = "lenet-300-100"
    """Network."""
    widths: Annotated[tuple[int, ...], follow(lambda fields: networks.MODELS[fields["model"]].widths)] = Field(
        default=AUTO, validate_default=True
    )
    """Units of each hidden layer of `model: mlp`, a list; `auto` (the model's own) for other models."""
    seed: Annotated[int, Field(ge=0, lt=2**63), Base(0)] = 0
    """Seed of the start, the batches and the attacks' random starts."""
    strategy: Annotated[str, one_of(STRATEGIES), Base("reset", later=True)] = "reset"
    """How a round starts; `reset` is from θ0."""
    rewind_to: Annotated[str, Base("init", later=True)] = "init"
    """What `reset` restarts from: θ0 (init), the weights at the end-of-round-0, or those at its iteration:K."""
    train_attack: Annotated[TrainAttack, Base("none")] = "none"
    """Attack trained against."""
    eval_attacks: Annotated[
        Attacks, follow(lambda fields: attack_settings.eval_attacks(AUTO, fields["train_attack"]))
    ] = Field(default=AUTO, validate_default=True)
    """Attacks measured: `auto` (the train attack, or both for `none`) or a list; always with the train attack."""
    eval_attacks_at: Annotated[Literal["every", "ends"], Base("every", hashed=False)] = "every"
    """Measure attacks at every evaluation, or all but the train attack at early stopping and the end alone (ends)."""
    rounds: Annotated[int, Field(ge=0, le=1000), Base(20, hashed=False, later=True)] = 20
    """Prunings. A trajectory of n prunings has n + 1 trainings."""
    iterations: Annotated[Count, Base(50_000)] = 50_000
    """Optimizer steps of a round."""
    batch_size: Annotated[Count, Base(60)] = 60
    """Images of a batch."""
    drop_last: Annotated[bool, Base(True)] = True
    """Drop the images left over after an epoch's last whole batch (true), or train on them as a smaller batch."""
    eval_every: Annotated[Count, Base(500)] = 500
    """Iterations between evaluations."""
    eval_clock: Annotated[Literal["round", "epoch"], Base("round")] = "round"
    """Count `eval_every` from the start of the round, or of each epoch, as the released code does."""
    validation_size: Annotated[Count, Base(rule=lambda fields: DATASETS[fields["dataset"]].validation or 10_000)] = (
        Field(default=10_000, validate_default=True)
    )
    """Training images held out for validation, the first ones; digits-8x8 has a fixed split of 360 images."""
    learning_rate: Annotated[float, Field(gt=0), Base(1.2e-3)] = 1.2e-3
    """Adam's learning rate."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1), Base(0.1)] = 0.1
    """Share of the label spread over all classes, in training and validation."""
    adversarial_weight: Annotated[float, Field(ge=0, le=1), Base(0.5)] = 0.5
    """Weight of the adversarial loss; the natural loss has the rest. It counts only with a train attack."""
    norm: Annotated[NormName, Base("linf")] = "linf"
    """Norm of the attacks: the largest change of a pixel (linf), or the Euclidean length (l2)."""
    epsilon: Annotated[float, Field(ge=0), Base(0.3)] = 0.3
    """Radius of the attacks in this norm; pixels are in [0, 1]."""
    attack_label: Annotated[AttackLabel, Base("predicted")] = "predicted"
    """Label that attacks move away from: the model's prediction on the clean image, or the true label."""
    pgd: PgdSpec = PgdSpec()
    """Projected gradient descent."""
    end_attacks: Annotated[Attacks, Base((), hashed=False)] = Field(default=AUTO, validate_default=True)
    """Attacks measured once a round, at early stopping and at the end: `auto` (a strong PGD) or a list, [] for none."""
    end_images: Annotated[Count, Base(2_000, hashed=False)] = 2_000
    """Test images, the first ones, that the end attacks are measured on; all where there are fewer."""
    prune: PruneSpec = PruneSpec()
    """How networks are pruned; for strategy transfer, how the source was."""
    retrain: RetrainSpec = Field(default={}, validate_default=True)
    """The rounds after the first."""
    transfer: TransferFields = TransferFields()
    """The source of the masks, for strategy transfer."""

    @model_validator(mode="before")
    @classmethod
    def _name_network(cls, fields: object) -> object:
        return networks.canonical(fields) if isinstance(fields, dict) else fields

    @field_validator("widths", mode="before")
    @classmethod
    def _resolve_widths(cls, value: object, info: ValidationInfo) -> object:
        return networks.resolve_widths(info.data["model"], value) if "model" in info.data else ()

    @field_validator("eval_attacks", mode="before")
    @classmethod
    def _resolve_eval_attacks(cls, value: object, info: ValidationInfo) -> object:
        return attack_settings.eval_attacks(value, info.data.get("train_attack", "none"))

    @field_validator("end_attacks", mode="before")
    @classmethod
    def _resolve_end_attacks(cls, value: object, info: ValidationInfo) -> object:
        return attack_settings.end_attacks(value, info.data.get("epsilon", 0.0))

    @field_validator("epsilon")
    @classmethod
    def _check_epsilon(cls, value: float, info: ValidationInfo) -> float:
        if {"norm", "dataset"} <= info.data.keys():
            attack_settings.check_length(value, info.data["norm"], DATASETS[info.data["dataset"]].inputs)
        return value

    @field_validator("validation_size")
    @classmethod
    def _resolve_validation_size(cls, value: int, info: ValidationInfo) -> int:
        dataset = info.data.get("dataset")
        fixed = DATASETS[dataset].validation if dataset else None
        if fixed is None:
            return value
        if value not in (fixed, cls.model_fields["validation_size"].default):
            raise ValueError(f"{dataset} has a fixed validation split of {fixed} images: leave this key out")
        return fixed

    @field_validator("*", mode="before")  # the last of these validators, so the first to see a value
    @classmethod
    def _resolve_auto(cls, value: object, info: ValidationInfo) -> object:
        return resolve_auto(cls, str(info.field_name), value, info.data)

    @field_validator("rewind_to")
    @classmethod
    def _check_rewind_to(cls, value: str) -> str:
        if value not in ("init", "end-of-round-0") and not re.fullmatch(r"iteration:[1-9][0-9]{0,8}", value):
            raise ValueError("allowed are init, end-of-round-0 and iteration:K, for example iteration:500")
        return value

    @model_validator(mode="after")
    def _check_pruning(self) -> Self:
        rewind = self.rewind_iteration
        if rewind is not None and rewind >= self.iterations:
            raise ValueError(
                f"rewind_to: iteration:{rewind} is not before the end of a round of {self.iterations} iterations;"
                " a smaller number, or end-of-round-0"
            )
        pruning.check_rates(self.prune, self.layer_sizes, self.model)
        pruning.check_left(self.weights_left())
        return self

    @model_validator(mode="after")
    def _check_transfer(self) -> Self:
        if self.transfer.source and self.strategy != TRANSFER:
            raise ValueError(f"transfer.source: is for strategy {TRANSFER}, not {self.strategy}")
        return self

    @model_validator(mode="after")
    def _check_sizes(self) -> Self:
        if self.train_size < 1:
            raise ValueError(
                f"validation_size: {self.validation_size} leaves no training images of {self.dataset}'s"
                f" {DATASETS[self.dataset].examples}"
            )
        if self.batch_size > self.train_size:
            raise ValueError(
                f"batch_size: {self.batch_size} is more than the {self.train_size} training images of {self.dataset}"
            )
        return self

    @model_validator(mode="after")
    def _check_attacks(self) -> Self:
        listed = [(field, attack) for field in ATTACK_LISTS for attack in getattr(self, field)]
        for field, attack in [("pgd", Attack("pgd")), *listed]:
            attack_settings.check(attack, self.setting(attack), self.inputs, field)
        return self

    @property
    def inputs(self) -> int:
        """Pixels of an image."""
        return DATASETS[self.dataset].inputs

    @property
    def train_size(self) -> int:
        """Training images."""
        return DATASETS[self.dataset].examples - self.validation_size

    @property
    def epoch_batches(self) -> int:
        """Batches of an epoch."""
        whole, left = divmod(self.train_size, self.batch_size)
        return whole + (1 if left and not self.drop_last else 0)

    @property
    def layer_sizes(self) -> dict[str, networks.Shape]:
        """The shape of each layer's weights, in order: (out, in), of convolutions (out, in, height, width)."""
        return networks.layer_sizes(self.model, self.widths, self.inputs)

    @property
    def units(self) -> int:
        """Values of an image and of its activations: pixels, maps, hidden units and logits."""
        return networks.units(self.layer_sizes, self.inputs)

    def weights_left(self, rounds: int | None = None) -> list[dict[str, int]]:
        """Weights left of each group that is pruned together, a mapping for each round.

        A group is a layer, or with `prune.scope: global` the whole network under the name `all`; there, the scores
        decide how many weights each layer keeps.

        Args:
            rounds: The last round; by default the trajectory's.
        """
        dense = networks.weights(self.layer_sizes)
        return pruning.weights_left(self.prune, dense, self.rounds if rounds is None else rounds)

    def setting(self, attack: Attack) -> Setting:
        """Resolves an attack's numbers: its own settings, else this trajectory's."""
        common = {"epsilon": self.epsilon, "norm": self.norm, "attack_label": self.attack_label}
        return attack_settings.resolve(attack, common | vars(self.pgd))

    @property
    def train_setting(self) -> Setting | None:
        """The train attack with every number; None without a train attack."""
        return None if self.train_attack == "none" else self.setting(Attack(self.train_attack))

    def flat(self) -> dict[str, Any]:
        """Every field under its dotted name, as tables carry it; the full names of attacks and `widths` joined."""
        joined = {name: ",".join(map(str, getattr(self, name))) for name in ATTACK_LISTS}
        return flatten(self.model_dump()) | joined | {"widths": "-".join(map(str, self.widths))}

    @classmethod
    def from_flat(cls, fields: Mapping[str, Any]) -> Self:
        """The inverse of `flat`; a missing field has its base value.

        Raises:
            ValidationError: a field is not known, or has an impossible value.
        """
        split: dict[str, Any] = {
            name: fields[name].split(",") if fields[name] else [] for name in ATTACK_LISTS if name in fields
        }
        if "widths" in fields:
            split["widths"] = [int(width) for width in fields["widths"].split("-")]
        lacking = {name: base.resolve(fields) for name, base in bases(cls).items() if name not in fields}
        return cls.model_validate(nest({**fields, **split, **lacking}))

    @property
    def trajectory_id(self) -> str:
        """Twelve hex digits: a hash of every field that can change a number, where it differs from its base value.

        `rounds` is left out: no number of a round depends on how many rounds follow. So are `eval_attacks_at`,
        `end_attacks` and `end_images`, which say what is measured besides, and `transfer.setting`, which says in words
        what the source is.
        """
        return identify(self, self.flat())

    @property
    def stack_key(self) -> tuple[Any, ...]:
        """Trajectories with the same key may share a stack; it leaves out seed, strategy, source and `rewind_to`."""
        free = ("seed", "strategy", "rewind_to", "transfer.source", "transfer.setting")
        return tuple(value for name, value in self.flat().items() if name not in free)

    @property
    def needs_dense_ticket(self) -> bool:
        """Whether later rounds start from, or prune, the weights at the end of round 0."""
        pruned_again = self.prune.schedule == "one-shot" and self.strategy != TRANSFER
        return self.rewind_to == "end-of-round-0" or pruned_again

    @property
    def rewind_iteration(self) -> int | None:
        """The iteration of round 0 that `rewind_to` names; None where it names none."""
        kind, _, iteration = self.rewind_to.partition(":")
        return int(iteration) if kind == "iteration" else None

    def in_round(self, number: int) -> Self:
        """The setting of a round: after round 0, with the fields of `retrain`."""
        return self.model_copy(update=self.retrain.model_dump()) if number else self

    def iterations_from(self, number: int) -> int:
        """Optimizer steps of round `number` and all later rounds."""
        first = 0 if number else self.iterations
        return first + (self.rounds + 1 - max(number, 1)) * self.retrain.iterations

    def evaluation_iterations(self) -> dict[int, int]:
        """The iterations of a round at which it is evaluated, each with the iteration the released code reports.

        The last iteration is always among them. With `eval_clock: round` both numbers are the same.
        """
        if self.eval_clock == "round":
            return {i: i for i in [*range(0, self.iterations, self.eval_every), self.iterations]}
        starts = range(0, self.iterations, self.epoch_batches)
        points = (start + batch for start in starts for batch in range(0, self.epoch_batches, self.eval_every))
        iterations = [*(i for i in points if i < self.iterations), self.iterations]
        return {iteration: label * self.eval_every for label, iteration in enumerate(iterations)}
