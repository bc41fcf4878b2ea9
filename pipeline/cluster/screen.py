"""How stages that run side by side are shown: a live line each on a terminal, else a few lines."""

import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from pipeline.cluster.jobs import Job
from pipeline.tools.plan import duration

LINE_SECONDS = 60.0  # between two lines about one stage where there is no terminal


class Screen(Protocol):
    """Shows running jobs, and says of each how it ended."""

    def show(self, running: Iterable[Job]) -> None:
        """Refresh the lines of the running jobs."""

    def finished(self, job: Job, *, succeeded: bool) -> None:
        """Tell that a job has ended."""


@contextmanager
def screen() -> Iterator[Screen]:
    """A screen for standard output, whichever kind that is."""
    if not sys.stdout.isatty():
        yield _Lines()
        return
    with Live(console=Console(), auto_refresh=False) as live:
        yield _Terminal(live)


class _Terminal:
    def __init__(self, live: Live) -> None:
        self._live = live
        self._since: dict[Job, float] = {}

    def show(self, running: Iterable[Job]) -> None:
        table = Table.grid(padding=(0, 2))
        for job in running:
            since = self._since.setdefault(job, time.monotonic())
            last = Text(job.progress(), overflow="ellipsis", no_wrap=True)
            table.add_row(Text(job.stage), duration(time.monotonic() - since), last)
        self._live.update(table, refresh=True)

    def finished(self, job: Job, *, succeeded: bool) -> None:
        self._live.console.print(Text(_ending(job, succeeded=succeeded)))


class _Lines:
    def __init__(self) -> None:
        self._told: dict[Job, tuple[float, str]] = {}

    def show(self, running: Iterable[Job]) -> None:
        now = time.monotonic()
        for job in running:
            if job not in self._told:
                print(f"{job.stage}  started, log in {job.log}", flush=True)
                self._told[job] = (now, "")
            before, line = self._told[job]
            if now - before >= LINE_SECONDS and (last := job.progress()) != line:
                print(f"{job.stage}  {last}", flush=True)
                self._told[job] = (now, last)

    def finished(self, job: Job, *, succeeded: bool) -> None:
        print(_ending(job, succeeded=succeeded), flush=True)


def _ending(job: Job, *, succeeded: bool) -> str:
    return f"{job.stage}  done" if succeeded else f"{job.stage}  failed, see {job.log}"
