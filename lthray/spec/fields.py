"""The fields of a trajectory, their bounds and base values."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PlainSerializer, ValidationInfo, field_validator, model_validator

from lthray import references
from lthray.methods import networks
from lthray.methods.attacks import ATTACKS, Attack
from lthray.methods.datasets import DATASETS, DatasetFacts
from lthray.methods.strategies import STRATEGIES
from lthray.spec import attack_settings
from lthray.spec.about import LOTTERY, PAPER, POSTER, About
from lthray.spec.arguments import Arguments
from lthray.spec.attack_settings import AttackLabel, NormName, PgdSpec, TrainAttack
from lthray.spec.groups import RetrainSpec, TransferFields
from lthray.spec.identity import AUTO, Base, follow, resolve_auto
from lthray.spec.numbers import Count, Number, Whole, read_whole
from lthray.spec.optimizing import OptimizerSpec, ScheduleSpec
from lthray.spec.own import OwnFields
from lthray.spec.pruning import PruneSpec
from lthray.spec.strict import Strict, one_of
from lthray.spec.training_fields import ComputeSpec, NormalizeSpec, ObjectiveSpec

Attacks = tuple[Annotated[Attack, PlainSerializer(str)], ...]

DATASET = About(
    source=POSTER,
    examples=("mnist", "fashion-mnist"),
    values=f"{', '.join(DATASETS)}, a name of torchvision.datasets such as cifar10, or data of your own: file.npz, a"
    " folder with train and test, or file.py:function",
)
MODEL = About(
    source=POSTER,
    examples=("lenet-300-100", "lenet-5"),
    values=f"{', '.join((*networks.MODELS, *networks.MODULES))}, or a function of your own such as nets.py:Net",
)
MODEL_ARGS = About(
    examples=({}, {"width": 32}), values="a mapping of names to values; model_args.NAME sets or varies a single one"
)
WIDTHS = About(
    "units",
    examples=([300, 100], [100, 50]),
    values=f"auto, or a list of 1 to {networks.DEEPEST} whole numbers from 1 to {networks.WIDEST:,}",
)
STRATEGY_SOURCES = f"reset, random, continued: {POSTER}; kept-signs: Zhou et al. 2019; shuffled and transfer: controls"
EPSILON = About(
    "pixel values",
    PAPER,
    examples=(0.1, 0.3),
    values="a number, at least 0; at most 1 in norm linf, and at most the root of the number of pixels in l2",
)
REWIND_TO = About(
    source="init: the poster; iteration:K: Frankle et al. 2020; end-of-round-0: the poster's released code",
    examples=("init", "iteration:500"),
    values="init, end-of-round-0, or iteration:K",
)
ATTACK_LIST = f"a list of {', '.join(ATTACKS)}, each by its name or with settings, as {{pgd: {{steps: 40}}}}"
EVAL_ATTACKS = About(source=POSTER, examples=(["fgsm"], ["fgsm", "pgd"]), values=f"auto, or {ATTACK_LIST}")
END_ATTACKS = About(source="Madry et al. 2018, section 5", values=f"auto, {ATTACK_LIST}, or [] for none")


def data_facts(fields: Mapping[str, Any]) -> DatasetFacts:
    """The sizes of the data set that the fields `dataset` and `own` say."""
    known = DATASETS.get(fields["dataset"])
    facts: DatasetFacts = known or fields["own"].facts()
    return facts


def _validation(fields: Mapping[str, Any]) -> int:
    """The base value of `validation_size`; the fields may be those of an old row, which knows no data but lthray's."""
    own = fields.get("own")
    if fields["dataset"] in DATASETS or own is not None:
        return data_facts({"dataset": fields["dataset"], "own": own}).validation or 10_000
    return 10_000


