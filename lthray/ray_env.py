"""How lthray wants Ray: quiet, and in the environment that a process gives it."""

import os


def quieten_ray() -> None:
    """Sets what the environment does not: no banner, second progress display, logger files or usage statistics.

    And no workers started in advance: Tune gives its trials an environment of their own, for which Ray starts others.

    Ray and its workers read these variables when Ray is started or a trial runs, so call it before `ray.init`.
    """
    for name, value in {
        "RAY_AIR_NEW_OUTPUT": "0",
        "RAY_CHDIR_TO_TRIAL_DIR": "0",
        "RAY_USAGE_STATS_ENABLED": "0",
        "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
        "RAY_prestart_worker_first_driver": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    }.items():
        os.environ.setdefault(name, value)
