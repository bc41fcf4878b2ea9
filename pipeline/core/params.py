"""Strict reading of params.yaml: an error names the full key of every wrong value.

A stage reads only the keys that dvc.yaml declares for it, through `read_section`; the whole file
is checked before any stage runs (pipeline/tools/config.py).
"""

import difflib
import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pydantic
from pydantic_core import PydanticKnownError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core.errors import PipelineError

PARAMS_FILE = Path("params.yaml")
# Keys of version 1, wherever they stood, and what replaced them.
RENAMED = {
    "arithmetic": "numerics",
    "runtime": "inference",
    "views": "test_time_augmentation",
    "framing": "crop_mode",
    "inference_batch_size": "batch_size",
    "mirrored": "horizontal_flip",
    "sure": "confidence_threshold",
    "unlikely": "rejection_threshold",
    "mistakes": "misclassified",
    "examples": "page.examples",
    "confidence": "confidence_level",
    "optimizer": "variants.*.optimizer, of each variant with that recipe",
    "growth": "progressive_resizing",
    "micro_batches_at_once": "parallel_micro_batches",
    "class_weights": "class_weight",
    "flip_evenly": "alternating_flip",
    "shift": "translation",
}


class ConfigModel(pydantic.BaseModel):
    """A frozen, typed section of params.yaml; unknown keys, coercions and NaN are refused."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )


Seed = Annotated[int, pydantic.Field(ge=0, lt=2**31)]


def read_params(path: Path = PARAMS_FILE) -> dict[str, Any]:
    """The file as plain mappings, lists and scalars, by the parser that DVC reads it with.

    PyYAML reads 1e-05, as `dvc exp run -S` writes small numbers, as text, and keeps the last of
    two equal keys silently. Raises PipelineError when the file cannot be read, is not YAML, is not
    a mapping or repeats a key.
    """
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise PipelineError(
            f"cannot read {path}: {error.strerror}; run from the project's top folder"
        ) from None
    except (YAMLError, ValueError) as error:  # the latter for bad UTF-8 and impossible dates
        text = re.sub(r' with value ".*?\)| To suppress .*', "", " ".join(str(error).split()))
        raise PipelineError(f"{path} is not valid YAML: {text}") from None
    if not isinstance(content, dict):
        raise PipelineError(f"{path}: expected a mapping of sections, found {shorten(content)}")
    return content


def lookup(params: Any, key: str) -> Any:
    """The value at the dotted `key` of `params`; PipelineError when there is no such key."""
    for depth, name in enumerate(parts := key.split(".")):
        if not isinstance(params, Mapping) or name not in params:
            known = params if isinstance(params, Mapping) else ()
            raise unknown_key(name, known, ".".join(parts[:depth]))
        params = params[name]
    return params


def read_section(params: Mapping[str, Any], key: str, schema: Any) -> Any:
    """The section at the dotted `key` of `params` ("" for all of it) as a frozen `schema`.

    `schema` is a ConfigModel or a union of them with a discriminator. Raises PipelineError with a
    line for each wrong value.
    """
    section = lookup(params, key) if key else params
    try:
        return pydantic.TypeAdapter(schema).validate_python(section)
    except pydantic.ValidationError as error:
        lines = (f"{PARAMS_FILE}: {line}" for line in _explain(error, key, section))
        raise PipelineError("\n".join(lines)) from None


def one_of(names: Collection[str]) -> pydantic.AfterValidator:
    """A validator that accepts only the `names`, as typing.Literal does fixed ones."""

    def check(value: str) -> str:
        if value not in names:
            raise PydanticKnownError("literal_error", {"expected": ", ".join(map(repr, names))})
        return value

    return pydantic.AfterValidator(check)


def unknown_key(name: str, known: Iterable[Any], parent: str) -> PipelineError:
    """The error for a `name` that is not among the `known` keys of the section `parent`."""
    names = [str(item) for item in known]
    return PipelineError(
        f"{PARAMS_FILE}: {f'{parent}.' if parent else ''}{name}: not found; "
        f"{parent or 'the file'} has {', '.join(names) or 'no keys'}{suggest(name, names)}"
    )


def _explain(error: pydantic.ValidationError, key: str, section: Any) -> list[str]:
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
        if new := RENAMED.get(location[-1]):
            return f"{start}; renamed to {new}, see CHANGELOG.md"
        known = [other[-1] for other in missing if other[:-1] == location[:-1]]
        return start + suggest(location[-1], known)
    known = re.findall("'([^']*)'", context.get("expected", context.get("expected_tags", "")))
    return f"{start}, found {shorten(found)}{suggest(found, known)}"


def _keys(location: Sequence[Any], section: Any, missing: bool) -> list[str]:
    """The keys of pydantic's `location`, which also names members of unions, and "[key]"."""
    keys = []
    for part in location:
        is_key = part in section if isinstance(section, dict) else isinstance(part, int)
        if is_key and isinstance(section, dict):  # pydantic writes True as 1
            part = next(key for key in section if key == part)
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
