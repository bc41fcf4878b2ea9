"""The network in a page: packed as it was trained or refused, and computed as Keras does."""

import base64
import re
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import javascript
import numpy as np
import page_model
import pytest
from conftest import PROJECT

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.datasets import image_loading
from pipeline.datasets.config import CropMode
from pipeline.evaluate import scores, views
from pipeline.evaluate.views import ONE, Views
from pipeline.page import packed
from pipeline.train import variant

SEVERAL = Views(mirrored=True, shift=2, sure=1.0)
TEMPERATURE = 0.7
Build = Callable[[Any, Any], Any]

pytestmark = pytest.mark.usefixtures("tensorflow_started")


def randomised(model: Any) -> Any:
    """`model` with random weights by which its answers differ; variances are positive."""
    generator = np.random.default_rng(3)
    for layer in model.layers:
        layer.set_weights(
            [
                generator.normal(0, 2 / np.prod(weight.shape[:-1]) ** 0.5, weight.shape)
                if weight.ndim > 1
                else generator.uniform(0.1, 0.4, weight.shape)
                for weight in layer.get_weights()
            ]
        )
    return model


def convolutional(image: Any, layers: Any) -> Any:
    """Every layer and setting that ours do not have between them."""
    hidden = layers.Conv2D(7, (3, 2), strides=(2, 1), padding="same", activation="silu")(image)
    hidden = layers.BatchNormalization(epsilon=0.02)(hidden)
    hidden = layers.BatchNormalization(center=False)(hidden)
    hidden = layers.MaxPooling2D((3, 2), strides=(1, 3))(hidden)
    hidden = layers.Conv2D(5, 4, strides=2, padding="valid", use_bias=False)(hidden)
    hidden = layers.Activation("relu")(hidden)
    hidden = layers.GlobalAveragePooling2D()(hidden)
    return layers.Dense(4, use_bias=False, activation="linear")(layers.Dropout(0.5)(hidden))


def ours(name: str) -> Build:
    params = params_file.read(PROJECT / "params.yaml")
    params["variants"][name] |= {"widths": [6, 9]} | ({"dense": 11} if name == "deep" else {})
    chosen = variant.read(params, name)
    return lambda _, __: chosen.build(shape=(32, 32, 3), classes=10, training=False)


def model_of(build: Build) -> Any:
    import keras

    image = keras.Input((32, 32, 3), name="image")
    found = build(image, keras.layers)
    if not isinstance(found, keras.Model):
        answer = keras.layers.Dense(10, activation="softmax")(found)
        found = keras.Model(image, answer, name="mixed")
    return randomised(found)


def pack(model: Any, folder: Path) -> dict[str, Any]:
    model.save(folder / "some.keras")
    return packed.network(folder / "some.keras", "run it again")


@pytest.mark.parametrize("build", [convolutional, ours("deep"), ours("fast")])
@pytest.mark.parametrize("seen", [ONE, SEVERAL, None], ids=["one view", "all", "all for one image"])
def test_computes_what_keras_does(tmp_path: Path, build: Build, seen: Views | None) -> None:
    model = model_of(build)
    network = pack(model, tmp_path)
    images = np.random.default_rng(1).random((2, 32, 32, 3), np.float32)
    rounded = page_model.build_model(deepcopy(network))  # Keras takes a description to pieces

    def ask(view: np.ndarray) -> np.ndarray:
        return np.asarray(rounded(view))

    if seen is None:
        alone, _ = views.asked(ask, images, ONE, TEMPERATURE)
        between = scores.softmax(alone).max(axis=1).mean()
        seen = SEVERAL.model_copy(update={"sure": float(between)})
    given = {
        "network": {**network, "views": seen.model_dump(), "temperature": TEMPERATURE},
        "images": [image.ravel().tolist() for image in images],
    }
    found = javascript.result(
        ["network.js"],
        "given.images.map((data) => Array.from(opened(given.network)"
        "({data: Float32Array.from(data), shape: [32, 32, 3]})))",
        given,
    )
    logits, _ = views.asked(ask, images, seen, TEMPERATURE)
    expected = scores.softmax(logits)
    assert np.ptp(expected, axis=1).min() > 0.05  # answers worth comparing
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_kernels_have_16_bits_and_the_rest_32(tmp_path: Path) -> None:
    model = model_of(ours("fast"))
    network = pack(model, tmp_path)
    arrays = packed.unpacked(network["weights"], network["data"])
    for layer in model.layers:
        for kept, weight in zip(arrays.get(layer.name, []), layer.get_weights(), strict=True):
            rounding = np.float16 if weight.ndim > 1 else np.float32
            np.testing.assert_array_equal(kept, weight.astype(rounding))
            assert kept.dtype == np.float32
    sizes = [(2 if w.ndim > 1 else 4) * w.size for w in model.get_weights()]
    assert len(base64.b64decode(network["data"])) == sum(sizes)


