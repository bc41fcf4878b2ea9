"""metrics.json: further metrics are read, impossible values refused."""

import json
from pathlib import Path
from typing import Any

import pytest

from pipeline.base.errors import PipelineError
from pipeline.report import metrics

KNOWN = {"accuracy": 0.5, "loss": 1.25, "parameters": 7}


def write(folder: Path, **changes: Any) -> None:
    path = folder / "reports/variants/deep/metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(KNOWN | changes), encoding="utf-8")


@pytest.mark.parametrize("accuracy", [0, 1])
def test_further_metrics_and_extreme_values_are_read(tmp_path: Path, accuracy: int) -> None:
    changes = {"accuracy": accuracy, "loss": 0, "parameters": 0, "new": 3}
    write(tmp_path, **changes)
    assert metrics.read("deep", tmp_path).model_dump() == changes


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("accuracy", 1.01), ("accuracy", float("nan")), ("accuracy", "0.5"), ("loss", -0.1)),
        *(("parameters", 0.5), ("new", float("nan")), ("new", "1")),
    ],
)
def test_impossible_values_are_named(tmp_path: Path, key: str, value: Any) -> None:
    write(tmp_path, **{key: value})
    with pytest.raises(PipelineError, match=rf"metrics\.json: .*{key}.*`dvc repro evaluate@deep`$"):
        metrics.read("deep", tmp_path)
