"""The error whose text is meant for the user."""

# Printed where the project's packages are missing, so this module imports nothing.
WRONG_PYTHON = (
    "this Python is not the project's: `make setup` once, then `. .venv/bin/activate` in each "
    "terminal; `make repro` needs no activation"
)


class PipelineError(Exception):
    """Something the user can mend: printed as one line, of what was expected, found, and to do."""
