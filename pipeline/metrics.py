"""The figures by which a variant is judged: what evaluate writes to metrics.json, compare reads."""

from typing import Annotated

import pydantic

from pipeline.config import Section

Share = Annotated[float, pydantic.Field(ge=0, le=1)]


class Metrics(Section):
    """Measured on the whole test set; every figure but the parameter count is a mean over it."""

    accuracy: Share
    loss: pydantic.NonNegativeFloat
    top2_accuracy: Share
    macro_f1: Share
    calibration_error: Share
    one_view_accuracy: Share  # of the network alone; the other figures are over the views averaged
    parameters: pydantic.NonNegativeInt
