"""The memory that training on photos needs, estimated before any of them is decoded."""

import math
import re
from pathlib import Path

import psutil

from pipeline.base.errors import PipelineError
from pipeline.data import splits
from pipeline.datasets.config import ImageFolderConfig
from pipeline.datasets.image_folder import ImagesBySplit

GIB = 2**30
LARGEST_TRAINING = 3.9 * GIB  # bytes, measured: `best` on CIFAR-10 with eight threads
# Bytes besides the images: `best` of photos_params.yaml, 20,000 photos of 64 pixels, eight threads.
FIXED = 2.15 * GIB
# At its peak a training holds its float32 images twice: as arrays and as TensorFlow's copy.
BYTES_PER_PIXEL = 2 * 4 * splits.CHANNELS
CGROUPS, OWN_CGROUP = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")


def available_memory() -> int:
    """Bytes of the machine's memory, or the lowest limit of the control groups (v1 and v2)."""
    text = OWN_CGROUP.read_text(encoding="utf-8") if OWN_CGROUP.exists() else ""
    match = re.search(r"^0::/(.*)$", text, re.MULTILINE)
    group = CGROUPS / (match[1] if match else "")
    limits = [folder / "memory.max" for folder in (group, *group.parents)]
    limits.append(CGROUPS / "memory/memory.limit_in_bytes")
    texts = [path.read_text(encoding="utf-8").strip() for path in limits if path.is_file()]
    return min([psutil.virtual_memory().total, *map(int, filter(str.isdecimal, texts))])


def split_counts(photos: ImagesBySplit, dataset: ImageFolderConfig) -> dict[str, int]:
    """About how many photos each split gets; one without a folder gets its share of `train`."""
    counts = {split: sum(map(len, classes.values())) for split, classes in photos.items()}
    shares = {"validation": dataset.validation_share, "test": dataset.test_share}
    drawn = {split: round(shares[split] * counts["train"]) for split in shares.keys() - counts}
    return counts | drawn | {"train": counts["train"] - sum(drawn.values())}


def expect_memory(photos: ImagesBySplit, dataset: ImageFolderConfig) -> str:
    """A line with the estimate; PipelineError when it exceeds the memory available."""
    counts = split_counts(photos, dataset)
    images, available = counts["train"] + counts["validation"], available_memory()
    needed = FIXED + BYTES_PER_PIXEL * images * dataset.side**2
    line = (
        f"training on {images:,} photos of {dataset.side} pixels a side needs up to "
        f"{needed / GIB:.1f} GiB of memory, {available / GIB:.1f} GiB are available"
    )
    if needed > available:
        side = math.isqrt(int(max(available - FIXED, 0) / BYTES_PER_PIXEL / images))
        raise PipelineError(
            f"params.yaml: dataset.side: {line}; expected a side of at most {side}, found "
            f"{dataset.side}: lower it, or take fewer photos"
        )
    return line
