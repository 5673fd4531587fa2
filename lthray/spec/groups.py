"""Two groups of a trajectory's fields: the rounds after the first, and the source of masks."""

from typing import Annotated

from pydantic import Field

from lthray.spec.about import About
from lthray.spec.attack_settings import TrainAttack
from lthray.spec.identity import AUTO, Base, follow
from lthray.spec.numbers import Whole
from lthray.spec.strict import Strict


class RetrainSpec(Strict):
    """How rounds after the first differ from the first."""

    iterations: Annotated[
        Whole, Field(ge=0, le=10**9), follow("iterations", later=True), About("iterations", examples=("auto", 1000, 0))
    ] = Field(default=AUTO, validate_default=True)
    """Optimizer steps of a round after the first; 0 prunes without training, auto is `iterations`."""
    train_attack: Annotated[TrainAttack, follow("train_attack", later=True), About(examples=("auto", "none"))] = Field(
        default=AUTO, validate_default=True
    )
    """Attack trained against after the first round; auto is `train_attack`."""


class TransferFields(Strict):
    """The source of the masks, for strategy transfer. Looked up when the sweep runs, never set in a sweep file."""

    source: Annotated[str, Field(pattern="^([0-9a-f]{12})?$"), Base("", settable=False, later=True), About()] = ""
    """The source's trajectory_id; empty for other strategies."""
    setting: Annotated[str, Base("", hashed=False, settable=False, later=True), About()] = ""
    """The source's fields in words. Not part of the trajectory's id, because `source` is."""
