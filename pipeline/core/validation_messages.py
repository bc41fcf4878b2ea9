"""Error messages for values of params.yaml: pydantic's own, with the full key and the value."""

import difflib
import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import pydantic


def explain(error: pydantic.ValidationError, key: str, section: Any) -> list[str]:
    """A line, `full.key: message, found value`, for each wrong value of the `section` at `key`."""
    details = error.errors(include_url=False)
    missing = [detail["loc"] for detail in details if detail["type"] == "missing"]
    return [_line(detail, [key] if key else [], section, missing) for detail in details]


def _line(detail: Any, key: list[str], section: Any, missing: Sequence[tuple[Any, ...]]) -> str:
    location, context = detail["loc"], detail.get("ctx", {})
    names = [*key, *_keys(location, section, location in missing)]
    if "discriminator" in context:  # the key that selects the member of a union
        names.append(context["discriminator"].strip("'"))
    start = f"{'.'.join(names)}: {detail['msg'].replace('Value error, ', 'expected ')}"
    if location in missing:
        return start
    found = context.get("tag", detail["input"])
    if detail["type"] == "extra_forbidden":  # every key is required, so a misspelt one is missing
        known = [other[-1] for other in missing if other[:-1] == location[:-1]]
        return start + suggest(location[-1], known)
    known = re.findall("'([^']*)'", context.get("expected", context.get("expected_tags", "")))
    return f"{start}, found {shorten(found)}{suggest(found, known)}"


def _keys(location: Sequence[Any], section: Any, missing: bool) -> list[str]:
    """The keys of pydantic's `location`, which also names members of unions, and "[key]"."""
    keys = []
    for part in location:
        is_key = part in section if isinstance(section, dict) else isinstance(part, int)
        if is_key:
            section = section[part]
        if is_key or (missing and part is location[-1]):
            keys.append(str(part))
    return keys


def suggest(name: object, known: Iterable[object]) -> str:
    """`; did you mean 'x'?` for the known name most like `name`, or an empty text."""
    close = difflib.get_close_matches(str(name), map(str, known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def shorten(value: object) -> str:
    """`value` as YAML writes it in one line, cut where it gets long."""
    text = json.dumps(value, ensure_ascii=False, default=str, skipkeys=True)
    return text if len(text) <= 80 else f"{text[:77]}..."
