"""The command that installs a package which only some sweeps need, from a checkout as well as from a wheel."""

import shlex
from importlib import metadata

from packaging.requirements import Requirement


def install_command(package: str) -> str:
    """`pip install` of a package that is missing, with the bound that lthray's metadata gives it.

    Args:
        package: Its name, with extras where lthray needs them: `s3fs`, `ray[default]`.
    """
    wanted = Requirement(package)
    try:
        declared = metadata.requires("lthray") or []
    except metadata.PackageNotFoundError:  # a job brings lthray's code alone
        declared = []
    for requirement in map(Requirement, declared):
        if (requirement.name, requirement.extras) == (wanted.name, wanted.extras):
            requirement.marker = None
            return f"pip install {shlex.quote(str(requirement))}"
    return f"pip install {shlex.quote(package)}"
