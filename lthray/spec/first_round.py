"""Round 0: which trajectories share it."""

import hashlib
import json

from lthray.spec.identity import bases
from lthray.spec.trajectory import TrajectorySpec


def first_round_key(spec: TrajectorySpec) -> str:
    """Twelve hex digits, the same for all trajectories that have the same round 0, to the bit.

    It hashes every field except those declared to act from round 1 on alone (`Base.later`), and the iteration of round
    0 that `rewind_to` names: the network there is kept only for trajectories that rewind to it.
    """
    later = {name for name, base in bases(type(spec)).items() if base.later}
    fields = {name: value for name, value in spec.flat().items() if name not in later}
    text = json.dumps(fields | {"rewind_iteration": spec.rewind_iteration}, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]
