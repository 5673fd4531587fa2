"""The one error that is the user's to mend."""


class InputError(Exception):
    """A mistake in what the user gave: one line that names the file or key, what was found and what is allowed.

    What was found may be anything: line breaks and control characters in it become spaces.
    """

    def __init__(self, line: str) -> None:
        super().__init__(" ".join("".join(c if c.isprintable() else " " for c in line).split()))
