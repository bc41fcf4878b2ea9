"""The section `compare` of params.yaml."""

from typing import Annotated

import pydantic

from pipeline.core.params import ConfigModel


class Compare(ConfigModel):
    """The confidence level of the intervals and of the paired tests."""

    confidence_level: Annotated[float, pydantic.Field(gt=0, lt=1)]
