"""A variant trained by the pipeline's own `fit`, on noise: what the other benchmarks time.

`python benchmarks/ours.py VARIANT IMAGES EPOCHS [SETTING=VALUE ...]` prints the seconds of each
epoch as JSON; settings replace those of the variant, its recipe or its arithmetic, and
`convolutions=keras` Winograd's convolutions.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline import runtime
from pipeline.base import params_file
from pipeline.train import arithmetic, recipe, variant


def main(name: str, images: int, epochs: int, changes: dict[str, Any]) -> None:
    plain = changes.pop("convolutions", None) == "keras"
    params = params_file.read()
    own = params["variants"][name]
    sections = (params["recipes"][own["recipe"]], params["arithmetic"][own["arithmetic"]], own)
    for key, value in ({"epochs": epochs} | changes).items():
        next(section for section in sections if key in section)[key] = value
    what = variant.read(params, name)
    how = recipe.read(params, what.recipe)
    numbers = arithmetic.read(params, what.arithmetic)
    runtime.start(numbers.cpu_isa)
    # They import TensorFlow, which must be started first.
    import tensorflow as tf
    from keras import layers

    from pipeline.train import fit, winograd

    if plain:
        winograd.Convolution.call = layers.Conv2D.call  # type: ignore[method-assign]

    generator = np.random.default_rng(0)
    # Copied once and dropped, as the stage does.
    data = tf.constant(generator.random((images, 32, 32, 3), np.float32))
    labels = tf.constant(np.eye(10, dtype=np.float32)[generator.integers(10, size=images)])
    few = images // 9  # 5,000 for 45,000
    held_out = (data[:few], labels[:few]) if how.train_on == "train" else None
    ends = [time.monotonic()]
    fit.fit(
        name,
        what,
        how,
        numbers.precision,
        (data, labels),
        held_out,
        None,
        lambda _: ends.append(time.monotonic()),
    )
    print(json.dumps(np.diff(ends).tolist()))


if __name__ == "__main__":
    pairs = (argument.partition("=") for argument in sys.argv[4:])
    given = {key: yaml.safe_load(value) for key, _, value in pairs}
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), given)
