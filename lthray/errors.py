"""Errors that a user sees as one line."""


class OneLineError(Exception):
    """An error whose message is one line: line breaks and control characters in it become spaces."""

    def __init__(self, line: str) -> None:
        super().__init__(" ".join("".join(c if c.isprintable() else " " for c in line).split()))

    def prefixed(self, prefix: str) -> "OneLineError":
        """The same error with more before its line."""
        return type(self)(f"{prefix}{self}")


class InputError(OneLineError):
    """A mistake in what the user gave: the line names the file or key, what was found and what is allowed."""


class CodeError(InputError):
    """An exception in the user's own code: a line that says which, and the user's own part of the traceback."""

    def __init__(self, line: str, traceback: str) -> None:
        super().__init__(line)
        self.traceback = traceback

    def prefixed(self, prefix: str) -> "CodeError":
        """See `OneLineError`."""
        return CodeError(f"{prefix}{self}", self.traceback)

    def __reduce__(self) -> tuple[type["CodeError"], tuple[str, str]]:
        return type(self), (str(self), self.traceback)


class UnreachableError(InputError):
    """No Ray cluster answers at an address."""


class RunError(OneLineError):
    """The end of a run whose input is right; finished work is kept."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message; the name of its type where the message is empty."""
    return _lines(error)[0]


def last_line(error: BaseException) -> str:
    """The last line of an error's message, which gives the reason in a traceback or another report of several lines."""
    return _lines(error)[-1]


def _lines(error: BaseException) -> list[str]:
    wrapped = getattr(error, "reason", None) if isinstance(error, OSError) else None  # urllib's errors wrap another
    return [line.strip() for line in str(wrapped or error).splitlines() if line.strip()] or [type(error).__name__]
