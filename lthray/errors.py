"""The one error that is the user's to mend, and any error as one line."""


class InputError(Exception):
    """A mistake in what the user gave: one line that names the file or key, what was found and what is allowed.

    What was found may be anything: line breaks and control characters in it become spaces.
    """

    def __init__(self, line: str) -> None:
        super().__init__(" ".join("".join(c if c.isprintable() else " " for c in line).split()))


def first_line(error: BaseException) -> str:
    """The first line of what an error says; the name of its type where it says nothing."""
    return _lines(error)[0]


def last_line(error: BaseException) -> str:
    """The last line of what an error says, where a report of several lines or a traceback ends in its reason."""
    return _lines(error)[-1]


def _lines(error: BaseException) -> list[str]:
    wrapped = getattr(error, "reason", None) if isinstance(error, OSError) else None  # urllib's errors wrap another
    return [line.strip() for line in str(wrapped or error).splitlines() if line.strip()] or [type(error).__name__]
