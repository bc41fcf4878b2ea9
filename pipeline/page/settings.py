"""The settings of page."""

from typing import Annotated

import pydantic

from pipeline.base.params_file import Section


class Page(Section):
    """Which network the page carries, and how many pictures."""

    variant: str
    mistakes: Annotated[int, pydantic.Field(ge=1, le=100)]
    # Of each class; fewer where so many would take more than pictures.LOSSLESS_PIXELS.
    samples: Annotated[int, pydantic.Field(ge=1, le=50)]
    jpeg_quality: Annotated[int, pydantic.Field(ge=1, le=95)]
