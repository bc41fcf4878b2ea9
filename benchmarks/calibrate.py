"""The temperature of a recipe: `python benchmarks/calibrate.py VARIANT`.

Trains on the training images and prints the temperature fitted on the validation images, for
`temperatures` of params.yaml. A recipe that trains on both has none left, but overfits as much.
"""

import sys
from functools import partial

import held_out
import numpy as np

from pipeline.core.params import lookup, read_params
from pipeline.core.splits import Split
from pipeline.evaluation.config import read_inference_config
from pipeline.evaluation.inference import calibrate, predict_logits


def main(name: str) -> None:
    params = read_params()
    model, images, labels = held_out.train(params, name)  # starts TensorFlow
    from pipeline.evaluation.deterministic import make_deterministic

    batch_size = lookup(params, "inference.batch_size")
    predict = partial(predict_logits, make_deterministic(model), batch_size=batch_size)
    split = Split(images, np.eye(labels.max() + 1, dtype=np.float32)[labels])
    fitted = calibrate(predict, split, read_inference_config(params, name), 0.05)
    recipe = lookup(params, f"variants.{name}.recipe")
    print(f"temperatures: {{{recipe}: {fitted.temperature:.3f}}}")


if __name__ == "__main__":
    main(sys.argv[1])
