"""Strict reading of params.yaml: an error names the full key of every wrong value."""

import json
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pydantic
from pydantic_core import core_schema
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from pipeline.core.errors import PipelineError

PARAMS_FILE = Path("params.yaml")


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
    for name in key.split("."):
        if not isinstance(params, Mapping) or name not in params:
            known = ", ".join(map(str, params)) if isinstance(params, Mapping) else "no keys"
            raise PipelineError(f"{PARAMS_FILE}: {key}: {name} not found; its section has {known}")
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
        details = error.errors(include_url=False)
        lines = (f"{PARAMS_FILE}: {_line(detail, key, section)}" for detail in details)
        raise PipelineError("\n".join(lines)) from None


def one_of(names: Collection[str]) -> pydantic.GetPydanticSchema:
    """For typing.Annotated: accepts only the `names`, as typing.Literal does fixed ones."""
    return pydantic.GetPydanticSchema(lambda *_: core_schema.literal_schema([*names]))


def _line(detail: Any, key: str, section: Any) -> str:
    """`full.key: message, found value` for a wrong value of the `section` at `key`."""
    context, is_missing = detail.get("ctx", {}), detail["type"] == "missing"
    names = [*filter(None, [key]), *_keys(detail["loc"], section, is_missing)]
    if "discriminator" in context:  # the key that selects the member of a union
        names.append(context["discriminator"].strip("'"))
    line = f"{'.'.join(names)}: {detail['msg'].replace('Value error, ', 'expected ')}"
    if is_missing or detail["type"] == "extra_forbidden":
        return line
    return f"{line}, found {shorten(context.get('tag', detail['input']))}"


def _keys(location: Sequence[Any], section: Any, is_missing: bool) -> list[str]:
    """The keys of pydantic's `location`, which also names members of unions, and "[key]"."""
    keys = []
    for part in location:
        is_key = part in section if isinstance(section, dict) else isinstance(part, int)
        if is_key:
            section = section[part]
        if is_key or (is_missing and part is location[-1]):
            keys.append(str(part))
    return keys


def shorten(value: object) -> str:
    """`value` as YAML writes it in one line, cut where it gets long."""
    text = json.dumps(value, ensure_ascii=False, default=str, skipkeys=True)
    return text if len(text) <= 80 else f"{text[:77]}..."
