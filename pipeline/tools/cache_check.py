"""Re-read DVC's cache and the outputs: `python -m pipeline.tools.cache_check` names damaged files.

DVC hashes a file once. From then on it trusts a cached file for being read-only, and a file in the
workspace for its modification time and size. This check reads every byte, 1.8 GB in 5 s.
"""

import errno
import os.path
import shlex
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dvc.dirs import site_cache_dir
from dvc.fs import localfs
from dvc.output import Output
from dvc_data.hashfile.build import build
from dvc_data.hashfile.db import HashFileDB
from dvc_data.hashfile.tree import Tree

from pipeline.base.errors import PipelineError
from pipeline.tools import dvc_project, lockfile

FULL_BYTES = 10_000_000  # the largest model and its checkpoint take 16 MB


def check_inputs(stage: str) -> None:
    """Raise PipelineError unless the inputs of `stage` that DVC tracks have the recorded bytes.

    For a stage that DVC has started; by hand a stage may read other files.
    """
    with dvc_project.opened(wait=True) as repo:
        deps = [dep.fs_path for dep in repo.stage.load_one(name=stage).deps]
        tracked = [out for out in repo.index.outs if out.hash_info and out.exists]
    inputs = [o for o in tracked if any(localfs.isin_or_eq(o.fs_path, dep) for dep in deps)]
    if damaged := [path for output in inputs for path in damaged_files(output)]:
        raise PipelineError(
            f"{', '.join(damaged)}: expected the bytes that DVC recorded, found others; `python "
            "-m pipeline.tools.cache_check` says how to repair them"
        )


def check_cache() -> int:
    """Number of cached files and outputs, all sound; PipelineError with the remedies otherwise.

    Leaves to `dvc repro` an output that DVC itself sees to be changed.
    """
    with dvc_project.opened(wait=False) as repo:
        outputs = [out for out in repo.index.outs if out.hash_info and out.exists]
        cache = repo.cache.local
    cached = {oid: cache.oid_to_path(oid) for oid in cache.all()}
    with ThreadPoolExecutor() as pool:  # hashing releases the GIL
        sound = dict(zip(cached, pool.map(_has_md5, cached.values(), cached), strict=True))
    damaged = {oid: os.path.relpath(cached[oid]) for oid in cached if not sound[oid]}
    unchanged = [out for out in outputs if not out.changed_checksum()]
    remedies = []
    for output in unchanged:
        files = damaged_files(output)
        if files and output.stage.is_data_source:  # no stage makes them again
            damaged = {oid: path for oid, path in damaged.items() if oid not in files.values()}
            paths = shlex.join(files)
            remedies.append(
                f"{paths}, which `dvc add` tracks. Keep the change: `touch {paths}`, `dvc add "
                f"{output}`; take it back: `touch {paths}`, `dvc checkout --force {paths}`"
            )
        else:
            damaged |= {path: path for path in files}
    if damaged:
        paths = shlex.join(damaged.values())
        remedies.append(
            f"{paths}. Delete: `rm -rf {paths}`; then `dvc repro` restores or makes them again, "
            "where a remote has them `dvc pull` first"
        )
    if remedies:
        raise PipelineError(
            "\n".join(["expected the bytes that DVC recorded, found others in", *remedies])
        )
    return len(cached) + len(unchanged)


def damaged_files(output: Output) -> dict[str, str]:
    """Files of `output` whose bytes have another MD5 than the recorded one, which is the value."""
    no_state = HashFileDB(localfs, "")  # without DVC's notes of modification times
    path, ignore = output.fs_path, output.dvcignore
    _, _, present = build(no_state, path, localfs, "md5", dry_run=True, ignore=ignore)
    if present.hash_info == output.hash_info:
        return {}
    recorded = output.get_obj()
    if isinstance(present, Tree) and isinstance(recorded, Tree):
        md5s = {key: info.value for key, _, info in present}
        return {
            os.path.join(str(output), *key): info.value
            for key, _, info in recorded
            if md5s.get(key) != info.value
        }
    return {str(output): output.hash_info.value}


def _has_md5(path: str, oid: str) -> bool:
    try:
        return lockfile.file_md5(Path(path)) == oid.removesuffix(".dir")
    except OSError as error:
        if error.errno == errno.EIO:  # the disk cannot read what it wrote
            return False
        raise PipelineError(f"cannot read {path}: {error.strerror}") from error


def full_disks() -> Iterator[str]:
    """A line for each full disk, where DVC's own message is "disk I/O error"."""
    for folder in (Path.cwd(), Path(site_cache_dir())):
        if folder.exists() and shutil.disk_usage(folder).free < FULL_BYTES:
            yield (
                f"the disk of {folder} is full: free space, then run again; finished stages are "
                "kept, and a training resumes after its last epoch"
            )


if __name__ == "__main__":
    try:
        if sys.argv[1:] == ["--disks"]:
            print(*full_disks(), sep="\n", file=sys.stderr)
        else:
            print(f"DVC's cache and outputs: all {check_cache()} as recorded")
    except PipelineError as error:
        sys.exit(f"cache_check: {error}")
