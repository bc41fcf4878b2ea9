"""Fitting a variant's network: a pure function from settings and arrays to a trained network."""

from collections.abc import Callable, Mapping

import keras
import numpy as np

from pipeline.batches import EpochClock, training_batches
from pipeline.checkpoint import State
from pipeline.errors import PipelineError
from pipeline.networks import build
from pipeline.progress import Progress
from pipeline.resuming import Resuming
from pipeline.settings import PlainVariant, Recipe

Arrays = tuple[np.ndarray, np.ndarray]

OPTIMIZERS: Mapping[str, type[keras.optimizers.Optimizer]] = {
    "adam": keras.optimizers.Adam,
    "sgd": keras.optimizers.SGD,
}

# Batches per call into the graph. One call a batch, as in plain `fit`, costs a small network more
# than its arithmetic; past some 50 nothing is left to gain, and the progress bar would stand still.
STEPS_PER_CALL = 64


def fit(
    name: str,
    variant: PlainVariant,
    recipe: Recipe,
    training: Arrays,
    validation: Arrays,
    inference_batch_size: int,
    saved: State | None,
    save: Callable[[State], object],
) -> tuple[keras.Model, dict[str, list[float]]]:
    """The network trained, and its history: accuracy, loss, val_accuracy and val_loss per epoch.

    `training` and `validation` are images float32 (N, 32, 32, 3) in [0, 1] with one-hot labels
    float32 (N, 10). The result is a function of the arguments up to these alone; `name` is for
    the progress and for errors. `save` gets the whole state after each epoch; from such a state,
    given as `saved`, a training goes on to the same result. Raises PipelineError when the loss is
    no longer a number. Accuracy and loss in training are means over the epoch's batches, as Keras
    gives them.
    """
    network = _fresh_network(variant, recipe)
    network.compile(
        optimizer=OPTIMIZERS[recipe.optimizer](recipe.learning_rate),
        loss=recipe.loss,
        metrics=["accuracy"],
        steps_per_execution=STEPS_PER_CALL,
    )
    clock = EpochClock()
    batches = training_batches(
        *training,
        batch_size=recipe.batch_size,
        amounts=variant.augmentation,
        seed=recipe.seed,
        clock=clock,
    )
    stopping = _early_stopping(recipe)
    resuming = Resuming(saved, save, stopping)
    finished = resuming.finished_epochs
    progress = Progress(name, recipe.epochs, int(batches.cardinality()), finished)
    network.fit(
        batches,
        epochs=recipe.epochs,
        initial_epoch=finished,
        validation_data=validation,
        validation_batch_size=inference_batch_size,
        callbacks=[
            clock,
            keras.callbacks.TerminateOnNaN(),
            progress,
            *([stopping] if stopping else []),
            resuming,
        ],
        shuffle=False,  # the batches come shuffled
        verbose=0,
    )
    history = resuming.history
    if not np.isfinite(history["loss"]).all():
        raise PipelineError(
            f"the loss of {name} became {history['loss'][-1]} in epoch {len(history['loss'])}; "
            f"lower recipes.{variant.recipe}.learning_rate (now {recipe.learning_rate})"
        )
    # A network that was never compiled: Adam's state would triple the file, and nobody reads it.
    trained = _fresh_network(variant, recipe)
    trained.set_weights(network.get_weights())
    return trained, history


def _early_stopping(recipe: Recipe) -> keras.callbacks.EarlyStopping | None:
    if recipe.early_stopping is None:
        return None
    return keras.callbacks.EarlyStopping(
        "val_loss", patience=recipe.early_stopping, restore_best_weights=True
    )


def _fresh_network(variant: PlainVariant, recipe: Recipe) -> keras.Model:
    """The network before training: weights, and dropout's draws, follow from the recipe's seed."""
    keras.utils.set_random_seed(recipe.seed)
    return build(variant)