class TrajectoryFields(Strict):
    """Every field of a trajectory; the defaults are those of the preset `paper`.

    A new field needs a base value (`Base`) beside it: what lthray did before the field existed.
    """

    protocol: Annotated[Literal["paper", "released-code"], Base("paper"), About(source=POSTER)] = "paper"
    """Preset from which the other fields take their defaults."""
    own: OwnFields = OwnFields()
    """What was looked up of data, network and code of your own."""
    dataset: Annotated[str, Base("fashion-mnist"), DATASET] = "fashion-mnist"
    """Images to train on: mnist, fashion-mnist, digits-8x8, a name of torchvision.datasets, or data of your own."""
    model: Annotated[str, Base("lenet-300-100"), MODEL] = "lenet-300-100"
    """Network: lenet-300-100, mlp, lenet-5, conv-4, vgg-11-bn, resnet-20, or a function of your own."""
    model_args: Annotated[Arguments, Base(()), MODEL_ARGS] = ()
    """Arguments of a function that makes the network, a mapping of names to values."""
    widths: Annotated[tuple[Whole, ...], follow(lambda fields: networks.own_widths(fields["model"])), WIDTHS] = Field(
        default=AUTO, validate_default=True
    )
    """Units of each hidden layer of `model: mlp`, a list; `auto` (the model's own) for other models."""
    seed: Annotated[Whole, Field(ge=0, lt=2**63), Base(0), About(source=PAPER, examples=(0, 1, 2, 3, 4))] = 0
    """Seed of the start, the batches and the attacks' random starts."""
    strategy: Annotated[
        str, one_of(STRATEGIES, group="strategies"), Base("reset", later=True), About(source=STRATEGY_SOURCES)
    ] = "reset"
    """How a round starts: from θ0 (reset), a new draw (random), the trained weights (continued), or in another way."""
    rewind_to: Annotated[str, Base("init", later=True), REWIND_TO] = "init"
    """What `reset` restarts from: θ0 (init), the weights at the end-of-round-0, or those at its iteration:K."""
    train_attack: Annotated[TrainAttack, Base("none"), About(source=POSTER)] = "none"
    """Attack trained against."""
    eval_attacks: Annotated[
        Attacks, follow(lambda fields: attack_settings.eval_attacks(AUTO, fields["train_attack"])), EVAL_ATTACKS
    ] = Field(default=AUTO, validate_default=True)
    """Attacks measured: `auto` (the train attack, or both for `none`) or a list; always with the train attack."""
    eval_attacks_at: Annotated[Literal["every", "ends"], Base("every", hashed=False), About(source=POSTER)] = "every"
    """Measure attacks at every evaluation, or all but the train attack at early stopping and the end alone (ends)."""
    rounds: Annotated[
        Whole, Field(ge=0, le=1000), Base(20, hashed=False, later=True), About("rounds", POSTER, (10, 20))
    ] = 20
    """Prunings. A trajectory of n prunings has n + 1 trainings."""
    iterations: Annotated[Count, Base(50_000), About("iterations", POSTER, (5_000, 50_000))] = 50_000
    """Optimizer steps of a round."""
    batch_size: Annotated[Count, Base(60), About("images", LOTTERY, (30, 60))] = 60
    """Images of a batch."""
    drop_last: Annotated[bool, Base(True), About(source=PAPER)] = True
    """Drop the images left over after an epoch's last whole batch (true), or train on them as a smaller batch."""
    eval_every: Annotated[Count, Base(500), About("iterations", PAPER, (500, 1_000))] = 500
    """Iterations between evaluations."""
    eval_clock: Annotated[Literal["round", "epoch"], Base("round"), About(source=PAPER)] = "round"
    """Count `eval_every` from the start of the round, or of each epoch, as the released code does."""
    validation_size: Annotated[Count, Base(rule=_validation), About("images", PAPER, (5_000, 10_000))] = Field(
        default=10_000, validate_default=True
    )
    """Training images held out for validation, the first ones; digits-8x8 has a fixed split of 360 images."""
    normalize: NormalizeSpec = NormalizeSpec()
    """Normalisation of the images inside the network."""
    augment: Annotated[Literal["none", "crop-flip"], Base("none"), About()] = "none"
    """Change of each training image: none, or a random crop of the image padded by 4 pixels and a flip (crop-flip)."""
    learning_rate: Annotated[Number, Field(gt=0), Base(1.2e-3), About(source=LOTTERY, examples=(1.2e-4, 1.2e-3))] = (
        1.2e-3
    )
    """The optimizer's learning rate."""
    optimizer: OptimizerSpec = OptimizerSpec()
    """What updates the weights."""
    schedule: ScheduleSpec = ScheduleSpec()
    """How the learning rate changes during a round."""
    label_smoothing: Annotated[Number, Field(ge=0, lt=1), Base(0.1), About("share of the label", PAPER, (0.0, 0.1))] = (
        0.1
    )
    """Share of the label spread over all classes, in training and validation."""
    adversarial_weight: Annotated[
        Number, Field(ge=0, le=1), Base(0.5), About("share of the loss", PAPER, (0.5, 1.0))
    ] = 0.5
    """Weight of the adversarial loss; the natural loss has the rest. It counts only with a train attack."""
    objective: ObjectiveSpec = ObjectiveSpec()
    """The training loss."""
    attack_mode: Annotated[Literal["eval", "train"], Base("eval"), About()] = "eval"
    """Mode of a module while its training images are attacked: with running statistics (eval), or the batch's."""
    norm: Annotated[NormName, Base("linf"), About(source=POSTER)] = "linf"
    """Norm of the attacks: the largest change of a pixel (linf), or the Euclidean length (l2)."""
    epsilon: Annotated[Number, Field(ge=0), Base(0.3), EPSILON] = 0.3
    """Radius of the attacks in this norm; pixels are in [0, 1]."""
    attack_label: Annotated[AttackLabel, Base("predicted"), About(source=PAPER)] = "predicted"
    """Label that attacks move away from: the model's prediction on the clean image, or the true label."""
    pgd: PgdSpec = PgdSpec()
    """Projected gradient descent."""
    end_attacks: Annotated[Attacks, Base((), hashed=False), END_ATTACKS] = Field(default=AUTO, validate_default=True)
    """Attacks measured once a round, at early stopping and at the end: `auto` (a strong PGD) or a list, [] for none."""
    end_images: Annotated[Count, Base(2_000, hashed=False), About("images", examples=(1_000, 2_000))] = 2_000
    """Test images, the first ones, that the end attacks are measured on; all where there are fewer."""
    prune: PruneSpec = PruneSpec()
    """How networks are pruned; for strategy transfer, how the source was."""
    retrain: RetrainSpec = Field(default={}, validate_default=True)
    """The rounds after the first."""
    compute: ComputeSpec = ComputeSpec()
    """How a module is computed."""
    transfer: TransferFields = TransferFields()
    """The source of the masks, for strategy transfer."""

    @model_validator(mode="before")
    @classmethod
    def _name_network(cls, fields: object) -> object:
        if not isinstance(fields, dict):
            return fields
        widths = fields.get("widths")
        whole = {"widths": [*map(read_whole, widths)]} if isinstance(widths, list | tuple) else {}
        return networks.canonical(fields | whole)

    @field_validator("dataset")
    @classmethod
    def _check_dataset(cls, value: str, info: ValidationInfo) -> str:
        if value not in DATASETS and not ("own" in info.data and info.data["own"].data):
            raise ValueError(
                f"allowed are {', '.join(DATASETS)}, a name of torchvision.datasets, or data of your own: a file.npz, a"
                " folder with train and test, or file.py:function"
            )
        return value

    @field_validator("model")
    @classmethod
    def _check_model(cls, value: str, info: ValidationInfo) -> str:
        known = (*networks.MODELS, *networks.MODULES)
        if value not in known and not references.is_reference(value):
            raise ValueError(f"allowed are {', '.join(known)}, or a function of your own, as nets.py:Net")
        if networks.is_module(value) and not ("own" in info.data and info.data["own"].tensors):
            raise ValueError("its tensors are not known: the function must be called to learn them")
        return value

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
        if {"norm", "dataset", "own"} <= info.data.keys():
            attack_settings.check_length(value, info.data["norm"], data_facts(info.data).inputs)
        return value

    @field_validator("validation_size")
    @classmethod
    def _resolve_validation_size(cls, value: int, info: ValidationInfo) -> int:
        dataset = info.data.get("dataset")
        fixed = data_facts(info.data).validation if dataset and "own" in info.data else None
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
