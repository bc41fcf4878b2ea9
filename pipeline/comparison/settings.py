"""The section `compare` of params.yaml."""

from typing import Annotated

import pydantic

from pipeline.base.params_file import Section


class Compare(Section):
    """The confidence level of the intervals and of the paired tests."""

    confidence: Annotated[float, pydantic.Field(gt=0, lt=1)]
