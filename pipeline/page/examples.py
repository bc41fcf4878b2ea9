"""The test images that evaluate names as worth a look: the most confident answers of each kind."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from pipeline.base.errors import PipelineError
from pipeline.report import places

COLUMNS = ("index", "actual", "predicted", "confidence")


def read(variant: str, classes: Sequence[str], images: int) -> pd.DataFrame:
    """A row for each named one of so many test `images`, the `classes` as indices.

    Raises PipelineError when the file is missing or wrong.
    """
    try:
        # A class may be called "nan", or "1".
        text = {"actual": str, "predicted": str}
        table = pd.read_csv(places.examples(variant), dtype=text, keep_default_na=False)
        found = f"columns {', '.join(table.columns)}"
        if tuple(table.columns) == COLUMNS:
            numbers = {name: number for number, name in enumerate(classes)}
            for column in ("actual", "predicted"):
                table[column] = table[column].map(numbers).astype(np.int64)
            table = table.astype({"index": np.int64, "confidence": np.float64})
            if (
                table["index"].between(0, images - 1).all()
                and table["confidence"].between(0, 1).all()
            ):
                return table
            found = "an index or a confidence that cannot be"
    except OSError as error:
        found = str(error.strerror)
    except ValueError as error:
        found = " ".join(str(error).split())
    raise PipelineError(
        f"{places.examples(variant)}: expected rows of {', '.join(COLUMNS)}, found {found}; "
        f"run `dvc repro evaluate@{variant}`"
    )
