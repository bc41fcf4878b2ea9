"""Why `improved` beats its published accuracy: `python benchmarks/resampling.py` (15 minutes).

Trains the same network by the same recipe on the same images, but augmented as the study did it,
by Keras's own RandomFlip, RandomRotation and RandomZoom inside the model: every image is resampled
twice, where the pipeline rotates and zooms in a single resampling. Prints both test accuracies;
the pipeline's is the committed one.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline import runtime
from pipeline.base import params_file
from pipeline.data import splits
from pipeline.report import places
from pipeline.train import arithmetic, recipe, variant


def main() -> None:
    params = params_file.read()
    what = variant.read(params, "improved")
    how = recipe.read(params, what.recipe)
    runtime.start(arithmetic.read(params, what.arithmetic).cpu_isa)
    import keras

    keras.utils.set_random_seed(what.seed)
    amounts, training = what.augmentation, splits.read("train")
    network = keras.Sequential(
        [
            keras.layers.RandomFlip("horizontal"),
            keras.layers.RandomFlip("vertical"),
            keras.layers.RandomRotation(amounts["rotation"]),
            keras.layers.RandomZoom(amounts["zoom"]),
            what.build(
                shape=training.images.shape[1:], classes=training.labels.shape[1], training=True
            ),
        ]
    )
    network.compile(keras.optimizers.Adam(how.learning_rate), how.loss, metrics=["accuracy"])
    network.fit(
        *training,
        batch_size=how.batch_size,
        epochs=how.epochs,
        validation_data=splits.read("validation"),
        verbose=2,
    )
    _, accuracy = network.evaluate(*splits.read("test"), verbose=0)
    committed = json.loads(places.metrics("improved").read_text())["accuracy"]
    print("| augmentation of `improved` | test accuracy |\n| --- | ---: |")
    print(f"| Keras's layers, one resampling after another | {accuracy:.4f} |")
    print(f"| the pipeline's, a single resampling | {committed:.4f} |")


if __name__ == "__main__":
    main()
