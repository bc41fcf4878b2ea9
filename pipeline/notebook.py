"""Notebook API: the data set as arrays, and training a variant on one's own, from any folder."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipeline import runtime
from pipeline.core.params import PARAMS_FILE, lookup, read_params
from pipeline.core.splits import NAMES, Split, read_class_names, read_split, validate_arrays
from pipeline.training.variant import read_training_config

fit = runtime.Lazy("pipeline.training.fit")
PROJECT = Path(__file__).parent.parent


def load_arrays(root: str | Path = PROJECT) -> tuple[Split, Split, Split, tuple[str, ...]]:
    """The training, validation and test split (images, labels) at `root`, and the class names."""
    train, validation, test = (read_split(name, root=Path(root)) for name in NAMES)
    return train, validation, test, read_class_names(Path(root))


def train(
    images: Any,
    labels: Any,
    variant: str = "sprint",
    root: str | Path = PROJECT,
    validation: tuple[Any, Any] | None = None,
    **changes: Any,
) -> tuple[Any, pd.DataFrame]:
    """The trained Keras model of `variant`, and its history with a row per epoch.

    `images` (N, S, S, 3) are uint8 or floats in [0, 1], `labels` integers or one-hot, `validation`
    two such arrays. `changes` replace values of recipe and variant by key; `epochs` alone turns
    progressive resizing off. Raises PipelineError for wrong arrays and unknown keys.
    """
    training = _to_split(images, labels, "")
    held_out = _to_split(*validation, "validation ", training) if validation else None
    params = read_params(Path(root) / PARAMS_FILE)
    block = lookup(params, f"variants.{variant}")
    recipe = lookup(params, f"recipes.{changes.get('recipe', block['recipe'])}")
    recipe["train_on"] = "train" if validation else "train_and_validation"
    recipe["validation_batch_size"] = 100 if validation else None
    recipe |= {"progressive_resizing": {}} if "epochs" in changes else {}
    for key, value in changes.items():
        (block if key in block else recipe)[key] = value
    config = read_training_config(params, variant)
    runtime.start(config.numerics.cpu_isa, config.numerics.device)
    model, history = fit.fit(config, training, held_out)
    return model, pd.DataFrame(history, pd.RangeIndex(1, len(history["loss"]) + 1, name="epoch"))


def _to_split(images: Any, labels: Any, name: str, like: Split | None = None) -> Split:
    images, labels = np.asarray(images), np.asarray(labels)
    if images.dtype == np.uint8:
        images = images / np.float32(255)
    if labels.dtype.kind in "iu" and labels.shape[:1] == (labels.size,):  # (N,) or (N, 1)
        classes = like.labels.shape[1] if like else labels.max(initial=0) + 1
        labels = labels.reshape(-1, 1) == np.arange(classes)
    split = Split(np.asarray(images, np.float32), np.asarray(labels, np.float32))
    return validate_arrays(split, name, "pass other arrays", like)
