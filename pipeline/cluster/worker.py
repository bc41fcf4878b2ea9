"""Runs one stage on a Dask worker, in a clone at the commit that the head names.

The head sends this module as text: it imports only the standard library, and Dask.
"""

import os
import platform
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, BinaryIO

DVC = (sys.executable, "-m", "dvc", "--wait-for-lock")
RETRY_SECONDS = (1, 2, 4, 8, 16, 32)  # before each further attempt
POLL_SECONDS = 0.2
# Ends the process group once standard input is closed, as by the death of the parent process. The
# interrupt lets DVC release its locks.
END_WITH_PARENT = """exec 3<&0
(cat <&3; kill -INT 0; sleep 5; kill -KILL 0) >/dev/null 2>&1 &
exec "$@" 3<&- </dev/null"""


def start_process(
    *command: str, folder: Path = Path(), output: BinaryIO | None = None
) -> subprocess.Popen[bytes]:
    """`command` in `folder`, which writes to `output`; its process group ends when `stdin` closes,
    as by the exit of `with`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        ["sh", "-c", END_WITH_PARENT, "sh", *command],
        cwd=folder,
        env={**os.environ, "PATH": path, "PYTHONUNBUFFERED": "1", "GIT_TERMINAL_PROMPT": "0"},
        stdin=subprocess.PIPE,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def run_process(*command: str, poll: Callable[[], None] = lambda: None, **options: Any) -> int:
    """The exit status of `command`, started with `options`.

    Calls `poll` while it runs, and ends its process group after an exception, also from there.
    """
    with start_process(*command, **options) as process:
        while process.poll() is None:
            poll()
            time.sleep(POLL_SECONDS)
    return process.returncode


def raise_if_cancelled() -> None:
    """Raise Reschedule when nobody waits for the current task: its head or scheduler is gone."""
    from distributed import Reschedule, get_worker  # not there where stages run without a cluster

    worker = get_worker()
    task = worker.state.tasks.get(worker.get_current_task())
    if worker.status.name in ("closing", "closed") or task is None or task.state != "executing":
        raise Reschedule


def check_process(*command: str, pauses: Iterable[int] = RETRY_SECONDS, **options: Any) -> None:
    """`run_process`, again after each of `pauses` while it fails: a server may be away.

    Raises CalledProcessError when the last attempt fails.
    """
    for pause in (0, *pauses):
        time.sleep(pause)
        if (status := run_process(*command, **options)) == 0:
            return
    raise subprocess.CalledProcessError(status, command)


def read_files(paths: Iterable[str], folder: Path = Path()) -> dict[str, bytes]:
    """The contents of those of `paths` in `folder` that are there."""
    return {path: (folder / path).read_bytes() for path in paths if (folder / path).is_file()}


def write_files(contents: dict[str, bytes], folder: Path = Path()) -> None:
    """Write what `read_files` returned into `folder`."""
    for path, content in contents.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)


def run_stage(job: dict[str, Any]) -> dict[str, bytes]:
    """The files that the stage of `job` wrote; none if it, or this machine, failed.

    Publishes its output, and why the machine failed, as events. The clone lies in the worker's
    local directory, which Dask deletes with the worker.
    """
    from distributed import Reschedule, get_worker

    worker = get_worker()
    clone = Path(worker.local_directory, str(threading.get_ident()))
    log = clone.with_suffix(".log")

    def publish() -> None:
        if text := written.read().decode("utf-8", "replace"):
            worker.log_event(job["topic"], {"stage": job["stage"], "output": text})

    def poll() -> None:
        publish()
        raise_if_cancelled()

    with log.open("wb", buffering=0) as output, log.open("rb") as written:
        try:
            return _run_in_clone(job, clone, output=output, poll=poll)
        except Reschedule:
            raise
        except Exception as error:  # of this machine, such as a git that is not installed
            output.write(f"{worker.address}: {error}\n".encode())
            return {}
        finally:
            publish()


def _run_in_clone(job: dict[str, Any], clone: Path, **options: Any) -> dict[str, bytes]:
    """Any exception is of this machine, which cannot run the stage of `job`."""
    if platform.machine() != job["machine"]:  # other bytes
        raise RuntimeError(f"expected a processor {job['machine']}, found {platform.machine()}")
    shutil.rmtree(clone, ignore_errors=True)  # with what another stage or commit has left
    clone.mkdir()
    options["folder"] = clone
    check_process("git", "clone", "--quiet", "--no-checkout", job["repository"], ".", **options)
    check_process("git", "checkout", "--quiet", "--detach", job["commit"], pauses=(), **options)
    cache = f"[cache]\n    dir = {clone.parent}/cache\n"  # kept, for all stages of this worker
    write_files({**job["files"], ".dvc/config.local": cache.encode()}, clone)
    check_process(sys.executable, "-m", "pipeline.tools.environment", pauses=(), **options)
    if job["inputs"]:
        check_process(*DVC, "pull", *job["inputs"], **options)
    if run_process(*DVC, "repro", "--single-item", job["stage"], **options):
        return {}
    check_process(*DVC, "push", job["stage"], **options)
    return read_files(job["outputs"], clone)
