"""The verdicts on the poster's four sentences, from the report of the published results.

python analysis/poster/verdicts.py
"""

import json
from pathlib import Path

from lthray.analysis.page.words import name_badge, percent

CLAIMS = json.loads((Path(__file__).parent / "report" / "claims.json").read_text())["claims"]
COLUMNS = ["claim", "what is tested", "trained against", "seeds", "under", "share of weights", "verdict"]


def describe_ranges(claim):
    """For which share of the weights a claim was tested, shown, and refuted."""
    ranges = [f"tested down to {percent(claim['tested_to'])}"] if claim["tested_to"] else ["tested nowhere"]
    if claim["holds_to"]:
        ranges.append(f"holds down to {percent(claim['holds_to'])}")
    if claim["fails_from"]:
        ranges.append(f"fails from {percent(claim['fails_from'])} to {percent(claim['fails_to'])}")
    return ", ".join(ranges)


print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
for claim in CLAIMS:
    if claim["verdict"] is None:  # there is no network to compare with
        continue
    attack = claim["attack"]
    under = f"{attack['description']}; the dense network keeps {100 * attack['dense_accuracy']:.2f} %" if attack else ""
    number = claim["number"] or "comparison"
    cells = [number, claim["statement"], claim["train_attack"], claim["seeds"], under, describe_ranges(claim)]
    print("|", " | ".join(str(cell) for cell in [*cells, name_badge(claim)]), "|")
