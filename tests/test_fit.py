"""Fitting: every setting of a variant and its recipe has its effect, or does not fit the others."""

import dataclasses
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import lazy
import numpy as np
import pytest
import synthetic
from conftest import small_params, training_config

from pipeline.core.errors import PipelineError
from pipeline.networks.airbench import whitening_weights
from pipeline.training.variant import TrainingConfig, read_training_config

pytestmark = pytest.mark.usefixtures("tensorflow_started")
IMAGES, LABELS = synthetic.arrays(50, seed=1)
VALIDATION = synthetic.arrays(20, seed=2)


KerasFit = Callable[..., Any]


class Called(Exception):
    """The arguments of Keras's `Model.fit`, in place of a training."""


@pytest.fixture
def keras_fit(monkeypatch: pytest.MonkeyPatch) -> KerasFit:
    """The arguments with which a config has Keras's `Model.fit` called."""

    def record(model: Any, batches: Any, **arguments: Any) -> None:
        raise Called(SimpleNamespace(model=model, batches=batches, **arguments))

    def call(config: TrainingConfig, validation: Any = None, labels: Any = LABELS) -> Any:
        with pytest.raises(Called) as caught:
            lazy.fit.fit(config, (IMAGES, labels), validation)
        return caught.value.args[0]

    model = lazy.gradient_accumulation.GradientAccumulationModel
    monkeypatch.setattr(model, "fit", record)
    return call


@pytest.mark.parametrize(
    ("batch_size", "executed", "smoothing"), [(32, 64, 0.0), (20, 102, 0.3), (5000, 1, 0.3)]
)
def test_steps_and_loss_are_those_of_the_recipe(
    keras_fit: KerasFit, batch_size: int, executed: int, smoothing: float
) -> None:
    recipe = {"batch_size": batch_size, "micro_batch_size": 7, "parallel_micro_batches": 3}
    model = keras_fit(training_config("baseline", recipe | {"label_smoothing": smoothing})).model
    assert (model.batch_size, model.micro_batch_size) == (batch_size, 7)
    # Some 2,000 images per execution of the graph.
    assert (model.parallel_micro_batches, model.steps_per_execution) == (3, executed)
    predicted = np.asarray(model([IMAGES]))
    targets = LABELS * (1 - smoothing) + smoothing / 10
    expected = -(targets * np.log(predicted)).sum(axis=1).mean()
    loss = float(model.compute_loss(y=LABELS, y_pred=predicted))
    assert loss == pytest.approx(expected, rel=1e-5)


def test_batches_and_decay_are_those_of_the_settings(keras_fit: KerasFit) -> None:
    sizes = {"progressive_resizing": {"px24": 1, "px16": 1}, "epochs": 3}
    config = training_config(
        "sprint",
        {"batch_size": 20, "micro_batch_size": 5, **sizes},
        widths=[4],
        augmentation={"kind": "airbench", "alternating_flip": 0.5, "translation": 0.1},
        seed=5,
    )
    found = keras_fit(config)
    assert (found.epochs, found.initial_epoch) == (3, 0)
    counter = lazy.input_pipeline.EpochCounter()
    expected = lazy.input_pipeline.training_batches(
        IMAGES,
        LABELS,
        batch_size=20,
        augmentation=config.augmentation,
        image_sizes=(16, 24, 32),
        seed=5,
        counter=counter,
    )
    for epoch in range(3):
        counter.on_epoch_begin(epoch)
        found.callbacks[0].on_epoch_begin(epoch)
        for one, other in zip(found.batches, expected, strict=True):
            for array, same in zip(one, other, strict=True):
                np.testing.assert_array_equal(array, same)
    # Three batches an epoch, the last of ten images.
    for step, remaining in ((0, 1), (3, 2 / 3), (8, 1 / 9), (9, 0)):
        found.model.optimizer.iterations.assign(step)
        learning_rate = float(found.model.optimizer.learning_rate)
        assert learning_rate == pytest.approx(remaining, abs=1e-6)


def test_validation_images_are_not_augmented(keras_fit: KerasFit) -> None:
    config = training_config("improved", {"validation_batch_size": 15})
    batches = keras_fit(config, VALIDATION).validation_data
    images, labels = zip(*batches.as_numpy_iterator(), strict=True)
    assert [len(batch) for batch in images] == [15, 5]
    np.testing.assert_array_equal(np.concatenate(images), VALIDATION[0])
    np.testing.assert_array_equal(np.concatenate(labels), VALIDATION[1])
    assert keras_fit(training_config("fast")).validation_data is None


