"""Two groups of a trajectory's fields: the rounds after the first, and the source of masks."""

from typing import Annotated

from pydantic import Field

from lthray.spec.attack_settings import TrainAttack
from lthray.spec.identity import AUTO, Base, follow
from lthray.spec.strict import Strict


class RetrainSpec(Strict):
    """What the rounds after the first do otherwise than the first."""

    iterations: Annotated[int, Field(ge=0, le=10**9), follow("iterations")] = Field(default=AUTO, validate_default=True)
    """Optimizer steps of a round after the first; 0 prunes without training, auto is as many as `iterations`."""
    train_attack: Annotated[TrainAttack, follow("train_attack")] = Field(default=AUTO, validate_default=True)
    """Attack that the rounds after the first train against; auto is `train_attack`."""


class TransferFields(Strict):
    """Whose masks a trajectory of strategy transfer trains under; found when the sweep is run, never set."""

    source: Annotated[str, Field(pattern="^([0-9a-f]{12})?$"), Base("", settable=False)] = ""
    """The source's trajectory_id; empty for other strategies."""
    setting: Annotated[str, Base("", hashed=False, settable=False)] = ""
    """What is to be known of the source, in words; not in the trajectory's own id, for `source` stands for it."""
