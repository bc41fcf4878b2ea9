"""Fine-tuning against a linear head: `python benchmarks/fine_tuning.py PHOTOS`, as few_photos.py.

A head first, then stage 7 and the last convolution with it, each up to its best validation loss.
Writes reports/bench/fine_tuning.csv: the test accuracy of both, an image and its mirror as two.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from few_photos import DRAWS, copy_draw

from pipeline import runtime
from pipeline.datasets import backbones, features
from pipeline.datasets.config import BackboneConfig, ImageFolderConfig
from pipeline.datasets.preprocess import load_image_folder
from pipeline.tools import new_project

NAME, CONFIG = "efficientnet_lite2", BackboneConfig(side=260, batch_size=8)
BASE = new_project.COMMENTED.load(new_project.TEMPLATE)["dataset"] | {"side": CONFIG.side}
LOSS, TABLE = "sparse_categorical_crossentropy", Path("reports/bench/fine_tuning.csv")
TABLE.write_text("photos,draw,linear,fine_tuned\n")
runtime.start("AVX2")
import keras  # noqa: E402

for count, seed in DRAWS:
    keras.utils.set_random_seed(seed)
    with tempfile.TemporaryDirectory() as new:
        copy_draw(Path(sys.argv[1]), Path(new), count, seed)
        names, data = load_image_folder(ImageFolderConfig.model_construct(**BASE | {"folder": new}))
    backbone = backbones.build(backbones.BACKBONES[NAME], CONFIG.side)
    backbones.load_tensors(backbone, backbones.read_tensors(features.read_weights(NAME)))
    lower = keras.Model(backbone.input, backbone.get_layer("earlier_mean").input)
    upper = keras.Model(lower.output, backbone.output)
    head = keras.layers.Dense(len(names), "softmax", kernel_initializer="zeros")
    maps, means, accuracies = {}, {}, []
    for split, (images, labels) in data.items():
        views, own = np.concatenate(features.extract(lower, images, CONFIG)[:, 0]), labels.repeat(2)
        maps[split], means[split] = (views, own), (upper.predict(views, verbose=0), own)
    for layers, inputs, learning_rate in (([head], means, 0.002), ([upper, head], maps, 0.0001)):
        network = keras.Sequential(layers)
        stop = keras.callbacks.EarlyStopping("val_loss", patience=8, restore_best_weights=True)
        network.compile(keras.optimizers.Adam(learning_rate), LOSS, metrics=["accuracy"])
        options = {"validation_data": inputs["validation"], "callbacks": [stop], "verbose": 0}
        network.fit(*inputs["train"], batch_size=32, epochs=60, **options)
        accuracies.append(network.evaluate(*inputs["test"], verbose=0)[1])
    with TABLE.open("a") as table:
        print(count or "all", seed, *(f"{value:.4f}" for value in accuracies), sep=",", file=table)