@pytest.mark.parametrize("seed", [1, 6])
def test_initial_weights_follow_from_seed_and_images(keras_fit: KerasFit, seed: int) -> None:
    config = training_config("fast", seed=seed, widths=[4, 4])
    lazy.keras.utils.set_random_seed(0)  # a process may have drawn before
    found = keras_fit(config).model.get_weights()
    lazy.keras.utils.set_random_seed(seed)
    expected = config.network.build(shape=(32, 32, 3), classes=10, training=True)
    expected.get_layer("whitening").set_weights(whitening_weights(IMAGES))
    for one, other in zip(found, expected.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_precision_is_that_of_convolutions_alone(keras_fit: KerasFit, precision: str) -> None:
    config = training_config("fast")
    numerics = config.numerics.model_copy(update={"precision": precision})
    model = keras_fit(dataclasses.replace(config, numerics=numerics)).model
    dtypes = {layer.name: layer.compute_dtype for layer in model.layers}
    assert {dtypes[f"convolution_{number}"] for number in range(1, 7)} == {precision}
    assert {dtypes[name] for name in ("whitening", "pooling", "class")} == {"float32"}
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert lazy.keras.config.dtype_policy().name == "float32"


def test_balanced_class_weight_gives_every_class_equal_weight(keras_fit: KerasFit) -> None:
    uneven = np.eye(10, dtype=np.float32)[np.maximum(LABELS.argmax(axis=1) - 1, 0)]
    uneven[0] = np.eye(10)[9]  # an image of its own class
    assert keras_fit(training_config("baseline"), labels=uneven).model.class_weight is None
    config = training_config("baseline", {"class_weight": "balanced"})
    weight = np.asarray(keras_fit(config, labels=uneven).model.class_weight)
    np.testing.assert_allclose(uneven.sum(axis=0) * weight, 50 / 10, rtol=1e-6)


def test_trained_model_has_learned_in_steps_that_are_traced_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A second time would take `sprint` four more seconds of its minute."""
    traced: list[Any] = []
    model_class = lazy.gradient_accumulation.GradientAccumulationModel
    step = model_class.train_step

    def counted(self: Any, data: Any) -> Any:
        traced.append(data)
        return step(self, data)

    monkeypatch.setattr(model_class, "train_step", counted)
    states: list[Any] = []
    config = read_training_config(small_params(epochs=8), "fast")
    training, validation = synthetic.arrays(600, seed=1), synthetic.arrays(200, seed=2)
    model, history = lazy.fit.fit(config, training, save=states.append)
    assert len(traced) == 1
    assert {name: len(values) for name, values in history.items()} == {"accuracy": 8, "loss": 8}
    for number, weights in enumerate(model.get_weights()):
        np.testing.assert_array_equal(weights, states[-1][f"variable_{number}"])
    predicted = model.predict_on_batch(validation[0]).argmax(axis=1)
    assert (predicted == validation[1].argmax(axis=1)).mean() > 0.5  # chance is 0.1


def test_early_stopping_restores_the_best_epoch() -> None:
    # At this rate the validation loss soon rises.
    recipe = {"epochs": 40, "early_stopping": 2, "learning_rate": 0.02}
    noise = np.random.default_rng(0).random((200, 32, 32, 1), np.float32)
    labels = np.eye(7, dtype=np.float32)[np.arange(200) % 7]
    training, validation = (noise[:100], labels[:100]), (noise[100:], labels[100:])
    model, history = lazy.fit.fit(training_config("baseline", recipe), training, validation)
    best = int(np.argmin(history["val_loss"]))
    assert len(history["loss"]) == best + 3 < 40
    probabilities = model.predict_on_batch(validation[0])
    loss = -np.log(np.clip((probabilities * validation[1]).sum(axis=1), 1e-7, 1)).mean()
    assert loss == pytest.approx(history["val_loss"][best], rel=1e-4)


def test_diverging_loss_names_the_learning_rate() -> None:
    config = training_config("sgd", {"learning_rate": 1e30})
    with pytest.raises(PipelineError, match=r"sgd .*nan .*recipes\.trial_sgd\.learning_rate"):
        lazy.fit.fit(config, (IMAGES, LABELS), VALIDATION)


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
