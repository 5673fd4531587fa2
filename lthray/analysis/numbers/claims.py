"""The poster's claims: its sentences, and how each is made testable."""

from dataclasses import dataclass

from lthray.analysis.numbers.evidence import BETTER, EARLIER, NATURAL, ROBUST, SIMILAR, STOPPING, Question
from lthray.analysis.numbers.paired_tests import DENSE


@dataclass(frozen=True)
class Claim:
    """A sentence of the poster's, or a comparison that its figures show, and the question that tests it."""

    key: str
    number: int | None
    """Of the poster's sentence; None for a comparison of its figures that is no claim of the poster's."""
    quote: str
    """The poster's words, or the figure."""
    statement: str
    """What is tested, with `{margin}` in it where a loss is ignored."""
    question: Question
    adversarial: bool = False
    """Whether it speaks of adversarially trained networks alone."""


_SIMILAR = "A winning ticket's adversarial accuracy is at most {margin} below that of"
CLAIMS = (
    Claim(
        "robust",
        1,
        "overparameterization is not required for robustness",
        f"{_SIMILAR} its dense network",
        Question(ROBUST, DENSE, SIMILAR),
    ),
    Claim(
        "accurate",
        2,
        "Winning lottery tickets […] account for the overall network's accuracy",
        "A winning ticket's natural accuracy is at most {margin} below that of its dense network",
        Question(NATURAL, DENSE, SIMILAR),
    ),
    Claim(
        "faster",
        3,
        "can also train faster",
        "A winning ticket of commensurate accuracy stops early at fewer iterations than its dense network",
        Question(STOPPING, DENSE, EARLIER),
    ),
    Claim(
        "similar",
        4,
        "achieve similar […] robustness with adversarial training",
        f"{_SIMILAR} its dense network, both adversarially trained",
        Question(ROBUST, DENSE, SIMILAR),
        adversarial=True,
    ),
    Claim(
        "better",
        4,
        "if not better […] robustness with adversarial training",
        "A winning ticket's adversarial accuracy is above that of its dense network, both adversarially trained",
        Question(ROBUST, DENSE, BETTER),
        adversarial=True,
    ),
    Claim(
        "robust-as-random",
        None,
        "Figures 1 and 2: reset and random",
        f"{_SIMILAR} the random network of the same sparsity",
        Question(ROBUST, "random", SIMILAR),
    ),
    Claim(
        "robust-as-continued",
        None,
        "Figures 1 and 2: reset and continued",
        f"{_SIMILAR} the continued network of the same sparsity",
        Question(ROBUST, "continued", SIMILAR),
    ),
    Claim(
        "faster-than-random",
        None,
        "Figure 2: reset and random",
        "A winning ticket of commensurate accuracy stops early at fewer iterations than the random network of the same"
        " sparsity",
        Question(STOPPING, "random", EARLIER),
    ),
)
"""The claims; a winning ticket is a sparse network of the strategy reset. Two share a question, and so its test."""
