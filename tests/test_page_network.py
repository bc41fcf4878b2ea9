"""The network in the page: exported or refused, and computed by JavaScript as by Keras."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import javascript
import numpy as np
import page_project
import pytest
from conftest import PROJECT
from PIL import Image

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.evaluate import scores, views
from pipeline.evaluate.views import ONE, Views
from pipeline.page import export_weights, page
from pipeline.train import variant

ALL_VIEWS = Views(mirrored=True, shift=2, sure=1.0)
TEMPERATURE = 0.7
Build = Callable[[Any, Any], Any]

pytestmark = pytest.mark.usefixtures("tensorflow_started")


def randomise(model: Any) -> Any:
    """`model` with random weights, by which its predictions differ; variances are positive."""
    generator = np.random.default_rng(3)
    model.set_weights(
        [
            generator.normal(0, 2 / np.prod(weight.shape[:-1]) ** 0.5, weight.shape)
            if weight.ndim > 1
            else generator.uniform(0.1, 0.4, weight.shape)
            for weight in model.get_weights()
        ]
    )
    return model


def build_convolutional(image: Any, layers: Any) -> Any:
    """The layers and settings that the project's own networks lack."""
    hidden = layers.Conv2D(7, (3, 2), strides=(2, 1), padding="same", activation="silu")(image)
    hidden = layers.BatchNormalization(epsilon=0.02)(hidden)
    hidden = layers.BatchNormalization(center=False)(hidden)
    hidden = layers.MaxPooling2D((3, 2), strides=(1, 3))(hidden)
    hidden = layers.Conv2D(5, 4, strides=2, padding="valid", use_bias=False)(hidden)
    hidden = layers.Activation("relu")(hidden)
    hidden = layers.GlobalAveragePooling2D()(hidden)
    return layers.Dense(4, use_bias=False, activation="linear")(layers.Dropout(0.5)(hidden))


def own_network(name: str) -> Build:
    params = params_file.read(PROJECT / "params.yaml")
    params["variants"][name] |= {"widths": [6, 9]} | ({"dense": 11} if name == "deep" else {})
    network = variant.read(params, name)
    return lambda _, __: network.build(shape=(32, 32, 3), classes=10, training=False)


def make_model(build: Build) -> Any:
    import keras

    image = keras.Input((32, 32, 3), name="image")
    output = build(image, keras.layers)
    if not isinstance(output, keras.Model):
        probabilities = keras.layers.Dense(10, activation="softmax")(output)
        output = keras.Model(image, probabilities, name="mixed")
    return randomise(output)


def export(model: Any, folder: Path) -> dict[str, Any]:
    model.save(folder / "some.keras")
    return export_weights.export_model(folder / "some.keras", "run it again").model_dump()


@pytest.mark.parametrize("build", [build_convolutional, own_network("deep"), own_network("fast")])
@pytest.mark.parametrize("tta", [ONE, ALL_VIEWS, None], ids=["none", "all", "for one image"])
def test_javascript_computes_what_keras_does(
    tmp_path: Path, build: Build, tta: Views | None
) -> None:
    network = export(make_model(build), tmp_path)
    images = np.random.default_rng(1).random((2, 32, 32, 3), np.float32)
    model = page_project.load_model(network)

    def predict(view: np.ndarray) -> np.ndarray:
        return np.asarray(model(view))

    if tta is None:
        logits, _ = views.asked(predict, images, ONE, TEMPERATURE)
        threshold = scores.softmax(logits).max(axis=1).mean()  # between the two images
        tta = ALL_VIEWS.model_copy(update={"sure": float(threshold)})
    found = javascript.evaluate(
        "network.js",
        "argument.images.map((data) => Array.from(loadNetwork(argument.network)"
        "({data: Float32Array.from(data), shape: [32, 32, 3]})))",
        {
            "network": {**network, "views": tta.model_dump(), "temperature": TEMPERATURE},
            "images": [image.ravel().tolist() for image in images],
        },
    )
    logits, _ = views.asked(predict, images, tta, TEMPERATURE)
    expected = scores.softmax(logits)
    assert np.ptp(expected, axis=1).min() > 0.05  # predictions worth comparing
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_kernels_have_16_bits_and_vectors_32(tmp_path: Path) -> None:
    model = make_model(own_network("fast"))
    arrays = page_project.read_weights(export(model, tmp_path))
    for array, weight in zip(arrays, model.get_weights(), strict=True):
        assert array.dtype == (np.float16 if weight.ndim > 1 else np.float32)
        np.testing.assert_array_equal(array, weight.astype(array.dtype))


def test_javascript_decodes_every_finite_float16() -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    finite = bits[np.isfinite(bits.view(np.float16))]
    found = javascript.evaluate("network.js", "argument.map(float16)", finite.tolist())
    np.testing.assert_array_equal(np.array(found), finite.view(np.float16).astype(np.float64))


