"""Two sections of a sweep file that are no part of any trajectory: `resources` and `verdicts`."""

from typing import Annotated, Any, Literal

from pydantic import Field

from lthray.errors import InputError
from lthray.spec.about import About
from lthray.spec.numbers import Number, Whole
from lthray.spec.strict import Strict

ALIASES = {"num_cpus": "cpus", "num_gpus": "gpus"}
"""Ray's names of two resources, which stand for lthray's."""


def rename_resources(section: Any) -> Any:
    """The section `resources` of a sweep file with lthray's names for Ray's; what is no mapping stays unchanged.

    Raises:
        InputError: a resource is given by both names.
    """
    if not isinstance(section, dict):
        return section
    for alias, name in ALIASES.items():
        if alias in section and name in section:
            raise InputError(f"resources.{alias}: is the same as {name}, which is given too")
    return {ALIASES.get(name, name): value for name, value in section.items()}


class ResourcesSpec(Strict):
    """What a trial asks of Ray."""

    cpus: Annotated[Number, Field(gt=0), About("CPUs", examples=(1, 2))] = 1
    """CPUs of a trial."""
    gpus: Annotated[Number, Field(ge=0), About("GPUs", examples=(0, 0.25))] = 0.25
    """GPUs of a trial, less than 1 for a share of one; where Ray has no GPU, trials run on CPU."""
    stack: Annotated[Literal["auto"] | Annotated[Whole, Field(ge=1)], About("trajectories", examples=("auto", 15))] = (
        "auto"
    )
    """Trajectories that a trial trains side by side."""
    retries: Annotated[Whole, Field(ge=0), About("restarts", examples=(0, 3))] = 3
    """How often a trial whose worker died is restarted, from its last checkpoint or finished round."""
    checkpoint_minutes: Annotated[Number, Field(ge=0), About("minutes", examples=(1, 5))] = 5
    """Least minutes between checkpoints inside a round, which are written at evaluations; 0 writes none."""


class VerdictsSpec(Strict):
    """How the report judges the claims; declared before the results are seen, and no part of any id."""

    at: Annotated[Annotated[Number, Field(gt=0, lt=1)] | None, About("share of the weights", examples=(0.1, 0.2))] = (
        None
    )
    """Share of weights remaining, in (0, 1), at which each claim gets one plain answer."""
    margin: Annotated[Number, Field(ge=0, lt=1), About("share of the test images", examples=(0.01, 0.02))] = 0.01
    """Accuracy loss, as a share in [0, 1), that is ignored."""
