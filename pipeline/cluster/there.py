"""What a worker on another machine does with a stage. It knows nothing but the commit.

Sent to it as code, as it need not have this project: so this module imports none of it but clone,
which is sent as well. The work is done by the commit's own pipeline/cluster/stage.py.
"""

import contextlib
import importlib.metadata
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

from distributed import Reschedule, Worker, WorkerPlugin, get_client, get_worker
from distributed.utils import sync

from pipeline.cluster.clone import cloned, space

FAILED = "the stage failed"  # of a RuntimeError whose second argument is the stage
TOPIC = "pipeline stages"
LOOK_SECONDS = 0.5
GRACE_SECONDS = 5.0  # to end after an interrupt, before the kill
ORDER, RESULT = Path(".dvc/tmp/order.json"), Path(".dvc/tmp/result.json")
LOG = Path(".dvc/tmp/stage.log")
PARENT = "PIPELINE_WORKER"  # the variable that names this process to the stage


class Suitable(WorkerPlugin):
    """Gives a worker the resource `name` where it has the libraries and the processor for stages.

    `libraries` are versions by package, `flags` what Linux calls the processor's instructions. Of a
    worker that lacks something it tells what.
    """

    def __init__(self, name: str, libraries: Mapping[str, str], flags: Sequence[str]) -> None:
        self.name, self.libraries, self.flags = name, dict(libraries), tuple(flags)

    async def setup(self, worker: Worker) -> None:
        lacking = [
            f"{package} {version}, found {found}"
            for package, version in self.libraries.items()
            if (found := _installed(package)) != version
        ]
        lacking += [f"a processor with {flag}" for flag in self.flags if flag not in _flags()]
        lacking += filter(None, [space()])
        if lacking:  # told before the head looks who has the resource
            told = {"worker": worker.address, "lacks": "; ".join(lacking)}
            await worker.scheduler.log_event(topic=TOPIC, msg=told)
        await worker.set_resources(**{self.name: int(not lacking)})


def wake(dask_scheduler: Any) -> None:
    """Have the scheduler look again for workers for the tasks that none could run.

    Dask does so when a worker comes, but not when that is found to be suitable, a moment later.
    """
    waiting = {task.key: "waiting" for task in dask_scheduler.unrunnable}
    dask_scheduler.transitions(waiting, stimulus_id="suitable")


def run(run_id: str, name: str, *before: Mapping[str, Any]) -> dict[str, Any]:
    """Run the stage `name`, STAGE or EXPERIMENT/STAGE, after what the stages `before` it gave.

    What to clone stands in the scheduler's metadata of the run. Gives the stage's entry of
    dvc.lock, and its files that are in git, in base64 by path; its other outputs are in the DVC
    remote by then. RuntimeError when it fails; what it says is sent as it comes.
    """
    worker = get_worker()
    # Dask runs a task again when the worker is gone that kept what it gave.
    known: dict[str, Any] | None = get_client().get_metadata([run_id, name], default=None)
    if known:
        return known
    experiment, slash, stage = name.rpartition("/")
    told: dict[str, Any] = get_client().get_metadata([run_id, experiment + slash])
    worker.log_event(TOPIC, {"stage": name, "worker": worker.address})
    try:
        with cloned(told["repository"], told["commit"]) as folder:
            return _run_in(folder, name, {"stage": stage, "state": told["state"], "before": before})
    except (OSError, RuntimeError):
        if lacking := space():
            worker.log_event(TOPIC, {"worker": worker.address, "lacks": lacking})
            none = dict.fromkeys(worker.state.total_resources, 0)
            sync(worker.loop, worker.set_resources, **none)
            raise Reschedule from None  # elsewhere, as it has no resource for it here
        raise


def _run_in(folder: Path, name: str, order: Mapping[str, Any]) -> dict[str, Any]:
    """What the stage of `order` gives in the clone `folder`; RuntimeError when it fails."""
    worker = get_worker()
    key = worker.get_current_task()
    (folder / ORDER).parent.mkdir(parents=True, exist_ok=True)
    (folder / ORDER).write_text(json.dumps(order), encoding="utf-8")
    (folder / RESULT).unlink(missing_ok=True)
    with (folder / LOG).open("wb") as log, (folder / LOG).open("rb") as said:
        process = _started(folder, log)
        try:
            while process.poll() is None:
                time.sleep(LOOK_SECONDS)
                _send(worker, name, said)
                task = worker.state.tasks.get(key)
                if task is None or task.state != "executing":
                    raise RuntimeError(FAILED, name)  # for nobody: it was cancelled
        finally:
            _end(process)
            _send(worker, name, said)
    if process.returncode:
        raise RuntimeError(FAILED, name)
    found: dict[str, Any] = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    return found


def _started(folder: Path, log: BinaryIO) -> "subprocess.Popen[bytes]":
    programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.cluster.stage"],
        cwd=folder,
        env={**os.environ, "PATH": programs, "PYTHONUNBUFFERED": "1", PARENT: str(os.getpid())},
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=subprocess.STDOUT,
        start_new_session=True,  # so that a signal to its group reaches all below it
    )


def _send(worker: Worker, name: str, said: BinaryIO) -> None:
    if text := said.read().decode("utf-8", "replace"):
        worker.log_event(TOPIC, {"stage": name, "output": text})


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Interrupt what still runs, which lets dvc release its locks; kill it after a grace."""
    for number in (signal.SIGINT, signal.SIGKILL):
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(GRACE_SECONDS)


def _installed(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "none"


def _flags() -> set[str]:
    """What the processor can do, as Linux says; empty where it does not."""
    cpuinfo = Path("/proc/cpuinfo")
    text = cpuinfo.read_text(encoding="utf-8") if cpuinfo.exists() else ""
    lines = (line.partition(":") for line in text.splitlines())
    return next((set(value.split()) for key, _, value in lines if key.strip() == "flags"), set())
