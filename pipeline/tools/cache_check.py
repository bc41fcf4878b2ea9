"""Re-read DVC's cache and the outputs: `python -m pipeline.tools.cache_check` names damaged files.

DVC hashes a file once. From then on it trusts a cached file for being read-only, and a file in the
workspace for its modification time and size. This check reads every byte, 1.8 GB in 5 s.
"""

import os.path
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dvc.dirs import site_cache_dir
from dvc.output import Output
from dvc_data.hashfile.tree import Tree

from pipeline.core.errors import PipelineError
from pipeline.tools import dvc_project, lockfile

FULL_BYTES = 10_000_000  # the largest model and its checkpoint take 16 MB


def check_cache() -> int:
    """Number of files in DVC's cache and the outputs, all sound; PipelineError with the remedies.

    Leaves to `dvc repro` an output that DVC itself sees to be changed.
    """
    with dvc_project.opened(wait=False) as repo:
        outputs = [out for out in repo.index.outs if out.hash_info and out.exists]
        cache = repo.cache.local
        unchanged = [out for out in outputs if not out.changed_checksum()]
    recorded = {os.path.relpath(cache.oid_to_path(oid)): oid for oid in cache.all()}
    tracked: dict[str, str] = {}  # by `dvc add`: no stage makes them again
    for output in unchanged:
        (tracked if output.stage.is_data_source else recorded).update(_recorded_files(output))
    remedies = []
    if damaged := _damaged(tracked):
        paths = shlex.join(damaged)
        remedies.append(
            f"{paths}, which `dvc add` tracks. `touch {paths}`, then `dvc add` keeps the change, "
            f"`dvc checkout --force {paths}` takes it back"
        )
    # A changed file may be a link to its copy in the cache.
    own = {tracked[path] for path in damaged}
    if damaged := [path for path in _damaged(recorded) if recorded[path] not in own]:
        paths = shlex.join(damaged)
        remedies.append(
            f"{paths}. Delete: `rm -rf {paths}`; then `dvc repro` restores or makes them again, "
            "where a remote has them `dvc pull` first"
        )
    if remedies:
        raise PipelineError(
            "\n".join(["expected the bytes that DVC recorded, found others in", *remedies])
        )
    return len(recorded) + len(tracked)


def _recorded_files(output: Output) -> dict[str, str]:
    """MD5 by path of the files of `output`; none of a folder whose list is lost or damaged."""
    recorded = output.get_obj()
    if not output.hash_info.isdir:
        return {str(output): output.hash_info.value}
    if isinstance(recorded, Tree):
        recorded.digest()
        if recorded.hash_info == output.hash_info:
            return {os.path.join(str(output), *key): info.value for key, _, info in recorded}
    return {}


def _damaged(md5s: Mapping[str, str]) -> list[str]:
    """Those paths of which the file has another MD5, or is missing."""

    def is_sound(path: str) -> bool:
        return Path(path).exists() and lockfile.file_md5(Path(path)) == md5s[path][:32]  # no .dir

    with ThreadPoolExecutor() as pool:  # hashing releases the GIL
        sound = dict(zip(md5s, pool.map(is_sound, md5s), strict=True))
    return [path for path in md5s if not sound[path]]


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
    except (PipelineError, OSError) as error:
        sys.exit(f"cache_check: {error}")
