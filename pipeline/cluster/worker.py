"""Runs one stage on a Dask worker, in a clone at the commit that the head names.

The head sends this module as source text, which every version of Python compiles for itself, so it
imports only the standard library and Dask.
"""

import contextlib
import hashlib
import os
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

from distributed import get_worker

DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
RETRY_SECONDS = (1, 2, 4, 8, 16, 32)  # before each further attempt
POLL_SECONDS = 0.5
MIN_FREE_MIB = 256
# Ends the process group once standard input is closed, as by the death of the parent process. The
# interrupt lets DVC release its locks.
END_WITH_PARENT = """exec 3<&0
(cat <&3; kill -INT 0; sleep 5; kill -KILL 0) >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null"""


def run_process(
    *command: str,
    folder: Path = Path(),
    log: Path | None = None,
    poll: Callable[[], None] = lambda: None,
) -> int:
    """The exit status of `command` in `folder`; its output is appended to `log`.

    Calls `poll` while it runs, and ends its process group after an exception, also from there.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {"PATH": path, "PYTHONUNBUFFERED": "1", "GIT_TERMINAL_PROMPT": "0"}
    with contextlib.ExitStack() as stack:
        output = stack.enter_context(log.open("ab")) if log else None
        process = subprocess.Popen(
            ["sh", "-c", END_WITH_PARENT, "sh", *command],
            cwd=folder,
            env={**os.environ, **variables},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        stack.enter_context(process)  # on exit closes standard input and waits
        while process.poll() is None:
            poll()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(POLL_SECONDS)
    return process.returncode


def run_with_retries(
    run: Callable[..., int], *command: str, pauses: Iterable[int] = RETRY_SECONDS
) -> None:
    """`run` the command, again after each of `pauses` while it fails: a server may be away.

    Raises RuntimeError when the last attempt fails.
    """
    for pause in (*pauses, None):
        if run(*command) == 0:
            return
        if pause is not None:
            print(f"{shlex.join(command)} failed; next attempt in {pause} s", flush=True)
            time.sleep(pause)
    raise RuntimeError(f"{shlex.join(command)} failed")


def read_files(paths: Iterable[Path], folder: Path = Path()) -> dict[str, bytes]:
    """The contents of the files at `paths` in `folder`, also of those below folders."""
    found = [folder / path for path in paths]
    below = [file for path in found for file in (path.rglob("*") if path.is_dir() else [path])]
    return {str(f.relative_to(folder)): f.read_bytes() for f in below if f.is_file()}


def write_files(contents: dict[str, bytes], folder: Path = Path()) -> None:
    """Write what `read_files` returned into `folder`."""
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def run_stage(job: dict[str, Any]) -> dict[str, Any]:
    """The `files` that the stage of `job` wrote, `failed`, or why this worker is `unsuitable`.

    Publishes the host name and the output as events. The clone lies in the worker's local
    directory, which Dask deletes with the worker.
    """
    worker = get_worker()
    key = worker.get_current_task()
    scratch = Path(worker.local_directory)
    repository = hashlib.sha256(job["repository"].encode()).hexdigest()[:8]
    clone = scratch / f"{repository}-{threading.get_ident()}"
    log = clone.with_suffix(".log")

    def publish(**event: str) -> None:
        worker.log_event(job["topic"], {"stage": job["stage"], **event})

    def poll() -> None:
        if text := output.read().decode("utf-8", "replace"):
            publish(output=text)
        task = worker.state.tasks.get(key)
        closing = worker.status.name in ("closing", "closed")  # as without a scheduler
        if closing or task is None or task.state != "executing":
            raise RuntimeError("cancelled")

    publish(host=socket.gethostname())
    try:
        log.write_bytes(b"")
        with log.open("rb") as output:
            try:
                result = _run_in_clone(job, clone, partial(run_process, log=log, poll=poll))
            finally:
                poll()
    except Exception as error:  # of this machine, not of the stage
        text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
        result = {"unsuitable": f"{error} {text.rstrip().rpartition(chr(10))[2]}"}
    free = shutil.disk_usage(scratch).free >> 20
    if "files" not in result and free < MIN_FREE_MIB:
        result = {"unsuitable": f"{scratch}: expected {MIN_FREE_MIB} MiB free, found {free}"}
    return {**result, "worker": worker.address}


def _run_in_clone(job: dict[str, Any], clone: Path, run: Callable[..., int]) -> dict[str, Any]:
    """Raises RuntimeError or OSError when this machine cannot run the stage of `job`."""
    if platform.machine() != job["machine"]:  # other bytes
        raise RuntimeError(f"expected a processor {job['machine']}, found {platform.machine()}")
    check_out(job["commit"], job["repository"], clone, run)
    write_files(job["files"], clone)
    run = partial(run, folder=clone)
    run_with_retries(run, sys.executable, "-m", "pipeline.tools.environment", pauses=())
    if job["inputs"]:
        run_with_retries(run, *DVC, "pull", *job["inputs"])
    if run(*DVC, "repro", "--single-item", job["stage"]):
        return {"failed": True}
    run_with_retries(run, *DVC, "push", job["stage"])
    return {"files": read_files(map(Path, job["outputs"]), clone)}


def check_out(commit: str, repository: str, clone: Path, run: Callable[..., int]) -> None:
    """Have `clone` at `commit`; cloned anew where git fails, as by a stale index.lock."""
    git = ("git", "-C", str(clone))
    checkout = (*git, "checkout", "--quiet", "--force", "--detach", commit)
    clean = (*git, "clean", "--quiet", "--force", "-d")
    if clone.exists():
        run_with_retries(run, *git, "fetch", "--quiet", "origin")
        if run(*checkout) == run(*clean) == 0:
            return
        shutil.rmtree(clone)
    run_with_retries(run, "git", "clone", "--quiet", "--no-checkout", repository, str(clone))
    run_with_retries(run, *checkout, pauses=())
