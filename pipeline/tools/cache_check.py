"""Re-read DVC's cache and the outputs: `python -m pipeline.tools.cache_check` names damaged files.

DVC hashes a file once. From then on it trusts a cached file for being read-only, and a file in the
workspace for its modification time and size. This check reads every byte, 1.8 GB in 5 s.
"""

import os.path
import shlex
import sys
from pathlib import Path

from dvc.repo import Repo

from pipeline.core.errors import PipelineError
from pipeline.tools import dvc_project, lockfile


def check_cache() -> None:
    """PipelineError with the remedies for damaged files in DVC's cache and for damaged outputs.

    Leaves to `dvc repro` an output that DVC itself sees to be changed.
    """
    with dvc_project.opened() as repo:
        cache = repo.cache.local
        cached = {Path(os.path.relpath(cache.oid_to_path(oid))): oid[:32] for oid in cache.all()}
        damaged = shlex.join(str(p) for p, md5 in cached.items() if lockfile.file_md5(p) != md5)
        if damaged:
            raise PipelineError(
                f"{damaged}: expected the bytes that DVC recorded, found others; "
                f"`rm -f {damaged}`, then `dvc repro` makes them again, where a remote has them "
                "`dvc pull` first"
            )
        changed = _changed_outputs(repo)
        repo.state.hashes.clear()  # by which DVC trusts a file
        if damaged := shlex.join(_changed_outputs(repo) - changed):
            raise PipelineError(
                f"{damaged}: expected the bytes that DVC recorded, found others, which DVC sees "
                "from now on: `dvc repro` restores an output; of data tracked by `dvc add`, this "
                "keeps the change, `dvc checkout --force` takes it back"
            )


def _changed_outputs(repo: Repo) -> set[str]:
    """The outputs, files or folders, of which DVC's recorded hash is not that of the workspace."""
    outputs = [output for output in repo.index.outs if output.hash_info and output.exists]
    return {str(output) for output in outputs if output.changed_checksum()}


if __name__ == "__main__":
    try:
        check_cache()
        print("DVC's cache and outputs: all as recorded")
    except (PipelineError, OSError) as error:
        sys.exit(f"cache_check: {error}")
