"""What to say where Python has not the project's packages. Imports nothing, so that it can."""

REMEDY = (
    "this Python is not the project's: `make setup` once, then `. .venv/bin/activate` in each "
    "terminal; `make repro` needs no activation"
)
