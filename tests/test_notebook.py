"""The code for notebooks in docs/experiments.md: it trains as the stage does."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import PROJECT

# Then the same training by the stage.
STAGE = """
import numpy as np
from pipeline.training import train
train.main(["baseline"])
import keras
saved = keras.saving.load_model("models/baseline.keras")
same = zip(model.get_weights(), saved.get_weights(), strict=True)
print(list(history), all(np.array_equal(one, other) for one, other in same))
"""


@pytest.mark.usefixtures("training_project")
def test_the_training_of_the_documentation_is_that_of_the_stage(tmp_path: Path) -> None:
    text = (PROJECT / "docs/experiments.md").read_text(encoding="utf-8")
    (code,) = re.findall("```python\n(.*?)```", text, re.S)
    epochs = code.replace('["epochs"] = 1', '["epochs"] = 4')  # those of the fixture
    done = subprocess.run(
        [sys.executable, "-c", epochs + STAGE],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    last = done.stdout.splitlines()[-1]
    assert last == "['accuracy', 'loss', 'val_accuracy', 'val_loss'] True"
