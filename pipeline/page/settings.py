"""Settings of the stage page."""

from typing import Annotated

import pydantic

from pipeline.base.params_file import Section


class Page(Section):
    """The variant whose network the page contains, and how many images it shows."""

    variant: str
    mistakes: Annotated[int, pydantic.Field(ge=1, le=100)]
    # Per class; fewer where they would exceed sprite_sheet.PNG_PIXELS.
    samples: Annotated[int, pydantic.Field(ge=1, le=50)]
    jpeg_quality: Annotated[int, pydantic.Field(ge=1, le=95)]