def test_every_number_of_16_bits_is_read_as_numpy_reads_it() -> None:
    bits = np.arange(2**16, dtype=np.uint16)
    finite = bits[np.isfinite(bits.view(np.float16))]
    found = javascript.result(["network.js"], "given.map(half)", finite.tolist())
    np.testing.assert_array_equal(np.array(found), finite.view(np.float16).astype(np.float64))


def test_python_and_javascript_know_the_same_layers() -> None:
    script = "({layers: Object.keys(LAYERS), activations: Object.keys(ACTIVATIONS)})"
    found = javascript.result(["network.js"], script, None)
    assert sorted(found["layers"]) == sorted(packed.LAYERS)
    assert sorted(found["activations"]) == sorted(packed.ACTIVATIONS)


def branching(image: Any, layers: Any) -> Any:
    """Two ways from one layer, of which the model keeps both."""
    import keras

    hidden = layers.Flatten()(image)
    one, other = (layers.Dense(10, "relu")(hidden) for _ in range(2))
    return keras.Model(image, [one, other], name="mixed")


def whole(image: Any, layers: Any) -> Any:
    """A model of its own, whose last layer is an activation."""
    import keras

    hidden = layers.Dense(10)(layers.Flatten()(image))
    return keras.Model(image, layers.Activation("softmax", name="end")(hidden), name="mixed")


def adding(image: Any, layers: Any) -> Any:
    hidden = layers.Conv2D(3, 3, padding="same", name="c")(image)
    return layers.Flatten()(layers.Add(name="sum")([image, hidden]))


