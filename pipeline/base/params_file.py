"""Strict reading of params.yaml: every mistake is named by its full key.

Each stage reads only the keys that dvc.yaml declares for it, through `section`; the whole file
is checked before any stage runs (pipeline/ops/schema.py).
"""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import pydantic
from pydantic_core import PydanticKnownError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError

from pipeline.base.errors import PipelineError
from pipeline.base.mistakes import explain, listed, nearest, shown

PARAMS_FILE = Path("params.yaml")


class Section(pydantic.BaseModel):
    """A frozen, typed piece of params.yaml; unknown keys, coercions and NaN are refused."""

    model_config = pydantic.ConfigDict(
        frozen=True, extra="forbid", strict=True, allow_inf_nan=False
    )


Seed = Annotated[int, pydantic.Field(ge=0, lt=2**31)]


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
    except (YAMLError, ValueError) as error:  # the latter for bad UTF-8 and impossible dates
        raise PipelineError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise PipelineError(f"{path}: expected a mapping of sections, found {shown(content)}")
    return content


def at(params: Any, key: str) -> Any:
    """What stands at the dotted `key` of `params`; PipelineError when there is no such key."""
    for depth, name in enumerate(parts := key.split(".")):
        if not isinstance(params, Mapping) or name not in params:
            known = params if isinstance(params, Mapping) else ()
            raise unknown_name(name, known, ".".join(parts[:depth]))
        params = params[name]
    return params


def section(params: Mapping[str, Any], key: str, schema: Any) -> Any:
    """The mapping at dotted `key` of `params` as a checked, frozen `schema`.

    `schema` is a Section or a union of them, told apart by a key. Raises PipelineError with a line
    for each mistake.
    """
    try:
        return pydantic.TypeAdapter(schema).validate_python(at(params, key) if key else params)
    except pydantic.ValidationError as error:
        lines = dict.fromkeys(
            f"{PARAMS_FILE}: {explain(detail, key, schema)}" for detail in error.errors()
        )
        raise PipelineError("\n".join(lines)) from None


def one_of(names: Collection[str]) -> pydantic.AfterValidator:
    """Accepts just the `names`, as typing.Literal does those that are known to a type checker."""

    def check(value: str) -> str:
        if value not in names:
            raise PydanticKnownError("literal_error", {"expected": listed(names)})
        return value

    return pydantic.AfterValidator(check)


def unknown_name(name: str, known: Iterable[Any], parent: str) -> PipelineError:
    """The error for a `name` that is not among the `known` ones below the key `parent`."""
    where = f"{parent}.{name}" if parent else name
    names = [str(item) for item in known]
    return PipelineError(
        f"{PARAMS_FILE}: {where}: not found; {parent or 'the file'} has "
        f"{', '.join(names) or 'no keys'}{nearest(name, names)}"
    )
