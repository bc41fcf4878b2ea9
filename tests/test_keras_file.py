"""Saved models: stable bytes that Keras opens, earlier versions among them."""

import io
import json
import time
import zipfile
from pathlib import Path
from typing import Any

import lazy
import numpy as np
import pytest
from test_networks import IMAGES, build, randomize

pytestmark = pytest.mark.usefixtures("tensorflow_started")
# Keras 3.4 refused a layer with one of these in its configuration.
REFUSED = {
    *("input_axes", "output_axes", "optional", "quantization_config", "ragged"),
    *("renorm", "renorm_clipping", "renorm_momentum"),
}


def keys(config: Any) -> set[str]:
    """The keys of all mappings in `config`."""
    if isinstance(config, dict):
        return set(config).union(*map(keys, config.values()))
    return set().union(*map(keys, config)) if isinstance(config, list) else set()


def read_config(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("config.json"))


@pytest.mark.parametrize("variant", ["deep", "fast"])
def test_saved_model_has_stable_bytes_and_loads_without_code_of_the_project(
    tmp_path: Path, variant: str
) -> None:
    paths = [tmp_path / name for name in ("a.keras", "b.keras", "c.keras")]
    for path in paths:
        model = randomize(build(variant, training=False))
        if path == paths[2]:
            model.layers[-1].set_weights([0 * w for w in model.layers[-1].get_weights()])
        lazy.keras_file.save_model(model, path)
        time.sleep(2.1)  # a zip's times count in steps of two seconds
    assert paths[0].read_bytes() == paths[1].read_bytes() != paths[2].read_bytes()

    model = randomize(build(variant, training=False))
    model.save(tmp_path / "keras.keras")
    keras_own = keys(read_config(tmp_path / "keras.keras"))
    assert keras_own & REFUSED
    assert keys(read_config(paths[0])) == keras_own - REFUSED
    loaded = lazy.keras.saving.load_model(paths[0], safe_mode=True)
    assert all(type(layer).__module__.startswith("keras.") for layer in loaded.layers)
    np.testing.assert_array_equal(loaded(IMAGES), model(IMAGES))


def test_normalizing_keeps_shared_objects_and_arguments_at_other_values() -> None:
    config: dict[str, Any] = {
        "a": {"shared_object_id": 140737, "renorm": True},
        "b": {"shared_object_id": 99, "renorm_momentum": 0.9, "layers": [{"ragged": False}]},
    }
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("config.json", json.dumps({**config, "c": config["a"]}))
    output = io.BytesIO(lazy.keras_file.normalize_archive(archive.getvalue()))
    with zipfile.ZipFile(output) as file:
        assert json.loads(file.read("config.json")) == {
            "a": {"shared_object_id": 1, "renorm": True},
            "b": {"shared_object_id": 2, "renorm_momentum": 0.9, "layers": [{}]},
            "c": {"shared_object_id": 1, "renorm": True},
        }
