"""Notebook API: from another folder it trains as the stage does, and says which arrays it takes."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest
import synthetic
from conftest import PROJECT

from pipeline import notebook, runtime
from pipeline.core import files, paths
from pipeline.core.errors import PipelineError

IMAGES, LABELS = synthetic.make_images(60, seed=1)

# The same training by the stage, and by the API from another folder.
SCRIPT = """
import os, sys
from pathlib import Path
import numpy as np
from pipeline.notebook import load_arrays, train
root = Path(sys.argv[1])
training, validation, test, class_names = load_arrays(root)
model, history = train(*training, "fast", root, widths=[4, 4],
                       parallel_micro_batches=1, epochs=2)
print(history.index.tolist(), list(history), model.predict(test.images, verbose=0).shape)
model, history = train(*training, variant="baseline", root=str(root), validation=validation)
os.chdir(root)
from pipeline.training import train
train.main(["baseline"])
import keras
saved = keras.saving.load_model("models/baseline.keras")
same = zip(model.get_weights(), saved.get_weights(), strict=True)
print(class_names, all(np.array_equal(one, other) for one, other in same))
rows = history.reset_index().to_csv(index=False, float_format="%.6f")
print(rows == Path("reports/variants/baseline/history.csv").read_text())
"""


@pytest.mark.usefixtures("training_project")
def test_training_from_another_folder_is_that_of_the_stage(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    synthetic.write_splits(tmp_path / "data/processed", test=30)
    files.write_text(paths.CLASS_NAMES, "cat\ndog")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(tmp_path)],
        cwd=tmp_path_factory.mktemp("elsewhere"),
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    lines = [line for line in done.stdout.splitlines() if not line.startswith(("fast", "baseline"))]
    assert lines == ["[1, 2] ['accuracy', 'loss'] (30, 10)", "('cat', 'dog') True", "True"]


def fitted(images: Any, labels: Any, **settings: Any) -> tuple[Any, ...]:
    """The config, the training and the validation split that the API trains with."""
    fit = MagicMock(return_value=(None, {"loss": [1.0]}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(notebook, "fit", MagicMock(fit=fit))
        patch.setattr(runtime, "start", lambda *_: None)
        notebook.train(images, labels, **settings)
    return fit.call_args.args


@pytest.mark.parametrize("images", [IMAGES, IMAGES / 255])
@pytest.mark.parametrize("labels", [LABELS, LABELS[:, None].tolist(), np.eye(10)[LABELS]])
def test_arrays_are_converted(images: Any, labels: Any) -> None:
    _, *splits = fitted(images, labels, validation=(images[:9], labels[:9]))
    for split, count in zip(splits, (60, 9), strict=True):
        assert split.images.dtype == split.labels.dtype == np.float32
        np.testing.assert_allclose(split.images, IMAGES[:count] / 255, atol=1e-7)
        np.testing.assert_array_equal(split.labels, np.eye(10)[LABELS[:count]])


def test_changes_replace_values_of_recipe_and_variant() -> None:
    config, _, validation = fitted(IMAGES, LABELS)
    assert (config.name, config.recipe.image_sizes(32)) == ("sprint", (20, 20, 32))
    assert validation is None
    config, *_ = fitted(IMAGES, LABELS, epochs=1, seed=7)
    assert (config.network.seed, config.recipe.image_sizes(32)) == (7, (32,))
    changes = {"early_stopping": 2, "recipe": "fast", "validation": (IMAGES, LABELS)}
    config, *_ = fitted(IMAGES, LABELS, **changes)
    assert (config.recipe.early_stopping, config.recipe.epochs) == (2, 8)


@pytest.mark.parametrize(
    ("images", "labels", "settings", "message"),
    [
        (IMAGES, LABELS, {"epoch": 1}, r"recipes\.sprint\.epoch: "),
        (IMAGES, LABELS, {"epochs": 1.5}, r"recipes\.sprint\.epochs: "),
        (IMAGES, LABELS, {"variant": "spirnt"}, r"variants\.spirnt: .*'sprint'"),
        (IMAGES.astype(float), LABELS, {}, "images: .*0 to 255"),
        (IMAGES[0], LABELS, {}, "images: expected shape"),
        (IMAGES, LABELS[:50], {}, "labels: expected shape"),
        (IMAGES, np.ones((60, 10)), {}, "labels: .*one-hot"),
        (IMAGES, LABELS, {"validation": (IMAGES[:, :16, :16], LABELS)}, "validation images: "),
        (IMAGES, LABELS % 5, {"validation": (IMAGES, LABELS)}, "validation labels: .*one-hot"),
    ],
)
def test_wrong_arrays_and_keys_are_named(
    images: Any, labels: Any, settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(PipelineError, match=message):
        notebook.train(images, labels, **settings)
