"""The settings of fetch."""

from typing import Annotated

import pydantic

from pipeline.base.params_file import Section, one_of
from pipeline.fetch.mirrors import MIRRORS


def _once(names: list[str]) -> list[str]:
    if len(set(names)) < len(names):
        raise ValueError("each mirror once")
    return names


class Fetch(Section):
    """Where to look, in which order, and when to go on to the next."""

    mirrors: Annotated[
        list[Annotated[str, one_of(MIRRORS)]],
        pydantic.Field(min_length=1),
        pydantic.AfterValidator(_once),
    ]
    min_kilobytes_per_second: pydantic.NonNegativeFloat
    patience_seconds: pydantic.PositiveFloat
