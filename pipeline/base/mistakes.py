"""What pydantic finds wrong with a piece of params.yaml, in words for whoever edits the file."""

import difflib
import json
import re
from collections.abc import Collection, Iterable, Mapping
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

import pydantic

# By pydantic's kind of error.
EXPECTED = {
    "bool_type": "true or false",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "finite_number": "a finite number",
    "string_type": "text",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping with the keys {keys}",
    "model_attributes_type": "a mapping",
    "string_too_short": "text of at least {min_length} character(s)",
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "multiple_of": "a multiple of {multiple_of:g}",
    "too_short": "at least {min_length} item(s)",
    "too_long": "at most {max_length} item(s)",
}


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known name most like `name`, or an empty text."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def explain(detail: Any, key: str, schema: Any) -> str:
    """One of pydantic's errors on the value at `key`, as `full.key: expected ..., found ...`."""
    names, owner, place = _located(detail["loc"], schema)
    full = ".".join([key, *names] if key else names)
    start = f"{full}:"
    kind, found, context = detail["type"], detail["input"], detail.get("ctx", {})
    known = _fields(owner)
    if kind == "missing":
        return f"{start} missing key; add it (the keys here are {', '.join(known)})"
    if kind == "extra_forbidden":
        return f"{start} unknown key; expected {', '.join(known)}{nearest(names[-1], known)}"
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return _unknown_kind(full, found, context)
    if kind == "literal_error":
        close = nearest(found, re.findall("'([^']*)'", context["expected"]))
        if "[key]" in detail["loc"]:
            return f"{start} unknown key; expected {context['expected']}{close}"
        expected = context["expected"] + _or_null(place)
        return f"{start} expected {expected}, found {shown(found)}{close}"
    if kind in EXPECTED:
        expected = EXPECTED[kind].format(**context, keys=", ".join(_fields(place)))
    else:
        expected = re.sub("^(Value error, )?((Input )?should (be )?)?", "", detail["msg"])
    return f"{start} expected {expected}{_or_null(place)}, found {shown(found)}"


def _or_null(place: Any) -> str:
    return ", or null" if type(None) in get_args(place) else ""


def _unknown_kind(full: str, found: Any, context: Mapping[str, Any]) -> str:
    """The key that tells the members of a union apart is missing, or says none of them."""
    discriminator = context["discriminator"].strip("'")
    start = f"{full}.{discriminator}:"
    if "tag" not in context:
        return f"{start} missing key; add it"
    tags = re.findall("'([^']*)'", context["expected_tags"])
    expected = listed(tags)
    close = nearest(context["tag"], tags)
    return f"{start} expected {expected}, found {shown(found[discriminator])}{close}"


def listed(names: Collection[str]) -> str:
    """`'a', 'b' or 'c'`, as pydantic lists what a typing.Literal accepts."""
    *most, last = (f"'{name}'" for name in names)
    return f"{', '.join(most)} or {last}" if most else last


def _located(location: Iterable[Any], schema: Any) -> tuple[list[str], Any, Any]:
    """The keys of pydantic's `location`, what has the last of them as a key, and its own type.

    Of a union that is told apart by a key, `location` names the member in between.
    """
    names: list[str] = []
    owner, place = None, _bare(schema)
    for part in location:
        if part == "[key]":
            continue
        if _is_section(place):
            field = place.model_fields.get(part)
            owner, place = place, _bare(field.annotation) if field else None
        elif get_origin(place) in (Union, UnionType) and _is_section(get_args(place)[0]):
            place = next(member for member in get_args(place) if _is_named(member, part))
            continue
        else:
            owner, place = None, _bare(next(reversed(get_args(place)), None))
        names.append(str(part))
    return names, owner, place


def _bare(annotation: Any) -> Any:
    """`annotation` without what Annotated adds to it."""
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def _is_section(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, pydantic.BaseModel)


def _is_named(member: type[pydantic.BaseModel], tag: Any) -> bool:
    fields = member.model_fields.values()
    return any(tag in get_args(field.annotation) for field in fields)


def _fields(schema: Any) -> list[str]:
    return list(schema.model_fields) if _is_section(schema) else []


def shown(value: object) -> str:
    """`value` as YAML writes it in one line, cut where it gets long."""
    text = json.dumps(value, ensure_ascii=False, default=str, skipkeys=True)
    return text if len(text) <= 80 else f"{text[:77]}..."
