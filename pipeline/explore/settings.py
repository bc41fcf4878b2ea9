"""The settings of explore."""

from typing import Annotated

import pydantic

from pipeline.base.params_file import Section, Seed


class Explore(Section):
    """`seed` decides which training images the sample figures show."""

    seed: Seed
    images_per_class: Annotated[int, pydantic.Field(ge=1, le=20)]
