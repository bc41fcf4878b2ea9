"""Networks without roots and softmax, and their .tflite files, compute what Keras does."""

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import PROJECT
from test_networks import build, randomize

from pipeline.core import files, paths
from pipeline.core.errors import PipelineError
from pipeline.core.params import read_params
from pipeline.datasets.cifar10 import CLASSES
from pipeline.evaluation import metrics
from pipeline.evaluation.config import append_metadata, read_inference_config, read_metadata
from pipeline.evaluation.inference import load_model, predict_logits
from pipeline.evaluation.tflite import main, save_tflite
from pipeline.predict import LiteRTModel
from pipeline.training.variant import read_training_config

NAMES = ("Grüner Tee", "rote Äpfel, geschält", "NEL\u0085 and LS\u2028 end no line", "c:/d")
NETWORK = b"\x20\0\0\0TFL3" + bytes(1000)
IMAGES = np.random.default_rng(1).random((7, 32, 32, 3), np.float32)
EXPORTED = Path("reports/fast.tflite")
CONFIG = read_inference_config(read_params(PROJECT / "params.yaml"), "fast")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.tflite"
    path.write_bytes(NETWORK)
    append_metadata(path, NAMES, CONFIG)
    return path


def test_metadata_round_trip_with_the_same_bytes_each_time(file: Path) -> None:
    assert read_metadata(file) == (NAMES, CONFIG)
    content = file.read_bytes()
    assert content.startswith(NETWORK)
    with zipfile.ZipFile(file) as archive:
        entries = archive.infolist()
    assert [entry.filename for entry in entries] == ["labels.txt", "inference.json"]
    for entry in entries:
        assert (entry.compress_type, entry.create_system) == (zipfile.ZIP_STORED, 3)
        assert entry.date_time == (1980, 1, 1, 0, 0, 0)
    file.write_bytes(NETWORK)
    append_metadata(file, NAMES, CONFIG)
    assert file.read_bytes() == content


@pytest.mark.parametrize(
    ("start", "old", "new"),
    [
        (0, b"Tee", b"Kee"),  # the checksum differs
        (0, b"labels.txt", b"others.txt"),
        (0, b"inference.json", b"otherwise.json"),
        (-30, b"", b""),
        (1, b"", b""),
    ],
)
def test_damaged_metadata(file: Path, start: int, old: bytes, new: bytes) -> None:
    content = file.read_bytes()
    file.write_bytes(content[:start] if start else content.replace(old, new))
    with pytest.raises(PipelineError, match=r"a\.tflite: .*labels\.txt"):
        read_metadata(file)
    file.unlink()
    with pytest.raises(PipelineError, match="No such file"):
        read_metadata(file)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tensorflow_started: None) -> Path:
    """The current folder: params.yaml with narrow networks, class names."""
    params = read_params(PROJECT / "params.yaml")
    for name in ("final", "fast"):
        params["variants"][name]["widths"] = [8, 12]
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params))
    monkeypatch.chdir(tmp_path)
    files.write_text(paths.CLASS_NAMES, "\n".join(CLASSES))
    return tmp_path


def save_keras(name: str) -> None:
    """models/NAME.keras with random weights and logits of about -10 to 10."""
    network = read_training_config(read_params(), name).network
    model = network.build(shape=(32, 32, 3), classes=len(CLASSES), training=False)
    random = np.random.default_rng(1).random
    model.set_weights([random(weights.shape) for weights in model.get_weights()])
    last = model.layers[-1]
    scale = np.float32(0.1) / np.abs(last.get_weights()[0]).mean()
    last.set_weights([weights * scale for weights in last.get_weights()])
    Path("models").mkdir(exist_ok=True)
    model.save(paths.model(name))


def keras_probabilities(name: str) -> np.ndarray:
    model, config = load_model(name, len(CLASSES)), read_inference_config(read_params(), name)
    return metrics.softmax(predict_logits(model, IMAGES, batch_size=7, config=config)[0])


