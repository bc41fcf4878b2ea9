"""Fitting a variant: a pure function from settings and arrays to a trained model."""

from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipeline.core.checkpoint import State
from pipeline.core.errors import PipelineError
from pipeline.core.progress import Progress
from pipeline.training.callbacks import BackupAndRestore
from pipeline.training.gradient_accumulation import GradientAccumulationModel
from pipeline.training.input_pipeline import (
    Array,
    EpochCounter,
    training_batches,
    validation_batches,
)
from pipeline.training.recipe import BaseRecipe
from pipeline.training.variant import TrainingConfig

Arrays = tuple[Array, Array]

LOSSES: Mapping[str, type[keras.losses.Loss]] = {
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
}
DTYPE_POLICIES = {"float32": "float32", "bfloat16": "mixed_bfloat16"}

# Images per execution of the graph (Keras's steps_per_execution). One call per batch costs a small
# network more than its arithmetic; past some 50 batches of 32 nothing is left to gain, and the
# progress bar would stand still.
IMAGES_PER_EXECUTION = 2048


def fit(
    config: TrainingConfig,
    training: Arrays,
    validation: Arrays | None = None,
    saved: State | None = None,
    save: Callable[[State], object] = lambda state: None,
) -> tuple[keras.Model, dict[str, list[float]]]:
    """The trained model, and its history: accuracy and loss per epoch, and val_accuracy and
    val_loss where there is `validation`.

    `training` and `validation` are images float32 (N, H, W, C) in [0, 1] with one-hot labels
    float32 (N, K). The result is a function of these and `config`. `save` gets the whole state
    after each epoch; from such a state, given as `saved`, a training resumes to the same result.
    Raises PipelineError when the loss is no longer a number. Accuracy and loss in training are
    means over the epoch's images, as in Keras, each image seen by the model of its step.
    """
    images, labels = training
    recipe = config.recipe
    counter = EpochCounter()
    batches = training_batches(
        images,
        labels,
        batch_size=recipe.batch_size,
        augmentation=config.augmentation,
        image_sizes=recipe.image_sizes(images.shape[1]),
        seed=config.network.seed,
        counter=counter,
    )
    size = recipe.validation_batch_size
    held_out = validation_batches(*validation, size) if validation and size else None
    steps = int(batches.cardinality())
    model = _build(config, images, labels)
    model.compile(
        optimizer=recipe.build_optimizer(recipe.epochs * steps),
        loss=LOSSES[recipe.loss](label_smoothing=recipe.label_smoothing),
        metrics=["accuracy"],
        steps_per_execution=max(1, IMAGES_PER_EXECUTION // recipe.batch_size),
    )
    _build_variables(model, labels.shape[1])
    early_stopping = _early_stopping(recipe)
    backup = BackupAndRestore(saved, save, early_stopping)
    initial_epoch = backup.initial_epoch
    model.fit(
        batches,
        epochs=recipe.epochs,
        initial_epoch=initial_epoch,
        validation_data=held_out,
        callbacks=[
            counter,
            keras.callbacks.TerminateOnNaN(),
            Progress(config.name, recipe.epochs, steps, initial_epoch),
            *([early_stopping] if early_stopping else []),
            backup,
        ],
        shuffle=False,  # the batches are shuffled already
        verbose=0,
    )
    history = backup.history
    if not np.isfinite(history["loss"]).all():
        raise PipelineError(
            f"the loss of {config.name} became {history['loss'][-1]} in epoch "
            f"{len(history['loss'])}; lower recipes.{config.network.recipe}.learning_rate (now "
            f"{recipe.learning_rate})"
        )
    # A model that was never compiled: the optimizer's state would triple the file.
    trained = config.network.build(shape=images.shape[1:], classes=labels.shape[1], training=False)
    trained.set_weights(model.get_weights())
    return trained, history


def _build_variables(model: GradientAccumulationModel, classes: int) -> None:
    """Build the variables that Keras would at the first step, for which TensorFlow would trace
    that step twice: 4 s of `sprint`."""
    model.optimizer.build(model.trainable_variables)
    empty = tf.zeros((1, classes))
    for metric in model.metrics:
        if metric.name != "loss":
            metric.update_state(empty, empty)
            metric.reset_state()


def _early_stopping(recipe: BaseRecipe) -> keras.callbacks.EarlyStopping | None:
    if recipe.early_stopping is None:
        return None
    return keras.callbacks.EarlyStopping(
        "val_loss", patience=recipe.early_stopping, restore_best_weights=True
    )


def _build(config: TrainingConfig, images: Array, labels: Array) -> GradientAccumulationModel:
    """The model before training: initial weights and dropout follow from the seed."""
    network, recipe = config.network, config.recipe
    keras.utils.set_random_seed(network.seed)
    keras.config.set_dtype_policy(DTYPE_POLICIES[config.numerics.precision])
    built = network.build(shape=images.shape[1:], classes=labels.shape[1], training=True)
    keras.config.set_dtype_policy("float32")
    network.init_from_data(built, images)
    model = GradientAccumulationModel(built.inputs, built.outputs, name=built.name)
    model.batch_size, model.micro_batch_size = recipe.batch_size, recipe.micro_batch_size
    model.parallel_micro_batches = recipe.parallel_micro_batches
    if recipe.class_weight == "balanced":
        model.class_weight = balanced_class_weight(labels)
    return model


def balanced_class_weight(labels: Array) -> Any:
    """Weights float32 (K,) inverse to the class frequencies of one-hot `labels` float32 (N, K),
    1 on average over the images, as scikit-learn's "balanced"."""
    counts = tf.reduce_sum(labels, axis=0)
    return tf.cast(len(labels), tf.float32) / (labels.shape[1] * counts)
