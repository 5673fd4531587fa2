"""The one error that is the user's to mend."""


class InputError(Exception):
    """A mistake in what the user gave: one line that names the file or key, what was found and what is allowed."""
