"""The project as a git and DVC repository, whose `check`, `plots` and `prune` are make's."""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

import vl_convert
from dvc.exceptions import DvcException
from dvc.repo import Repo, lock_repo
from dvc.utils.serialize import dump_yaml, load_yaml

from pipeline.core import files, paths, splits
from pipeline.core.errors import PipelineError
from pipeline.core.params import lookup, read_params
from pipeline.tools import environment, lockfile, processes
from pipeline.tools.environment import variant_of

REMEDY = "fix it, then run again in a clone of the project, or after `git init` and a first commit"
PLOTS = Path(".dvc/tmp/plots.html")
VEGA_LITE = "5.21"  # reads DVC's plot templates, which are for version 5
PAGE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>Plots of the pipeline</title>
<script>(() => {{ {libraries} }})();</script>
<body>{{plot_divs}}</body></html>"""


def git(*arguments: str, folder: Path = Path()) -> bytes:
    """Standard output of `git ARGUMENTS` in `folder`; PipelineError with its error output."""
    command = ["git", "--no-optional-locks", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True)
    if done.returncode:
        message = (done.stderr or done.stdout).decode(errors="replace").strip()
        raise PipelineError(f"{folder.resolve()}: `{' '.join(command)}`: {message}; {REMEDY}")
    return done.stdout


def copy_files(project: Path, folder: Path, *, left_out: Collection[str]) -> None:
    """Copy what a commit of everything in `project` would hold, all files but ignored ones.

    `left_out` are names of top-level files and folders.
    """
    listing = ("ls-files", "-z", "--cached", "--others", "--exclude-standard")
    for name in os.fsdecode(git(*listing, folder=project)).rstrip("\0").split("\0"):
        if Path(name).parts[0] not in left_out and (project / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(project / name, folder / name)


@contextmanager
def opened(*, lock: bool = True, wait: bool = False) -> Iterator[Repo]:
    """The project, with `lock` under DVC's, so that no other dvc writes dvc.lock meanwhile.

    Hold it briefly: a stage that ends meanwhile waits 3 s for the lock, then fails. Raises
    PipelineError where DVC cannot read the project, and unless `wait` while another dvc holds it.
    """
    try:
        with Repo(_wait_for_lock=wait) as repo, lock_repo(repo) if lock else nullcontext():
            yield repo
    except (DvcException, PermissionError, FileNotFoundError) as error:
        remedy = lockfile.REMEDY if lockfile.LOCK.name in str(error) else REMEDY
        if isinstance(error, OSError):
            remedy = "mend its permissions; a link into a cache that was moved: `dvc checkout`"
        raise PipelineError(f"DVC cannot read this project: {error}; {remedy}") from error


def read_entries() -> dict[str, Any]:
    """The entries of dvc.lock by stage, in the order of the file."""
    return load_yaml(lockfile.LOCK)["stages"] if lockfile.LOCK.exists() else {}


def write_entries(entries: Mapping[str, Any]) -> None:
    """Write dvc.lock with these `entries`."""
    content = {"schema": "2.0", "stages": entries}
    files.write(lockfile.LOCK, lambda temporary: dump_yaml(temporary, content))


def check() -> None:
    """Re-read DVC's cache and the outputs; PipelineError with the remedies for damaged files.

    DVC hashes a file once. From then on it trusts a cached file for being read-only, and a file in
    the workspace for its modification time and size. This reads every byte, 1.8 GB in 5 s, and
    leaves to `dvc repro` an output that DVC itself sees to be changed.
    """
    with opened() as repo:
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
    print("DVC's cache and outputs: all as recorded")


def _changed_outputs(repo: Repo) -> set[str]:
    """The outputs, files or folders, of which DVC's recorded hash is not that of the workspace."""
    outputs = [output for output in repo.index.outs if output.hash_info and output.exists]
    return {str(output) for output in outputs if output.changed_checksum()}


def prune() -> None:
    """Delete what variants and backbones left that params.yaml no longer has, and their entries.

    `git checkout . && dvc checkout --allow-missing` brings committed ones back.
    """
    params = read_params()
    known = {"", *lookup(params, "variants"), *lookup(params, "backbones")}
    with opened():
        entries = read_entries()
        kept = {stage: entries[stage] for stage in entries if variant_of(stage) in known}
        if kept != entries:
            write_entries(kept)
    names = set(map(variant_of, entries)) | {path.name for path in paths.RESULTS.glob("*")}
    names |= {path.stem for path in paths.checkpoint("").parent.glob("*.npz")}
    for name in sorted(names - known):
        left = [paths.model(name), paths.tflite(name), paths.checkpoint(name)]
        left += [environment.path(f"{stage}@{name}") for stage in ("train", "evaluate", "features")]
        left += [paths.split(s, name) for s in splits.NAMES if f"features@{name}" in entries]
        for path in (*left, *(paths.RESULTS / name).glob("*")):
            if path.exists():
                path.unlink()
                print(f"deleted {path}")
        with suppress(OSError):
            (paths.RESULTS / name).rmdir()


def plots() -> None:
    """Write PLOTS, for the option --html-template of `dvc plots`, with libraries of vl-convert.

    DVC's own template loads them from a content delivery network.
    """
    libraries = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;", VEGA_LITE)
    files.write_text(PLOTS, PAGE.format(libraries=libraries))


if __name__ == "__main__":
    processes.run_command({"check": check, "plots": plots, "prune": prune}[sys.argv[1]])
