"""The setting of a trajectory: its fields, checked against each other, its id, and what follows from them."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any, Self

from pydantic import model_validator

from lthray.methods import networks, objectives
from lthray.methods.attacks import Attack, Setting
from lthray.methods.datasets import DatasetFacts
from lthray.methods.strategies import TRANSFER
from lthray.spec import arguments, attack_settings, own, pruning
from lthray.spec.arguments import thaw
from lthray.spec.dotted import flatten, nest
from lthray.spec.fields import TrajectoryFields, data_facts
from lthray.spec.identity import bases, identify

ATTACK_LISTS = ("eval_attacks", "end_attacks")
"""The fields that list attacks."""
LISTS = {
    "schedule.milestones": float,
    "normalize.mean": float,
    "normalize.std": float,
    "prune.only": str,
    "prune.except": str,
}
"""The other fields that are lists, and what they list; tables have them as text, joined by commas."""


class TrajectorySpec(TrajectoryFields):
    """A trajectory: one network's whole life, from round 0 to its last pruning."""

    @model_validator(mode="after")
    def _check_pruning(self) -> Self:
        rewind = self.rewind_iteration
        if rewind is not None and rewind >= self.iterations:
            raise ValueError(
                f"rewind_to: iteration:{rewind} is not before the end of a round of {self.iterations} iterations;"
                " a smaller number, or end-of-round-0"
            )
        pruning.check_rates(self.prune, self.layer_sizes, self.model)
        pruning.check_learned(self.prune)
        pruning.check_structure(self.prune, self.rounds, self.strategy)
        pruning.check_left(self.weights_left())  # it also checks the patterns of what is kept whole
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
                f" {self.data.examples}"
            )
        if self.batch_size > self.train_size:
            raise ValueError(
                f"batch_size: {self.batch_size} is more than the {self.train_size} training images of {self.dataset}"
            )
        return self

    @model_validator(mode="after")
    def _check_augment(self) -> Self:
        if self.augment != "none" and len(self.data.shape) != 3:
            raise ValueError(f"augment: {self.augment} is for images, and {self.dataset} has {self.inputs} features")
        return self

    @model_validator(mode="after")
    def _check_module(self) -> Self:
        for name in (
            "normalize.mean",
            "normalize.std",
            *(f"compute.{name}" for name in type(self.compute).model_fields),
        ):
            if attrgetter(name)(self) != bases(type(self))[name].value and not self.is_module:
                raise ValueError(f"{name}: is for networks that are torch modules, and {self.model} is none")
        for name, numbers in self.normalize:
            if numbers and len(numbers) != self.data.shape[0]:
                raise ValueError(f"normalize.{name}: takes {self.data.shape[0]} numbers, one for each channel")
        if any(number <= 0 for number in self.normalize.std):
            raise ValueError("normalize.std: takes numbers greater than 0")
        return self

    @model_validator(mode="after")
    def _check_attacks(self) -> Self:
        listed = [(field, attack) for field in ATTACK_LISTS for attack in getattr(self, field)]
        for field, attack in [("pgd", Attack("pgd")), *listed]:
            attack_settings.check(attack, self.setting(attack), self.inputs, field)
        trained = self.train_setting
        if self.objective.name == "trades" and trained and not trained.random_start:
            raise ValueError(
                "objective.name: trades attacks from a random start, because its gradient is zero at the image: set"
                " train_attack: pgd, and pgd.random_start: true"
            )
        if self.is_free and self.norm != "linf":
            raise ValueError(f"objective.name: free is for norm linf, not {self.norm}")
        return self

    @property
    def data(self) -> DatasetFacts:
        """The sizes of the data set."""
        return data_facts(vars(self))

    @property
    def inputs(self) -> int:
        """Pixels of an image, over all channels."""
        return self.data.inputs

    @property
    def train_size(self) -> int:
        """Training images."""
        return self.data.examples - self.validation_size

    @property
    def epoch_batches(self) -> int:
        """Batches of an epoch."""
        whole, left = divmod(self.train_size, self.batch_size)
        return whole + (1 if left and not self.drop_last else 0)

    @property
    def layer_sizes(self) -> dict[str, networks.Shape]:
        """The shape of each layer's weights, in order: (out, in), of convolutions (out, in, height, width).

        Of a module, the layers are the weights that have a mask, by the names of its `state_dict` without `.weight`.
        """
        if self.is_module:
            return own.layout(self.own.tensors, self.prune.only).layers
        return networks.layer_sizes(self.model, self.widths, self.data.shape, self.data.classes)

    @property
    def is_module(self) -> bool:
        """Whether the network is a torch module, trained by autograd."""
        return networks.is_module(self.model)

    @property
    def parameter_sizes(self) -> dict[str, networks.Shape]:
        """The shape of each parameter that has no mask, by its name in a module's `state_dict`."""
        return own.layout(self.own.tensors, self.prune.only).parameters if self.is_module else {}

    @property
    def buffer_sizes(self) -> dict[str, networks.Shape]:
        """The shape of each buffer of a module, by its name in the `state_dict`."""
        return own.layout(self.own.tensors, self.prune.only).buffers if self.is_module else {}

    @property
    def tensor_sizes(self) -> dict[str, networks.Shape]:
        """The shapes of all tensors of the network, in the engine's order: layers, other parameters, buffers."""
        return self.layer_sizes | self.parameter_sizes | self.buffer_sizes

    @property
    def units(self) -> int | None:
        """Values of an image and of its activations: pixels, maps, hidden units and logits; None of a module."""
        return None if self.is_module else networks.units(self.layer_sizes, self.inputs)

    @property
    def kept_whole(self) -> set[str]:
        """The layers that are never pruned."""
        return pruning.kept_whole(self.prune, self.layer_sizes)

    def weights_left(self, rounds: int | None = None) -> list[dict[str, int]]:
        """Weights left of each group that is pruned together, a mapping for each round.

        A group is a layer, or with `prune.scope: global` the whole network under the name `all`; there, the scores
        decide how many weights each layer keeps.

        Args:
            rounds: The last round; by default the trajectory's.
        """
        rounds = self.rounds if rounds is None else rounds
        return pruning.weights_left(self.prune, self.layer_sizes, rounds, self.kept_whole)

    def setting(self, attack: Attack) -> Setting:
        """Resolves an attack's numbers: its own settings, else this trajectory's."""
        common = {"epsilon": self.epsilon, "norm": self.norm, "attack_label": self.attack_label}
        return attack_settings.resolve(attack, common | vars(self.pgd))

    @property
    def train_setting(self) -> Setting | None:
        """The train attack with every number; None without a train attack."""
        if self.train_attack == "none":
            return None
        setting = self.setting(Attack(self.train_attack))
        return objectives.fast_setting(setting) if self.objective.name == "fast" else setting

    @property
    def loss_weight(self) -> float:
        """Weight of the adversarial cross-entropy, where the loss is a mean of it and the natural cross-entropy."""
        return 1.0 if self.objective.name in ("fast", objectives.FREE) else self.adversarial_weight

    @property
    def is_free(self) -> bool:
        """Whether perturbations are carried on from iteration to iteration."""
        return self.objective.name == objectives.FREE and self.train_attack != "none"

    @property
    def replays(self) -> int:
        """Iterations in a row on each batch."""
        return self.objective.replays if self.is_free else 1

    def train_setting_at(self, iteration: int) -> Setting | None:
        """The train attack at an iteration of a round: its radius and step grow while it warms up."""
        setting, warmup = self.train_setting, self.objective.epsilon_warmup
        return objectives.warm_up(setting, iteration, warmup) if setting and warmup else setting

    def flat(self) -> dict[str, Any]:
        """Every field under its dotted name, as tables carry it: lists as text, `model_args` in JSON."""
        flat = flatten(self.model_dump() | {"model_args": arguments.to_text(self.model_args)})
        joined = {name: ",".join(map(str, attrgetter(name)(self))) for name in (*ATTACK_LISTS, *LISTS)}
        flat |= joined | {"widths": "-".join(map(str, self.widths))}
        return dict(sorted(flat.items(), key=lambda field: field[0].startswith("own.")))

    def values(self) -> dict[str, Any]:
        """Every field as `flat` has it, and each argument of the network under its own dotted name."""
        return self.flat() | {f"{own.ARGUMENTS}{name}": value for name, value in thaw(self.model_args).items()}

    @classmethod
    def from_flat(cls, fields: Mapping[str, Any]) -> Self:
        """The inverse of `flat`; a missing field has its base value.

        Raises:
            ValidationError: a field is not known, or has an impossible value.
        """
        kinds = dict.fromkeys(ATTACK_LISTS, str) | LISTS
        split: dict[str, Any] = {
            name: list(map(kind, fields[name].split(","))) if fields[name] else []
            for name, kind in kinds.items()
            if name in fields
        }
        if "widths" in fields:
            split["widths"] = [int(width) for width in fields["widths"].split("-") if width]
        if "model_args" in fields:
            split["model_args"] = arguments.from_text(fields["model_args"])
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
    def has_references(self) -> bool:
        """Whether code of the user's own runs when it is trained."""
        return bool(own.references_in(self.flat()))

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
        starts = range(0, self.iterations, self.epoch_batches * self.replays)
        points = (
            start + batch for start in starts for batch in range(0, self.epoch_batches * self.replays, self.eval_every)
        )
        iterations = [*(i for i in points if i < self.iterations), self.iterations]
        return {iteration: label * self.eval_every for label, iteration in enumerate(iterations)}
