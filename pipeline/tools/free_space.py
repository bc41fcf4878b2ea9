"""After a run that failed: say so where a disk is full. `python -m pipeline.tools.free_space`.

DVC's own words are "disk I/O error" when it was one of its databases that found no room.
"""

import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from dvc.dirs import site_cache_dir

FULL_BYTES = 10_000_000  # the largest model and its checkpoint take 16 MB


def full(folders: Iterable[Path]) -> dict[Path, int]:
    """Those of `folders` on whose disks hardly anything is left, and how many bytes."""
    left = {folder: shutil.disk_usage(_existing(folder)).free for folder in folders}
    return {folder: free for folder, free in left.items() if free < FULL_BYTES}


def _existing(folder: Path) -> Path:
    return next(each for each in (folder, *folder.absolute().parents) if each.exists())


if __name__ == "__main__":
    for folder, free in full([Path.cwd(), Path(site_cache_dir())]).items():
        print(
            f"the disk of {folder} is full, {free // 1000} kB are left: free some space, then run "
            "again; what has ended is kept, and a training goes on after its last epoch",
            file=sys.stderr,
        )
