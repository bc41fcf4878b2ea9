"""Fitting: every setting of a variant and its recipe reaches what it is meant for."""

import importlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import synthetic
from conftest import PROJECT, small_params

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.train import checkpoint, recipe, variant
from pipeline.train.recipe import Recipe
from pipeline.train.variant import Variant

pytestmark = pytest.mark.usefixtures("tensorflow_started")
PARAMS = params_file.read(PROJECT / "params.yaml")
IMAGES, LABELS = synthetic.arrays(50, seed=1)
HELD_OUT = synthetic.arrays(20, seed=2)


def settings(name: str, changes: dict[str, Any], **own: Any) -> tuple[Variant, Recipe]:
    """Variant `name` with its settings `own`, and its recipe with `changes`."""
    chosen = variant.read(PARAMS, name)
    shared = recipe.read(PARAMS, chosen.recipe)
    return chosen.model_copy(update=own), shared.model_copy(update=changes)


def ignore(state: checkpoint.State) -> None:
    """For a training that is not to be resumed."""


class Ready(NamedTuple):
    """What Keras's loop is given."""

    model: Any
    batches: Any
    loop: dict[str, Any]


class Reached(Exception):
    """The loop begins."""


def ready(what: Variant, how: Recipe, held_out: Any = None, precision: str = "float32") -> Ready:
    """What `fit` has made of IMAGES and LABELS when Keras's loop begins."""
    from pipeline.train import fit
    from pipeline.train.micro_batches import MicroBatched

    def loop(model: Any, batches: Any, **given: Any) -> None:
        raise Reached(Ready(model, batches, given))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(MicroBatched, "fit", loop)
        with pytest.raises(Reached) as caught:
            fit.fit("x", what, how, precision, (IMAGES, LABELS), held_out, None, ignore)
    found: Ready = caught.value.args[0]
    return found


@pytest.mark.parametrize(
    ("optimizer", "kind"), [("adam", "Adam"), ("sgd", "SGD"), ("muon", "Optimizer")]
)
def test_every_optimizer_of_a_recipe_is_built(optimizer: str, kind: str) -> None:
    import keras

    from pipeline.train import fit

    assert set(fit.OPTIMIZERS) == {"adam", "sgd", "muon"}
    how = recipe.read(PARAMS, {"adam": "trial_adam", "sgd": "trial_sgd", "muon": "fast"}[optimizer])
    assert isinstance(fit.OPTIMIZERS[optimizer](how, 7), getattr(keras.optimizers, kind))


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_learning_rate_is_the_recipe_s(name: str) -> None:
    from keras.optimizers import SGD, Adam

    optimizer = ready(*settings(name, {"learning_rate": 0.0123})).model.optimizer
    assert type(optimizer).__name__ == {"adam": "FusedAdam", "sgd": "SGD"}[name]
    assert float(optimizer.learning_rate) == pytest.approx(0.0123)
    # The rest is as Keras has it.
    own = ("learning_rate", "name")
    config, default = optimizer.get_config(), {"adam": Adam, "sgd": SGD}[name]().get_config()
    assert {**config, **dict.fromkeys(own)} == {**default, **dict.fromkeys(own)}


def test_muon_s_rates_fall_over_all_epochs() -> None:
    changes = {"epochs": 3, "batch_size": 20, "precision": "float32"}
    optimizer = ready(*settings("fast", changes, widths=(4, 4, 4))).model.optimizer
    # Three batches an epoch, the last of ten images.
    for step, left in ((0, 1), (3, 2 / 3), (8, 1 / 9), (9, 0)):
        optimizer.iterations.assign(step)
        assert float(optimizer.learning_rate) == pytest.approx(left, abs=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.3])
def test_loss_is_cross_entropy_with_the_recipe_s_smoothing(smoothing: float) -> None:
    model = ready(*settings("baseline", {"label_smoothing": smoothing})).model
    probabilities = np.asarray(model([IMAGES]))
    targets = LABELS * (1 - smoothing) + smoothing / 10
    expected = -(targets * np.log(probabilities)).sum(axis=1).mean()
    assert float(model.compute_loss(y=LABELS, y_pred=probabilities)) == pytest.approx(
        expected, rel=1e-5
    )


