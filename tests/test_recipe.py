"""Recipes and variants: what is computed from them, and which settings do not fit together."""

from typing import Any

import pytest
from conftest import training_config

from pipeline.core.errors import PipelineError


@pytest.mark.parametrize(
    ("epochs", "resizing", "full", "sizes"),
    [
        (5, {"px24": 1, "px16": 2}, 32, (16, 16, 24, 32, 32)),
        (5, {"px24": 1, "px16": 2}, 28, (16, 16, 24, 28, 28)),
        (4, {"px24": 1, "px8": 1, "px16": 1}, 32, (8, 16, 24, 32)),  # by number, not by letter
        (3, {"px24": 1, "px16": 2}, 32, (16, 16, 24)),
        (2, {}, 32, (32, 32)),
    ],
)
def test_image_sizes_grow_and_end_with_the_training(
    epochs: int, resizing: dict[str, int], full: int, sizes: tuple[int, ...]
) -> None:
    changes = {"epochs": epochs, "progressive_resizing": resizing, "micro_batch_size": 2000}
    recipe = training_config("fast", changes).recipe  # a micro-batch may be the whole batch
    assert recipe.image_sizes(full) == sizes


@pytest.mark.parametrize(
    ("recipe", "variant", "message"),
    [
        ({"progressive_resizing": {"px24": 9}}, {}, r"recipes\.fast: .*progressive_resizing"),
        ({"progressive_resizing": {"24": 1}}, {}, r"recipes\.fast\.progressive_resizing: "),
        ({"micro_batch_size": 2001}, {}, r"recipes\.fast: .*micro_batch_size"),
        ({"train_on": "train"}, {}, r"recipes\.fast: .*validation_batch_size"),
        ({"early_stopping": 3}, {}, r"recipes\.fast: .*early_stopping"),
        ({"validation_batch_size": 100}, {}, r"recipes\.fast: .*validation_batch_size"),
        ({}, {"optimizer": "adam"}, r"recipes\.fast\.momentum: "),
        ({}, {"optimizer": "muons"}, r"variants\.fast\.optimizer: .*'muon'"),
        ({}, {"network": "cn"}, r"variants\.fast\.network: .*'cnn'"),
        ({}, {"network": "cnn"}, r"variants\.fast\.dense: "),
        ({}, {"widths": []}, r"variants\.fast\.widths: "),
        ({}, {"augmentation": {}}, r"variants\.fast\.augmentation\.kind: not found"),
        (
            {},
            {"augmentation": {"kind": "none", "zoom": 0.1}},
            r"variants\.fast\.augmentation\.zoom: ",
        ),
    ],
)
def test_inconsistent_settings_are_refused(
    recipe: dict[str, Any], variant: dict[str, Any], message: str
) -> None:
    with pytest.raises(PipelineError, match=message):
        training_config("fast", recipe, **variant)
