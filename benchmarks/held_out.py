"""A variant trained on the training images alone, so that those of validation can choose a setting.

The test set never does.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline import runtime
from pipeline.core.splits import read_split
from pipeline.training.variant import read_training_config

HELD_OUT = {"train_on": "train", "validation_batch_size": 1000}


class HeldOut(NamedTuple):
    """The Keras model of a training, the images that it has not seen, and their classes (N,)."""

    model: Any
    images: Any
    labels: Any


def change_settings(params: dict[str, Any], name: str, changes: Mapping[str, Any]) -> None:
    """Set `changes` where the variant `name`, its recipe or its numerics has them."""
    variant = params["variants"][name]
    numerics = params["numerics"][variant["numerics"]]
    sections = (params["recipes"][variant["recipe"]], numerics, variant)
    for key, value in changes.items():
        next(section for section in sections if key in section)[key] = value


def train(params: dict[str, Any], name: str) -> HeldOut:
    """Train variant `name` of `params` by its recipe, which may say to train on all images."""
    recipe = params["variants"][name]["recipe"]
    recipes = params["recipes"] | {recipe: params["recipes"][recipe] | HELD_OUT}
    config = read_training_config(params | {"recipes": recipes}, name)
    runtime.start(config.numerics.cpu_isa, config.numerics.device)
    from pipeline.training import fit

    validation = read_split("validation")
    model, _ = fit.fit(config, read_split("train"), validation)
    return HeldOut(model, validation.images, validation.labels.argmax(axis=1))
