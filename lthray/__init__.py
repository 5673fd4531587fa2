"""Lottery-ticket pruning trajectories under attack, swept with Ray Tune.

The command line is `lthray --help`; results are read with pandas or with `lthray.analysis`.
"""

__version__ = "0.2.0"
