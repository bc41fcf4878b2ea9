"""Dask's part of a large study: a real scheduler, many workers, and stages that do nothing."""

import asyncio
import contextlib
import io
import logging
import multiprocessing
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import psutil
from distributed import Client, Worker, get_client, get_worker

from pipeline.cluster import tasks, there
from pipeline.tools.plan_stages import StagePlan, Status

WORKERS = 50
RUN = "run"
MEBIBYTE = 2**20


def scheduling(stages: int, characters: int) -> tuple[float, float]:
    """Seconds a stage and MiB that the scheduler takes, for evaluations that give `characters`."""

    def stub(name: str, *before: Mapping[str, Any]) -> dict[str, Any]:
        get_client().get_metadata([RUN, name], default=None)
        get_client().get_metadata([RUN, ""])
        get_worker().log_event(there.TOPIC, {"stage": name, "worker": get_worker().address})
        size = characters if name.startswith("evaluate") else 0
        return {"entry": {name: {}}, "files": {name: "x" * size}}

    with _scheduler() as (process, address), _workers(address), Client(address) as client:
        client.wait_for_workers(WORKERS)
        client.set_metadata([RUN, ""], {})
        before, memory = sum(process.cpu_times()[:2]), process.memory_info().rss

        def take(given: Mapping[str, Any]) -> None:
            for name, result in given.items():
                client.set_metadata([RUN, name], result)

        place = tasks.Place(client, stub, lambda _: {}, set(), lambda: None)
        with tasks.ended(place) as futures:
            futures |= tasks.submit(place, _plan(stages), base=RUN)
            with contextlib.redirect_stdout(io.StringIO()):
                tasks.watch(place, futures, take)
        used = sum(process.cpu_times()[:2]) - before
        return used / stages, (process.memory_info().rss - memory) / MEBIBYTE


def _plan(stages: int) -> list[StagePlan]:
    """Preparation, half as many trainings and evaluations as `stages` each, and a comparison."""

    def made(name: str, *after: str) -> StagePlan:
        return StagePlan(name, Status.WILL_RUN, (), None, None, after, name)

    numbers = range((stages - 2) // 2)
    evaluations = [made(f"evaluate@{number}", f"train@{number}") for number in numbers]
    return [
        made("preprocess"),
        *(made(f"train@{number}", "preprocess") for number in numbers),
        *evaluations,
        made("compare", *(one.stage for one in evaluations)),
    ]


@contextlib.contextmanager
def _scheduler() -> Iterator[tuple[psutil.Process, str]]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    place = ("--host", "127.0.0.1", "--port", str(port))
    quiet = ("--no-dashboard", "--dashboard-address", "127.0.0.1:0")
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", *place, *quiet]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        yield psutil.Process(process.pid), f"tcp://127.0.0.1:{port}"
        process.terminate()


@contextlib.contextmanager
def _workers(address: str) -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=_work, args=(address,))
    process.start()
    yield
    process.terminate()
    process.join()


def _work(address: str) -> None:
    logging.disable()

    async def work() -> None:
        workers = [Worker(address, nthreads=1, dashboard=False) for _ in range(WORKERS)]
        await asyncio.gather(*workers)
        await asyncio.gather(*(worker.finished() for worker in workers))

    asyncio.run(work())
