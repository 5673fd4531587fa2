"""Groups of a trajectory's fields that say how a network of the user's own is trained."""

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from lthray.methods.objectives import OBJECTIVES
from lthray.spec.about import About
from lthray.spec.identity import Base
from lthray.spec.numbers import Count, Number, Whole
from lthray.spec.strict import Strict, one_of

Floats = Annotated[
    tuple[Number, ...], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)
]
"""A list of numbers, kept as a tuple."""
Names = Annotated[tuple[str, ...], BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value)]
"""A list of names, kept as a tuple."""

LOSSES = (
    "mixed: the poster's paper; trades: Zhang et al. 2019; mart: Wang et al. 2020; fast: Wong et al. 2020; free:"
    " Shafahi et al. 2019"
)
BETA = "Zhang et al. 2019, where 6 is the larger of two values"


class NormalizeSpec(Strict):
    """Normalisation of the images inside the network, so that attacks stay in pixel values."""

    mean: Annotated[Floats, Base(()), About("pixel values", examples=([0.5], [0.2860]))] = ()
    """Mean of each channel, a list, subtracted from the pixels in [0, 1]; [] for none."""
    std: Annotated[Floats, Base(()), About("pixel values", examples=([0.5], [0.3530]))] = ()
    """Standard deviation of each channel, a list, that the difference is divided by; [] for none."""


class ObjectiveSpec(Strict):
    """The training loss."""

    name: Annotated[str, one_of(OBJECTIVES, group="objectives"), Base("mixed"), About(source=LOSSES)] = "mixed"
    """Loss: mixed (natural and adversarial), trades, mart, fast, free, or a function of your own."""
    beta: Annotated[Number, Field(ge=0), Base(6.0), About(source=BETA, examples=(1.0, 6.0))] = 6.0
    """Weight of the robust term of trades and mart."""
    replays: Annotated[Count, Base(8), About("iterations", "Shafahi et al. 2019", (4, 8))] = 8
    """Iterations in a row on each batch, with free."""
    epsilon_warmup: Annotated[Whole, Field(ge=0, le=10**9), Base(0), About("iterations", examples=(0, 1000))] = 0
    """Iterations over which the radius of the train attack grows from 0 to epsilon."""


class ComputeSpec(Strict):
    """How a module is computed."""

    precision: Annotated[Literal["float32", "tf32", "bfloat16"], Base("float32"), About()] = "float32"
    """Numbers of the matrix products: float32, tf32 or bfloat16 (by autocast); the weights stay float32."""
    compile: Annotated[bool, Base(False), About()] = False
    """Compile the module with torch.compile."""
    channels_last: Annotated[bool, Base(False), About()] = False
    """Keep images and maps with their channels last."""