def litert_probabilities(path: Path, batch_size: int) -> np.ndarray:
    return metrics.softmax(LiteRTModel(path).predict_logits(IMAGES, batch_size=batch_size))


def evaluated(name: str) -> None:
    """models/NAME.tflite of models/NAME.keras."""
    config, model = read_inference_config(read_params(), name), load_model(name, len(CLASSES))
    save_tflite(paths.tflite(name), model, CLASSES, config)


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("name", ["final", "fast"])
def test_litert_computes_what_keras_does_in_batches_of_any_size(name: str) -> None:
    save_keras(name)
    evaluated(name)
    expected = keras_probabilities(name)
    assert np.ptp(expected, axis=1).min() > 0.05
    for batch_size in (3, 7, 100):
        probabilities = litert_probabilities(paths.tflite(name), batch_size)
        np.testing.assert_allclose(probabilities, expected, atol=1e-4)


@pytest.mark.usefixtures("project")
def test_export_has_float16_weights_and_the_same_bytes_each_time() -> None:
    save_keras("fast")
    evaluated("fast")
    main([])
    content = EXPORTED.read_bytes()
    EXPORTED.unlink()
    main([])
    assert EXPORTED.read_bytes() == content
    parameters = load_model("fast", len(CLASSES)).count_params()
    assert paths.tflite("fast").stat().st_size - len(content) > 0.35 * 4 * parameters
    assert read_metadata(EXPORTED) == read_metadata(paths.tflite("fast")) == (CLASSES, CONFIG)
    probabilities = litert_probabilities(EXPORTED, 7)
    np.testing.assert_allclose(probabilities, keras_probabilities("fast"), atol=0.01)


def operations(model: Any) -> set[str]:
    """The types of TensorFlow operations in the inference of `model`."""
    import tensorflow as tf

    function = tf.function(lambda images: model(images, training=False))
    graph = function.get_concrete_function(tf.TensorSpec((None, 32, 32, 3))).graph
    return {operation.type for operation in graph.get_operations()}


@pytest.mark.usefixtures("tensorflow_started")
@pytest.mark.parametrize(("name", "normalizations"), [("sprint", 6), ("baseline", 0)])
def test_networks_of_the_study(name: str, normalizations: int) -> None:
    from pipeline.evaluation.deterministic import FoldedBatchNormalization, make_deterministic

    model = randomize(build(name, training=False))
    clone = make_deterministic(model)
    assert (clone.name, clone.count_params()) == (model.name, model.count_params())
    assert [type(layer) for layer in clone.layers].count(FoldedBatchNormalization) == normalizations
    for weight, original in zip(clone.get_weights(), model.get_weights(), strict=True):
        assert np.array_equal(weight, original)
    images = np.random.default_rng(2).random((5, 32, 32, 3), np.float32)
    logits = np.asarray(clone(images), np.float64)
    assert np.allclose(metrics.softmax(logits), model(images), atol=1e-5)
    assert np.ptp(logits, axis=0).max() > 1e-3
    assert not {"Rsqrt", "Sqrt", "Softmax"} & operations(clone)
    with pytest.raises(ValueError, match="softmax"):
        make_deterministic(clone)


@pytest.mark.usefixtures("tensorflow_started")
@pytest.mark.parametrize(("scale", "center"), [(True, True), (True, False), (False, False)])
def test_every_batch_normalization(scale: bool, center: bool) -> None:
    import keras

    from pipeline.evaluation.deterministic import make_deterministic

    image = keras.Input((4, 4, 3))
    hidden = keras.layers.BatchNormalization(scale=scale, center=center, epsilon=0.01)(image)
    hidden = keras.layers.Flatten()(hidden)
    model = randomize(keras.Model(image, keras.layers.Dense(5, activation="softmax")(hidden)))
    images = np.random.default_rng(2).random((6, 4, 4, 3)).astype(np.float32)
    probabilities = metrics.softmax(np.asarray(make_deterministic(model)(images), np.float64))
    np.testing.assert_allclose(probabilities, model(images), rtol=1e-4)
