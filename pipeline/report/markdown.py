"""Names of people's own in Markdown."""

import re

# What GitHub's Markdown gives a meaning within a line or a cell of a table. An underscore between
# letters or digits has none.
_MEANINGFUL = re.compile(r"[\\`*\[<|$~&]|(?<![^\W_])_|_(?![^\W_])")


def escaped(text: str) -> str:
    """`text` so that Markdown shows it as it stands."""
    return _MEANINGFUL.sub(r"\\\g<0>", text)
