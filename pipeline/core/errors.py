"""The error whose text is meant for the user."""


class PipelineError(Exception):
    """Something the user can mend: its text says what was expected, what was found, what to do.

    `python -m pipeline` prints it as one line and exits with 1.
    """
