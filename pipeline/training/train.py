"""Stage train@variant: writes the model and the history of one variant.

A training that was killed resumes after its last finished epoch when it is started again.
"""

import time

import numpy as np

from pipeline import runtime
from pipeline.core import checkpoint, files, paths, splits
from pipeline.core.errors import PipelineError
from pipeline.core.params import read_params
from pipeline.core.splits import Split
from pipeline.runtime import Lazy
from pipeline.training.history import history_csv
from pipeline.training.recipe import BaseRecipe
from pipeline.training.variant import TrainingConfig, read_training_config

# They import TensorFlow, which runtime.start must set up first.
fit = Lazy("pipeline.training.fit")
tf = Lazy("tensorflow")
keras_file = Lazy("pipeline.training.keras_file")


def main(arguments: list[str]) -> float:
    """Train the variant named in `arguments`; write its model and its history.

    Returns the seconds that killed runs of this training took before this one.
    """
    if len(arguments) != 1:
        raise PipelineError("usage: python -m pipeline train VARIANT")
    started = time.monotonic()
    (name,) = arguments
    config = read_training_config(read_params(), name)
    data = config.network.data
    training, validation = read_training_data(config.recipe, data)
    runtime.start(config.numerics.cpu_isa, config.numerics.device)

    checkpoint_path = paths.checkpoint(name)
    with checkpoint.lock(checkpoint_path):
        for output in (paths.model(name), paths.history(name)):
            files.check_writable(output)  # before the training, not half an hour later
        fingerprint = _fingerprint(config, training, validation)
        # TensorFlow computes on copies; with NumPy's kept, 50,000 images would take 0.6 GiB twice.
        training = Split(*map(tf.constant, training))
        saved = checkpoint.load(checkpoint_path, fingerprint)
        earlier = float(saved["seconds"]) if saved is not None else 0.0

        def save(state: checkpoint.State) -> None:
            seconds = np.array(earlier + time.monotonic() - started)
            checkpoint.save(checkpoint_path, fingerprint, {**state, "seconds": seconds})

        model, history = fit.fit(config, training, validation, saved, save)
        if data != "processed":
            model = keras_file.add_backbone(model, splits.read_backbone(data))
        keras_file.save_model(model, paths.model(name))
        files.write_text(paths.history(name), history_csv(history))
        checkpoint_path.unlink(missing_ok=True)
    return earlier


def read_training_data(recipe: BaseRecipe, data: str) -> tuple[Split, Split | None]:
    """The images to train on, and the validation images if the recipe holds them out; or their
    features by the backbone `data`."""
    training = splits.read_split("train", data=data)
    validation = splits.read_split("validation", like=training, data=data)
    if recipe.train_on == "train":
        return training, validation
    images, labels = map(np.concatenate, zip(training, validation, strict=True))
    return Split(images, labels), None


def _fingerprint(config: TrainingConfig, training: Split, validation: Split | None) -> str:
    settings = {
        "network": config.network.network,
        "optimizer": config.network.optimizer,
        "augmentation.kind": config.augmentation.kind,
    }
    return checkpoint.fingerprint(
        config.sections, (*training, *(validation or ())), checkpoint.source_files(settings)
    )
