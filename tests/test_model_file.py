"""Saved models: stable bytes that Keras opens."""

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.networks import plain

pytestmark = pytest.mark.usefixtures("tensorflow_started")


def network(seed: int = 1) -> Any:
    import keras

    chosen = plain.Network(
        recipe="study",
        arithmetic="study",
        seed=1,
        network="plain",
        augmentation={},
        widths=(4, 8),
        dense=8,
        dropout=0.5,
    )
    keras.utils.set_random_seed(seed)
    return chosen.build(shape=(32, 32, 3), classes=10, training=False)


def test_same_network_gives_the_same_bytes_at_another_time(tmp_path: Path) -> None:
    from pipeline.train import model_file

    model_file.save(network(), tmp_path / "a.keras")
    time.sleep(2.1)  # a zip's times count in steps of two seconds
    kept = [object() for _ in range(1000)]  # so that addresses differ
    model_file.save(network(), tmp_path / "b.keras")
    assert (tmp_path / "a.keras").read_bytes() == (tmp_path / "b.keras").read_bytes()
    assert kept


def test_another_network_gives_other_bytes(tmp_path: Path) -> None:
    from pipeline.train import model_file

    model_file.save(network(1), tmp_path / "a.keras")
    model_file.save(network(2), tmp_path / "b.keras")
    assert (tmp_path / "a.keras").read_bytes() != (tmp_path / "b.keras").read_bytes()


def test_keras_opens_it_and_predicts_the_same(tmp_path: Path) -> None:
    import keras

    from pipeline.train import model_file

    saved = network()
    model_file.save(saved, tmp_path / "a.keras")
    images = np.random.default_rng(1).random((5, 32, 32, 3), np.float32)
    opened = keras.saving.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(opened.predict_on_batch(images), saved.predict_on_batch(images))


def test_shared_objects_stay_shared_and_apart() -> None:
    from pipeline.train import model_file

    config = {"a": {"shared_object_id": 140737}, "b": {"shared_object_id": 99}}
    config["c"] = dict(config["a"])
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", json.dumps(config))
    with zipfile.ZipFile(io.BytesIO(model_file.stable(archive.getvalue()))) as file:
        renumbered = json.loads(file.read("config.json"))
    assert [renumbered[key]["shared_object_id"] for key in "abc"] == [1, 2, 1]
