"""right.png, a pixel for each test image, and metrics.json."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.report import metrics, right


@pytest.mark.parametrize("count", [1, 100, 101, 10_000])
def test_one_pixel_per_image_in_rows_of_100(tmp_path: Path, count: int) -> None:
    path = tmp_path / "new/right.png"
    correct = np.random.default_rng(count).random(count) < 0.7
    right.write(path, correct)
    assert right.read(path, count, "").tolist() == correct.tolist()
    with Image.open(path) as image:
        pixels = np.asarray(image).ravel()
        assert image.width == 100
    assert pixels.tolist() == correct.tolist() + [False] * (-count % 100)
    assert path.stat().st_size > count / 8  # uncompressed: those bytes depend on the library


@pytest.mark.parametrize(
    ("mode", "size"), [("L", (100, 3)), ("1", (100, 4)), ("1", (10, 30)), (None, (0, 0))]
)
def test_damaged_file(tmp_path: Path, mode: str | None, size: tuple[int, int]) -> None:
    path = tmp_path / "right.png"
    right.write(path, np.ones(250, bool))
    path.write_bytes(path.read_bytes()[:60])
    if mode:
        Image.new(mode, size).save(path)
    with pytest.raises(PipelineError, match=r"right\.png: .*; run `dvc repro evaluate@deep`$"):
        right.read(path, 250, "run `dvc repro evaluate@deep`")


def write_metrics(folder: Path, **changes: Any) -> None:
    path = folder / "reports/variants/deep/metrics.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"accuracy": 0.5, "loss": 1.25, "parameters": 7} | changes))


@pytest.mark.parametrize("accuracy", [0, 1])
def test_further_metrics(tmp_path: Path, accuracy: int) -> None:
    changes = {"accuracy": accuracy, "loss": 0, "parameters": 0, "new": 3}
    write_metrics(tmp_path, **changes)
    assert metrics.read("deep", tmp_path).model_dump() == changes


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("accuracy", 1.01), ("accuracy", float("nan")), ("accuracy", "0.5"), ("loss", -0.1)),
        *(("parameters", 0.5), ("new", float("nan")), ("new", "1")),
    ],
)
def test_impossible_metrics(tmp_path: Path, key: str, value: Any) -> None:
    write_metrics(tmp_path, **{key: value})
    with pytest.raises(PipelineError, match=rf"metrics\.json: .*{key}.*`dvc repro evaluate@deep`$"):
        metrics.read("deep", tmp_path)