def test_python_and_javascript_have_the_same_layers() -> None:
    expression = "({layers: Object.keys(LAYERS), activations: Object.keys(ACTIVATIONS)})"
    found = javascript.evaluate("network.js", expression, None)
    assert sorted(found["layers"]) == sorted(export_weights.LAYERS)
    assert sorted(found["activations"]) == sorted(export_weights.ACTIVATIONS)


# What is changed in the config of a supported network, and what is found.
UNSUPPORTED: list[tuple[Callable[[Any], Any], str]] = [
    (lambda layers: layers[1].update(class_name="UpSampling2D"), "of class UpSampling2D"),
    (lambda layers: layers[1]["config"].update(groups=3), "with groups 3"),
    (lambda layers: layers[1]["config"].update(activation="tanh"), "with activation tanh"),
    (lambda layers: layers[1]["config"].update(activation="softmax"), "with activation softmax"),
    (lambda layers: layers[-1]["config"].update(activation="relu"), "with activation relu"),
    (lambda layers: layers[-1]["build_config"].update(input_shape=[None, 2, 9]), "input shape"),
    (lambda layers: layers[-1].update(class_name="Activation"), "of class Activation at the end"),
    (lambda layers: layers.pop(2), "with inputs"),
]


@pytest.fixture(scope="module")
def deep(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return export(make_model(own_network("deep")), tmp_path_factory.mktemp("deep"))


@pytest.mark.parametrize(("change", "expected"), UNSUPPORTED)
def test_unsupported_networks_are_found(
    deep: dict[str, Any], change: Callable[[Any], Any], expected: str
) -> None:
    layers = deepcopy(deep["config"]["config"]["layers"])
    assert export_weights.find_unsupported(layers) is None
    change(layers)
    assert expected in str(export_weights.find_unsupported(layers))


def test_an_unsupported_network_is_refused(tmp_path: Path) -> None:
    model = make_model(
        lambda image, layers: layers.Flatten()(layers.UpSampling2D(name="up")(image))
    )
    with pytest.raises(PipelineError, match=r"layer up .*page\.variant"):
        export(model, tmp_path)


@pytest.mark.parametrize("content", [None, b"", b"PK", "truncated"])
def test_a_damaged_model_is_refused(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "some.keras"
    if content == "truncated":
        export(make_model(own_network("fast")), tmp_path)
        content = path.read_bytes()[:2000]
    if isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(PipelineError, match=r"some\.keras: .*run it again$"):
        export_weights.export_model(path, "run it again")


SIZES = ((101, 64), (40, 333), (20, 31), (32, 32), (1000, 600), (700, 3), (2, 900))


@pytest.mark.parametrize("crop_mode", ["centre", "whole"])
@pytest.mark.parametrize("side", [32, 45])
def test_a_photo_is_cropped_and_resized_as_by_predict(
    tmp_path: Path, side: int, crop_mode: str
) -> None:
    """Smooth photos: Pillow rounds between the two directions, whose order depends on the shape."""
    for width, height in SIZES:
        noise = np.random.default_rng(width).integers(0, 256, (6, 8, 3), np.uint8)
        photo = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        photo.save(tmp_path / "photo.png")
        rgba = np.asarray(photo.convert("RGBA")).ravel().tolist()
        found = javascript.evaluate(
            "photo.js",
            """(({ rgba, size: [width, height], side, cropMode }) => {
            const readRows = (row, count) => rgba.slice(4 * width * row, 4 * width * (row + count));
            return Array.from(resizePhoto(readRows, width, height, side, cropMode).data);
            })(argument)""",
            {"rgba": rgba, "size": [width, height], "side": side, "cropMode": crop_mode},
        )
        expected = page_project.load_photo(tmp_path / "photo.png", side, crop_mode).ravel()
        difference = np.rint(255 * (np.array(found) - expected))
        assert np.abs(difference).max() <= 2, (width, height)
        assert (difference != 0).mean() < (0.1 if height > width else 0.01), (width, height)


def test_augmented_images_are_those_of_evaluation() -> None:
    image = np.random.default_rng(5).random((1, 6, 5, 3)).astype(np.float32)
    shown: list[np.ndarray] = []

    def predict(view: np.ndarray) -> np.ndarray:
        shown.append(view.ravel())
        return np.zeros((1, 2))

    views.asked(predict, image, ALL_VIEWS, 1.0)
    found = javascript.evaluate(
        "network.js",
        "[[0, 0], [0, 1], [-2, 0], [-2, 1], [2, 0], [2, 1]].map(([shift, mirrored]) => Array.from("
        "augment({data: Float32Array.from(argument), shape: [6, 5, 3]}, shift, mirrored).data))",
        image.ravel().tolist(),
    )
    np.testing.assert_array_equal(np.array(found, np.float32), shown)


def test_scripts_contain_no_marker_of_the_template() -> None:
    for name in page.SCRIPTS:
        text = (PROJECT / page.WEB / name).read_text(encoding="utf-8")
        assert "<!--" not in text, name
        assert "</script" not in text, name
