"""Whether files are what DVC recorded: `python -m pipeline.tools.intact` names those that are not.

DVC 3.67 hashes a file once. From then on it trusts a cached file for being read-only, and a file
in the workspace for its time and size: what a disk or a program damages it hands out, and calls
up to date. Here every byte is read again, 1.8 GB in 5 s.
"""

import errno
import os
import shlex
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from dvc.fs import localfs
from dvc.output import Output
from dvc.stage.cache import _get_cache_hash
from dvc.utils.serialize import ParseError, load_yaml

from pipeline.base.errors import PipelineError
from pipeline.tools import dvc_project, recorded

# DVC names a cached file by its MD5, the first two digits as a folder; a folder's ends in .dir.
CACHED = "[0-9a-f]" * 2 + "/" + "[0-9a-f]" * 30
CACHED_NAMES = (CACHED, CACHED + ".dir")


def check_inputs(stage: str) -> None:
    """Raise PipelineError unless all that `stage` reads is what dvc.lock says earlier stages made.

    For a stage that DVC has started; by hand one may work on other files.
    """
    with dvc_project.opened(wait=True) as repo:
        made = {output.fs_path: output for output in repo.index.outs if output.hash_info}
        deps = [dep.fs_path for dep in repo.stage.load_one(name=stage).deps]
    read = [made[path] for path in made for dep in deps if _lies_in(path, dep)]
    if damaged := _damaged(read):
        raise PipelineError(
            f"expected what dvc.lock records, found other bytes in {', '.join(damaged)}: delete "
            f"that, `{_removal(damaged)}`, run `python -m pipeline.tools.intact` to see whether "
            "DVC's cache is damaged as well, then `dvc repro`"
        )


def _lies_in(path: str, place: str) -> bool:
    return path == place or path.startswith(place + os.sep)


def check() -> int:
    """The number of files and folders in DVC's cache and among the outputs, all read and right.

    An output that DVC itself sees to be changed is left to `dvc repro`. Raises PipelineError when
    one is damaged, or what DVC needs to read the project.
    """
    with dvc_project.opened(wait=False) as repo:
        outputs = [output for output in repo.index.outs if output.hash_info and output.exists]
        runs = list(Path(repo.stage_cache.cache_dir).glob("*/*/*"))
        cache = Path(repo.cache.local.path)
    objects = [path for pattern in CACHED_NAMES for path in cache.glob(pattern)]
    with ThreadPoolExecutor() as pool:  # hashing lets other threads run
        cached = dict(zip(objects, pool.map(_is_object, objects), strict=True))
    cached |= {path: _is_run(path) for path in runs}  # 1 ms each, so not under DVC's lock
    unchanged = [output for output in outputs if not output.changed_checksum()]
    damaged = [os.path.relpath(path) for path, sound in sorted(cached.items()) if not sound]
    if damaged := damaged + _damaged(unchanged):
        lines = "\n".join(f"  {path}" for path in damaged)
        raise PipelineError(
            f"expected what DVC recorded, found other bytes in\n{lines}\n"
            f"delete them, `{_removal(damaged)}`, and run `dvc repro` to make them again, or "
            "`dvc pull` first where a remote has them"
        )
    return len(cached) + len(unchanged)


def _damaged(outputs: Iterable[Output]) -> list[str]:
    return [
        str(output)
        for output in outputs
        if not _is(output.hash_info.value, partial(_recorded_as, output))
    ]


def _recorded_as(output: Output) -> str:
    """What DVC would record of `output` as it is now: a folder by the list of what is in it."""
    root = Path(output.fs_path)
    if not root.is_dir():
        return recorded.md5(root)
    walk = output.dvcignore.walk(localfs, output.fs_path)
    files = [Path(folder, name) for folder, _, names in walk for name in names]
    return recorded.folder_md5(root, files)


def _is_object(path: Path) -> bool:
    return _is(path.parent.name + path.name.removesuffix(".dir"), lambda: recorded.md5(path))


def _is_run(path: Path) -> bool:
    """Whether `path` is the record of a run that its name promises: hashes of inputs and of all."""

    def hashes() -> list[str]:
        entry = load_yaml(path)
        return [_get_cache_hash(dict(entry), key=True), _get_cache_hash(entry)]

    try:
        right = _is([path.parent.name, path.name], hashes)
    except (ParseError, TypeError, LookupError, AttributeError):
        right = False
    return right or not path.exists()  # a temporary name that is gone meanwhile does no harm


def _is(expected: object, found: Callable[[], object]) -> bool:
    """Whether what can be read is as expected; a file that has gone meanwhile does no harm."""
    try:
        return found() == expected
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno != errno.EIO:  # a disk that cannot read what it wrote
            raise PipelineError(f"cannot read {error.filename}: {error.strerror}") from error
        return False


def _removal(paths: Iterable[str]) -> str:
    return f"rm -rf {shlex.join(paths)}"


if __name__ == "__main__":
    try:
        print(f"DVC's cache and outputs: all {check()} as recorded")
    except PipelineError as error:
        sys.exit(f"intact: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # the shell's status for Ctrl-C
