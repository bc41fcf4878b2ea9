"""Fitting a variant's network: a pure function from settings and arrays to a trained model."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.base.errors import PipelineError
from pipeline.train.batches import Array, EpochClock, training_batches, validation_batches
from pipeline.train.callbacks import Progress, Resuming
from pipeline.train.checkpoint import State
from pipeline.train.micro_batches import MicroBatched
from pipeline.train.optimizers.adam import FusedAdam
from pipeline.train.optimizers.muon import Muon
from pipeline.train.recipe import Recipe
from pipeline.train.variant import Variant

Arrays = tuple[Array, Array]

# Each by its recipe and the number of steps it will take.
OPTIMIZERS: Mapping[str, Callable[[Any, int], keras.optimizers.Optimizer]] = {
    "adam": lambda recipe, steps: FusedAdam(recipe.learning_rate),
    "sgd": lambda recipe, steps: keras.optimizers.SGD(recipe.learning_rate),
    "muon": Muon,
}
LOSSES: Mapping[str, type[keras.losses.Loss]] = {
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
}
POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}

# Images per call into the graph. One call a batch, as in plain `fit`, costs a small network more
# than its arithmetic; past some 50 batches of 32 nothing is left to gain, and the progress bar
# would stand still.
IMAGES_PER_CALL = 2048


def fit(
    name: str,
    variant: Variant,
    recipe: Recipe,
    precision: str,
    training: Arrays,
    validation: Arrays | None,
    saved: State | None,
    save: Callable[[State], object],
) -> tuple[keras.Model, dict[str, list[float]]]:
    """The model trained, and its history: accuracy and loss per epoch, and val_accuracy and
    val_loss where there is `validation`.

    `precision` is a key of POLICIES. `training` and `validation` are images float32 (N, H, W, C) in
    [0, 1] with one-hot labels float32 (N, K). The result is a function of the arguments up to these
    alone; `name` is for the progress and for errors. `save` gets the whole state after each epoch;
    from such a state, given as `saved`, a training goes on to the same result. Raises PipelineError
    when the loss is no longer a number. Accuracy and loss in training are means over the epoch's
    images, as Keras gives them, each image seen by the model of its step.
    """
    images, labels = training
    clock = EpochClock()
    batches = training_batches(
        images,
        labels,
        batch_size=recipe.batch_size,
        amounts=variant.augmentation,
        sides=recipe.sides(images.shape[1]),
        seed=variant.seed,
        clock=clock,
    )
    size = recipe.validation_batch_size
    held_out = validation_batches(*validation, size) if validation and size else None
    steps = int(batches.cardinality())
    model = _to_train(variant, recipe, precision, images, labels)
    model.compile(
        optimizer=OPTIMIZERS[recipe.optimizer](recipe, recipe.epochs * steps),
        loss=LOSSES[recipe.loss](label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
        steps_per_execution=max(1, IMAGES_PER_CALL // recipe.batch_size),
    )
    _make_variables(model, labels.shape[1])
    stopping = _early_stopping(recipe)
    resuming = Resuming(saved, save, stopping)
    finished = resuming.finished_epochs
    model.fit(
        batches,
        epochs=recipe.epochs,
        initial_epoch=finished,
        validation_data=held_out,
        callbacks=[
            clock,
            keras.callbacks.TerminateOnNaN(),
            Progress(name, recipe.epochs, steps, finished),
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
    # A model that was never compiled: Adam's state would triple the file, and nobody reads it.
    trained = variant.build(shape=images.shape[1:], classes=labels.shape[1], training=False)
    trained.set_weights(model.get_weights())
    return trained, history


def _make_variables(model: MicroBatched, classes: int) -> None:
    """Those that Keras makes at the first step, for which TensorFlow would draw that step's graph
    twice: 4 s of `sprint`."""
    model.optimizer.build(model.trainable_variables)
    nothing = tf.zeros((1, classes))
    for metric in model.metrics:
        if metric.name != "loss":
            metric.update_state(nothing, nothing)
            metric.reset_state()


def _early_stopping(recipe: Recipe) -> keras.callbacks.EarlyStopping | None:
    if recipe.early_stopping is None:
        return None
    return keras.callbacks.EarlyStopping(
        "val_loss", patience=recipe.early_stopping, restore_best_weights=True
    )


def _to_train(
    variant: Variant, recipe: Recipe, precision: str, images: Array, labels: Array
) -> MicroBatched:
    """The model before training: weights, and dropout's draws, follow from the variant's seed."""
    keras.utils.set_random_seed(variant.seed)
    keras.config.set_dtype_policy(POLICIES[precision])
    built = variant.build(shape=images.shape[1:], classes=labels.shape[1], training=True)
    keras.config.set_dtype_policy("float32")
    variant.start(built, images)
    model = MicroBatched(built.inputs, built.outputs, name=built.name)
    model.batch_size, model.micro_batch_size = recipe.batch_size, recipe.micro_batch_size
    model.at_once = recipe.micro_batches_at_once
    if recipe.class_weights == "balanced":
        model.class_weights = balanced(labels)
    return model


def balanced(labels: Array) -> Any:
    """What an image of each class counts, float32 (K,), for one-hot `labels` float32 (N, K).

    Inversely to how many images the class has, and 1 on average over the images.
    """
    counts = tf.reduce_sum(labels, axis=0)
    return tf.cast(len(labels), tf.float32) / (labels.shape[1] * counts)
