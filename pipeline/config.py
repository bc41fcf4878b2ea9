"""Strict reading of params.yaml: every mistake is named by its full key.

Each stage reads only the keys that dvc.yaml declares for it, through `section`; the whole file
is checked before any stage runs (pipeline/params.py).
"""

import difflib
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import pydantic
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError

from pipeline.errors import PipelineError

PARAMS_FILE = Path("params.yaml")


class Section(pydantic.BaseModel):
    """A frozen, typed piece of params.yaml; unknown keys, coercions and NaN are refused."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )


# What pydantic's kinds of error expect, in words for whoever edits the file.
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
    "greater_than": "a number above {gt:g}",
    "greater_than_equal": "a number of at least {ge:g}",
    "less_than": "a number below {lt:g}",
    "less_than_equal": "a number of at most {le:g}",
    "multiple_of": "a multiple of {multiple_of:g}",
    "too_short": "at least {min_length} item(s)",
    "too_long": "at most {max_length} item(s)",
}

AnySection = TypeVar("AnySection", bound=Section)


def read(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """The file as plain mappings, lists and scalars, by the parser that DVC reads it with.

    PyYAML takes 1e-05, as `dvc exp run -S` writes a small number, for text and keeps the last of
    two equal keys without a word. Raises PipelineError when the file cannot be read, is no YAML,
    is no mapping or repeats a key.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PipelineError(
            f"cannot read {path}: {error.strerror}; run from the project's top folder"
        ) from None
    except DuplicateKeyError as error:
        line = error.problem_mark.line + 1
        raise PipelineError(f"{path}: line {line}: {error.problem}; keep one") from None
    except (YAMLError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise PipelineError(f"{path}: expected a mapping of sections, found {_shown(content)}")
    return content


def section(params: Mapping[str, Any], key: str, schema: type[AnySection]) -> AnySection:
    """The mapping at dotted `key` of `params` as a checked, frozen `schema`.

    Raises PipelineError with a line for each mistake.
    """
    value: Any = params
    for depth, name in enumerate(parts := key.split(".")):
        if not isinstance(value, Mapping) or name not in value:
            parent = ".".join(parts[:depth])
            raise unknown_name(name, value if isinstance(value, Mapping) else (), parent)
        value = value[name]
    try:
        return schema.model_validate(value)
    except pydantic.ValidationError as error:
        raise PipelineError(
            "\n".join(_explain(detail, key, schema) for detail in error.errors())
        ) from None


def unknown_name(name: str, known: Iterable[Any], parent: str) -> PipelineError:
    """The error for a `name` that is not among the `known` ones below the key `parent`."""
    where = f"{parent}.{name}" if parent else name
    names = [str(item) for item in known]
    return PipelineError(
        f"{PARAMS_FILE}: {where}: not found; {parent or 'the file'} has "
        f"{', '.join(names) or 'no keys'}{nearest(name, names)}"
    )


def nearest(name: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the known name most like `name`, or an empty text."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean '{close[0]}'?" if close else ""


def _explain(detail: Any, key: str, schema: type[Section]) -> str:
    """One pydantic error as `params.yaml: full.key: expected ..., found ...; what to do`."""
    path = [str(part) for part in detail["loc"] if part != "[key]"]
    start = f"{PARAMS_FILE}: {'.'.join([key, *path])}:"
    kind, found, context = detail["type"], detail["input"], detail.get("ctx", {})
    known = _fields(schema, path[:-1])
    if kind == "missing":
        return f"{start} missing key; add it (the keys here are {', '.join(known)})"
    if kind == "extra_forbidden":
        return f"{start} unknown key; expected {', '.join(known)}{nearest(path[-1], known)}"
    if kind == "literal_error":
        close = nearest(found, re.findall("'([^']*)'", context["expected"]))
        if "[key]" in detail["loc"]:
            return f"{start} unknown key; expected {context['expected']}{close}"
        return f"{start} expected {context['expected']}, found {_shown(found)}{close}"
    if kind in EXPECTED:
        expected = EXPECTED[kind].format(**context, keys=", ".join(_fields(schema, path)))
    else:
        expected = re.sub("^(Value error, )?((Input )?should (be )?)?", "", detail["msg"])
    if len(path) == 1 and _allows_null(schema, path[0]):
        expected += ", or null"
    return f"{start} expected {expected}, found {_shown(found)}"


def _fields(schema: type[Section], path: list[str]) -> list[str]:
    """The names that `schema` knows at the nested `path`."""
    for name in path:
        annotation = schema.model_fields[name].annotation if name in schema.model_fields else None
        if not (isinstance(annotation, type) and issubclass(annotation, Section)):
            return []
        schema = annotation
    return list(schema.model_fields)


def _allows_null(schema: type[Section], name: str) -> bool:
    field = schema.model_fields.get(name)
    return field is not None and type(None) in get_args(field.annotation)


def _shown(value: object) -> str:
    """`value` as YAML writes it in one line, cut where it gets long."""
    text = json.dumps(value, ensure_ascii=False, default=str, skipkeys=True)
    return text if len(text) <= 80 else f"{text[:77]}..."
