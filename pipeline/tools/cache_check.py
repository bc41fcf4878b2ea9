"""Re-read DVC's cache and the outputs: `python -m pipeline.tools.cache_check` names damaged files.

DVC hashes a file once. From then on it trusts a cached file for being read-only, and a file in the
workspace for its modification time and size. This check reads every byte, 1.8 GB in 5 s.
"""

import os.path
import shlex
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from dvc.output import Output
from dvc_data.hashfile.tree import Tree

from pipeline.core.errors import PipelineError
from pipeline.tools import dvc_project, lockfile


def check_cache() -> int:
    """Number of files in DVC's cache and the outputs, all sound; PipelineError with the remedies.

    Leaves to `dvc repro` an output that DVC itself sees to be changed.
    """
    outputs, tracked = dict[str, str](), dict[str, str]()
    with dvc_project.opened(wait=False) as repo:
        cache = repo.cache.local
        cached = {os.path.relpath(cache.oid_to_path(oid)): oid for oid in cache.all()}
        for output in repo.index.outs:
            if output.hash_info and output.exists and not output.changed_checksum():
                (outputs if output.stage.cmd else tracked).update(_recorded_files(output))
    remedies = []
    if paths := _damaged(cached):
        remedies.append(
            f"{paths}. `rm -f {paths}`, then `dvc repro` makes them again, where a remote has "
            "them `dvc pull` first"
        )
    if paths := _damaged(outputs):
        remedies.append(
            f"{paths}. `touch {paths}`, which lets DVC see the change; then `dvc repro` restores it"
        )
    if paths := _damaged(tracked):
        remedies.append(
            f"{paths}, tracked by `dvc add`. `touch {paths}`; then `dvc add` of their folder keeps "
            "the change, `dvc checkout --force` takes it back"
        )
    if remedies:
        raise PipelineError(
            "\n".join(["expected the bytes that DVC recorded, found others in", *remedies])
        )
    return len(cached) + len(outputs) + len(tracked)


def _recorded_files(output: Output) -> dict[str, str]:
    """MD5 by path of the files of `output`; none of a folder whose list is lost or damaged."""
    if not output.hash_info.isdir:
        return {str(output): output.hash_info.value}
    recorded = output.get_obj()
    files = recorded if isinstance(recorded, Tree) else ()
    return {os.path.join(str(output), *key): info.value for key, _, info in files}


def _damaged(md5s: Mapping[str, str]) -> str:
    """Those paths of which the file has another MD5, or is missing, quoted for a shell."""
    with ThreadPoolExecutor() as pool:  # hashing releases the GIL
        sound = pool.map(lockfile.has_md5, map(Path, md5s), (md5[:32] for md5 in md5s.values()))
    return shlex.join(path for path, is_sound in zip(md5s, sound, strict=True) if not is_sound)


if __name__ == "__main__":
    try:
        print(f"DVC's cache and outputs: all {check_cache()} as recorded")
    except (PipelineError, OSError) as error:
        sys.exit(f"cache_check: {error}")