REFUSED: dict[str, tuple[Build, str]] = {
    "layer": (
        lambda image, layers: layers.Flatten()(layers.UpSampling2D(name="up")(image)),
        "layer up, which is a UpSampling2D",
    ),
    "setting": (
        lambda image, layers: layers.Flatten()(layers.Conv2D(3, 3, groups=3, name="c")(image)),
        "layer c with groups 3",
    ),
    "pooling": (
        lambda image, layers: layers.Flatten()(
            layers.MaxPooling2D(2, padding="same", name="p")(image)
        ),
        "layer p with padding same",
    ),
    "activation": (
        lambda image, layers: layers.Dense(3, "tanh", name="d")(layers.Flatten()(image)),
        "layer d with activation tanh",
    ),
    "branches": (branching, "layer .*, which does not follow .* alone"),
    "sum": (adding, "layer sum, which is a Add"),
    "dense on a map": (
        lambda image, layers: layers.Flatten()(layers.Dense(3, name="d")(image)),
        "layer d on more than a row of numbers",
    ),
    "softmax within": (
        lambda image, layers: layers.Dense(4)(
            layers.Dense(3, "softmax", name="d")(layers.Flatten()(image))
        ),
        "layer d with activation softmax",
    ),
    "softmax alone": (whole, "layer end at the end, which is no Dense"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_what_a_page_cannot_compute(tmp_path: Path, case: str) -> None:
    build, message = REFUSED[case]
    with pytest.raises(PipelineError, match=message) as caught:
        pack(model_of(build), tmp_path)
    assert "set page.variant to another variant" in str(caught.value)


@pytest.mark.parametrize("content", [None, b"", b"PK", "truncated"])
def test_refuses_a_damaged_file(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "some.keras"
    if content == "truncated":
        pack(model_of(ours("fast")), tmp_path)
        content = path.read_bytes()[:2000]
    if isinstance(content, bytes):
        path.write_bytes(content)
    with pytest.raises(PipelineError, match=r"some\.keras: expected a .*run it again$"):
        packed.network(path, "run it again")


SHAPES = ((101, 64), (40, 333), (20, 31), (32, 32), (1000, 600), (700, 3), (2, 900))


@pytest.mark.parametrize("framing", ["centre", "whole"])
@pytest.mark.parametrize("side", [32, 45])
def test_a_photo_is_framed_and_scaled_as_for_training(side: int, framing: CropMode) -> None:
    """A photo whose middle lies between two pixels, larger and smaller than what is wanted.

    Smooth, as photos are: Pillow rounds between the two ways, whose order it picks by the shape.
    """
    from PIL import Image

    for width, height in SHAPES:
        noise = np.random.default_rng(width).integers(0, 256, (6, 8, 3), np.uint8)
        photo = Image.fromarray(noise).resize((width, height), Image.Resampling.BICUBIC)
        levels = np.asarray(photo)
        given = {"levels": levels.ravel().tolist(), "size": [width, height]}
        found = javascript.result(
            ["photo.js"],
            """(({levels, size: [width, height], side, framing}) => {
              const { across, down, left, top } = framed(width, height, side, framing);
              const wide = across.length, narrow = new Uint8ClampedArray(height * wide * 3);
              const pixels = new Uint8ClampedArray(side * side * 3).fill(255);
              reduced(levels, across, height, (x, y) => (y * width + x) * 3,
                narrow, (x, y) => (y * wide + x) * 3);
              reduced(narrow, down, wide, (y, x) => (y * wide + x) * 3,
                pixels, (y, x) => ((top + y) * side + left + x) * 3);
              return Array.from(pixels);
            })(given)""",
            {**given, "side": side, "framing": framing},
        )
        scaled = image_loading.resize(photo, side, framing)
        expected = np.asarray(image_loading.pad_to_square(scaled, side), int)
        difference = np.array(found, int) - expected.ravel()
        assert np.abs(difference).max() <= 2, (width, height)
        assert (difference != 0).mean() < (0.1 if height > width else 0.01), (width, height)


def test_view_is_that_of_evaluation() -> None:
    image = np.random.default_rng(5).random((1, 6, 5, 3)).astype(np.float32)
    shown: list[np.ndarray] = []

    def ask(view: np.ndarray) -> np.ndarray:
        shown.append(view)
        return np.zeros((1, 2))

    views.asked(ask, image, SEVERAL, 1.0)
    found = javascript.result(
        ["network.js"],
        "[[0, 0], [0, 1], [-2, 0], [-2, 1], [2, 0], [2, 1]].map(([move, mirrored]) => Array.from("
        "view({data: given, shape: [6, 5, 3]}, move, mirrored).data))",
        image.ravel().tolist(),
    )
    np.testing.assert_array_equal(np.array(found, np.float32), [view.ravel() for view in shown])


def test_script_of_the_page_is_nowhere_else() -> None:
    """A template's marker in a script would be filled too, and a `</script` would end it."""
    for name in ("network.js", "photo.js", "charts.js", "variant.js", "page.js"):
        text = (PROJECT / "pipeline/page" / name).read_text(encoding="utf-8")
        assert not re.search(r"<!-- \w+ -->|</script", text), name