def test_the_graph_of_a_step_is_drawn_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second time would take `sprint` four more seconds of its minute."""
    from pipeline.train import fit
    from pipeline.train.micro_batches import MicroBatched

    drawn: list[Any] = []
    step = MicroBatched.train_step

    def counted(self: Any, data: Any) -> Any:
        drawn.append(data)
        return step(self, data)

    monkeypatch.setattr(MicroBatched, "train_step", counted)
    changes = {"batch_size": 20, "micro_batch_size": 5, "micro_batches_at_once": 2, "epochs": 2}
    what, how = settings("sprint", {**changes, "growth": {}}, widths=(4, 4, 4))
    _, history = fit.fit("x", what, how, "float32", (IMAGES, LABELS), None, None, ignore)
    assert len(drawn) == 1
    assert len(history["accuracy"]) == 2


def test_steps_are_cut_as_the_recipe_says() -> None:
    changes = {"batch_size": 20, "micro_batch_size": 7, "micro_batches_at_once": 3}
    model = ready(*settings("baseline", changes)).model
    assert (model.batch_size, model.micro_batch_size, model.at_once) == (20, 7, 3)


@pytest.mark.parametrize(("batch_size", "steps"), [(32, 64), (20, 102), (5000, 1)])
def test_calls_into_the_graph_take_some_2000_images(batch_size: int, steps: int) -> None:
    model = ready(*settings("baseline", {"batch_size": batch_size})).model
    assert model.steps_per_execution == steps


def test_batches_are_those_of_the_settings() -> None:
    from pipeline.train.batches import EpochClock, training_batches

    amounts = {"flip_horizontal": 0.5, "shift": 0.1}
    changes = {"epochs": 3, "batch_size": 20, "growth": {"px24": 1, "px16": 1}}
    found = ready(*settings("sprint", changes, widths=(4,), augmentation=amounts, seed=5))
    assert found.loop["epochs"] == 3
    assert found.loop["initial_epoch"] == 0
    clock = EpochClock()
    expected = training_batches(
        IMAGES, LABELS, batch_size=20, amounts=amounts, sides=(16, 24, 32), seed=5, clock=clock
    )
    for epoch in range(3):
        clock.on_epoch_begin(epoch)
        for callback in found.loop["callbacks"]:
            if isinstance(callback, EpochClock):
                callback.on_epoch_begin(epoch)
        for one, other in zip(found.batches, expected, strict=True):
            for array, same in zip(one, other, strict=True):
                np.testing.assert_array_equal(array, same)


def test_held_out_images_are_watched_as_they_are() -> None:
    found = ready(*settings("improved", {"validation_batch_size": 15}), HELD_OUT)
    images, labels = zip(*found.loop["validation_data"].as_numpy_iterator(), strict=True)
    assert [len(batch) for batch in images] == [15, 5]
    np.testing.assert_array_equal(np.concatenate(images), HELD_OUT[0])
    np.testing.assert_array_equal(np.concatenate(labels), HELD_OUT[1])
    assert ready(*settings("fast", {})).loop["validation_data"] is None


@pytest.mark.parametrize("seed", [1, 6])
def test_first_weights_follow_from_the_seed_alone(seed: int) -> None:
    import keras

    what, how = settings("deep", {}, seed=seed)
    keras.utils.set_random_seed(0)  # a process may have drawn before
    found = ready(what, how).model.get_weights()
    keras.utils.set_random_seed(seed)
    expected = what.build(shape=(32, 32, 3), classes=10, training=True).get_weights()
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_convolutions_alone_are_in_the_precision_asked_for(precision: str) -> None:
    import keras

    model = ready(*settings("fast", {}), precision=precision).model
    kinds = {layer.name: layer.compute_dtype for layer in model.layers}
    assert {kinds[f"convolution_{number}"] for number in range(1, 7)} == {precision}
    assert {kinds[name] for name in ("whitening", "pooling", "class")} == {"float32"}
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert keras.config.dtype_policy().name == "float32"


def test_balanced_weights_let_every_class_count_alike() -> None:
    from pipeline.train import fit

    labels = np.eye(3, dtype=np.float32)[[0] * 12 + [1] * 6 + [2] * 2]
    weights = np.asarray(fit.balanced(labels))
    np.testing.assert_allclose(weights, [20 / 36, 20 / 18, 20 / 6], rtol=1e-6)
    assert (labels @ weights).mean() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(labels.sum(axis=0) * weights, 20 / 3, rtol=1e-6)


def test_class_weights_are_those_of_the_training_images_where_the_recipe_says() -> None:
    from pipeline.train import fit

    assert ready(*settings("baseline", {})).model.class_weights is None
    uneven = np.eye(10, dtype=np.float32)[np.maximum(LABELS.argmax(axis=1) - 1, 0)]
    uneven[0] = np.eye(10)[9]  # a class alone
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(f"{__name__}.LABELS", uneven)
        found = ready(*settings("baseline", {"class_weights": "balanced"})).model.class_weights
    np.testing.assert_array_equal(found, fit.balanced(uneven))
    np.testing.assert_allclose(found, 5 / uneven.sum(axis=0), rtol=1e-6)


def test_code_that_tensorflow_writes_leaves_no_compiled_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It imports what it converts from the temporary folder."""
    (tmp_path / "converted_by_hand.py").write_text("here = True\n")
    monkeypatch.syspath_prepend(tmp_path)
    importlib.import_module("converted_by_hand")
    assert [path.name for path in tmp_path.iterdir()] == ["converted_by_hand.py"]


