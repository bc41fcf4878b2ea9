"""The figures by which a variant is judged, as evaluate writes them to metrics.json."""

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated

import pydantic

from pipeline.base.errors import PipelineError
from pipeline.base.params_file import Section
from pipeline.report import places

ROUNDING = 2e-6  # metrics.json has six decimals


class Metrics(Section, extra="allow"):
    """Measured on the whole test set; every figure but the parameter count is a mean over it.

    Beside these three there is one for each name of METRICS in pipeline/evaluate/metrics.py.
    """

    __pydantic_extra__: dict[str, float]
    accuracy: Annotated[float, pydantic.Field(ge=0, le=1)]
    loss: pydantic.NonNegativeFloat
    parameters: pydantic.NonNegativeInt


def says_more(figures: Iterable[float], than: Iterable[float]) -> bool:
    """Whether a metric differs from another in any result, beyond the rounding of both.

    Where every class has as many test images, balanced accuracy is the accuracy.
    """
    return any(abs(one - other) > ROUNDING for one, other in zip(figures, than, strict=True))


def read(variant: str, root: Path = Path()) -> Metrics:
    """The metrics of `variant` in the project at `root`.

    Raises PipelineError when the file is missing or malformed.
    """
    path = places.metrics(variant)
    try:
        return Metrics.model_validate_json((root / path).read_bytes())
    except OSError as error:
        found = error.strerror
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        found = f"{'.'.join(map(str, first['loc']))}: {first['msg']}".removeprefix(": ")
    raise PipelineError(
        f"{path}: expected numbers in JSON, {', '.join(Metrics.model_fields)} among them, found "
        f"{found}; run `dvc repro evaluate@{variant}`"
    )
