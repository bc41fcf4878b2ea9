"""A variant trained on the training images alone, so that those of validation can choose a setting.

The test set never does.
"""

import sys
from collections.abc import Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline import runtime
from pipeline.data import splits
from pipeline.train import arithmetic, recipe, variant


class HeldOut(NamedTuple):
    """The Keras model of a training, the images that it has not seen, and their classes (N,)."""

    model: Any
    images: Any
    labels: Any


def train(params: Mapping[str, Any], name: str) -> HeldOut:
    """Train variant `name` of `params` by its recipe, which may say to train on all images."""
    what = variant.read(params, name)
    recipes = deepcopy(params["recipes"])
    recipes[what.recipe] |= {"train_on": "train", "validation_batch_size": 1000}
    how = recipe.read({"recipes": recipes}, what.recipe)
    numbers = arithmetic.read(params, what.arithmetic)
    runtime.start(numbers.cpu_isa)
    from pipeline.train import fit

    training, (images, one_hot) = splits.read("train"), splits.read("validation")
    model, _ = fit.fit(
        name, what, how, numbers.precision, training, (images, one_hot), None, lambda _: None
    )
    return HeldOut(model, images, one_hot.argmax(axis=1))
