"""The settings of compare."""

from typing import Annotated

import pydantic

from pipeline.base.params_file import Section


class Compare(Section):
    """How sure the interval on the test accuracy is, and what is called a sure difference."""

    confidence: Annotated[float, pydantic.Field(gt=0, lt=1)]
