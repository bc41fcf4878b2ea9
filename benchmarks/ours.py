"""A variant trained by the pipeline's own `fit`, on noise: what the other benchmarks time.

`python benchmarks/ours.py VARIANT IMAGES EPOCHS [SETTING=VALUE ...]` prints the seconds of each
epoch as JSON; settings replace those of the variant, its recipe or its numerics, and
`convolutions=keras` Winograd's convolutions.
"""

import json
import sys
import time
from typing import Any

import held_out
import numpy as np
import yaml

from pipeline import runtime
from pipeline.core.params import read_params
from pipeline.training.variant import read_training_config


def main(name: str, images: int, epochs: int, changes: dict[str, Any]) -> None:
    is_winograd = changes.pop("convolutions", None) != "keras"
    params = read_params()
    held_out.change_settings(params, name, {"epochs": epochs} | changes)
    config = read_training_config(params, name)
    runtime.start(config.numerics.cpu_isa, config.numerics.device)
    # They import TensorFlow, which must be started first.
    import tensorflow as tf
    from keras import layers

    from pipeline.training import fit, winograd

    if not is_winograd:
        winograd.Convolution.call = layers.Conv2D.call  # type: ignore[method-assign]

    generator = np.random.default_rng(0)
    # Copied once and dropped, as the stage does.
    data = tf.constant(generator.random((images, 32, 32, 3), np.float32))
    labels = tf.constant(np.eye(10, dtype=np.float32)[generator.integers(10, size=images)])
    few = images // 9  # 5,000 for 45,000
    validation = (data[:few], labels[:few]) if config.recipe.train_on == "train" else None
    ends = [time.monotonic()]
    fit.fit(config, (data, labels), validation, None, lambda _: ends.append(time.monotonic()))
    print(json.dumps(np.diff(ends).tolist()))


if __name__ == "__main__":
    pairs = (argument.partition("=") for argument in sys.argv[4:])
    settings = {key: yaml.safe_load(value) for key, _, value in pairs}
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), settings)