def test_network_starts_from_the_training_images() -> None:
    from pipeline.networks.whitened import whitening_weights

    model = ready(*settings("fast", {})).model
    found = model.get_layer("whitening").get_weights()
    for one, other in zip(found, whitening_weights(IMAGES), strict=True):
        np.testing.assert_array_equal(one, other)


def test_images_of_another_size_and_number_of_classes_are_taken() -> None:
    from pipeline.train import fit

    what, how = settings("baseline", {"epochs": 1}, widths=(2,), dense=2)
    network, _ = fit.fit(
        "x", what, how, "float32", (IMAGES[:, :16, :16, :1], LABELS[:, :7]), None, None, ignore
    )
    assert network.input_shape == (None, 16, 16, 1)
    assert network.output_shape == (None, 7)


def test_learns() -> None:
    from pipeline.train import fit

    what, how = settings("final", {"epochs": 5})
    training, held_out = synthetic.arrays(1000, seed=1), synthetic.arrays(200, seed=2)
    _, history = fit.fit("final", what, how, "float32", training, held_out, None, ignore)
    assert history["val_accuracy"][-1] > 0.5  # chance is 0.1


def test_early_stopping_keeps_the_best_epoch() -> None:
    from pipeline.train import fit

    # At this rate the validation loss soon turns.
    changes = {"epochs": 40, "early_stopping": 2, "learning_rate": 0.02}
    noise = np.random.default_rng(0).random((200, 32, 32, 3), np.float32)
    labels = np.eye(10, dtype=np.float32)[np.arange(200) % 10]
    training, held_out = (noise[:100], labels[:100]), (noise[100:], labels[100:])
    network, history = fit.fit(
        "x", *settings("baseline", changes), "float32", training, held_out, None, ignore
    )
    assert len(history["loss"]) < 40
    best = int(np.argmin(history["val_loss"]))
    assert len(history["loss"]) == best + 3
    probabilities = network.predict_on_batch(held_out[0])
    loss = -np.log(np.clip((probabilities * held_out[1]).sum(axis=1), 1e-7, 1)).mean()
    assert loss == pytest.approx(history["val_loss"][best], rel=1e-4)


def test_diverging_loss_is_an_error_that_names_the_parameter() -> None:
    from pipeline.train import fit

    what, how = settings("sgd", {"learning_rate": 1e30})
    with pytest.raises(
        PipelineError,
        match=r"loss of sgd became nan in epoch 1; lower recipes\.trial_sgd\.learning_rate "
        r"\(now 1e\+30\)",
    ):
        fit.fit("sgd", what, how, "float32", (IMAGES, LABELS), HELD_OUT, None, ignore)


def test_saved_whitened_network_is_the_trained_one_and_needs_no_code_of_ours(
    tmp_path: Any,
) -> None:
    import keras

    from pipeline.train import fit, model_file

    params = small_params(epochs=2)
    what = variant.read(params, "fast")
    states: list[checkpoint.State] = []
    network, history = fit.fit(
        "fast",
        what,
        recipe.read(params, what.recipe),
        "float32",
        synthetic.arrays(100, seed=1),
        None,
        None,
        states.append,
    )
    model_file.save(network, tmp_path / "fast.keras")
    opened = keras.saving.load_model(tmp_path / "fast.keras", safe_mode=True)
    assert all(type(layer).__module__.startswith("keras.") for layer in opened.layers)
    for number, weights in enumerate(opened.get_weights()):
        np.testing.assert_array_equal(weights, states[-1][f"variable_{number}"])
    assert opened.input_shape == (None, 32, 32, 3)
    assert sorted(history) == ["accuracy", "loss"]
    assert [len(values) for values in history.values()] == [2, 2]
