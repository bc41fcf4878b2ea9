"""right.png gives back what was written, and is refused when damaged."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.base.errors import PipelineError
from pipeline.report import right


@pytest.mark.parametrize("count", [1, 100, 101, 10_000])
def test_one_pixel_per_image_row_after_row(tmp_path: Path, count: int) -> None:
    path = tmp_path / "new/right.png"
    correct = np.random.default_rng(count).random(count) < 0.7
    right.write(path, correct)
    assert right.read(path, count, "").tolist() == correct.tolist()
    with Image.open(path) as image:
        pixels = np.asarray(image).ravel()
        assert image.width == 100
    assert pixels.tolist() == correct.tolist() + [False] * (-count % 100)
    assert path.stat().st_size > count / 8  # no compression, whose bytes depend on the library


@pytest.mark.parametrize("damage", ["truncated", "grey", "longer", "narrow"])
def test_damaged_file_is_named_with_the_remedy(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "right.png"
    images = {"grey": ("L", (100, 3)), "longer": ("1", (100, 4)), "narrow": ("1", (10, 30))}
    if damage in images:
        Image.new(*images[damage]).save(path)
    else:
        right.write(path, np.ones(250, bool))
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(PipelineError, match=r"right\.png: .*; run `dvc repro evaluate@deep`$"):
        right.read(path, 250, "run `dvc repro evaluate@deep`")
