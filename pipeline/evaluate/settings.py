"""The settings of evaluate and predict."""

from typing import Annotated

import pydantic

from pipeline.base.params_file import Section


class Evaluate(Section):
    """How the test set is read and how much of the result is shown."""

    calibration_bins: Annotated[int, pydantic.Field(ge=1, le=1000)]
    # More than 100 would make a picture of over 4 million pixels.
    mistakes: Annotated[int, pydantic.Field(ge=1, le=100)]
    examples: Annotated[int, pydantic.Field(ge=1, le=100)]


class Predict(Section):
    """What is said of a photo beside its probabilities."""

    # The probability of the first class below which none is called likely.
    unlikely: Annotated[float, pydantic.Field(ge=0, le=1)]
