"""Stages run as child processes, each with its log, all of them ended together when need be."""

import dataclasses
import os
import re
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

LOGS = Path("logs")
GRACE_SECONDS = 5.0  # to end after an interrupt, before the kill
TAIL_BYTES = 16_384  # enough for 20 lines and a traceback


# Waits its turn where another dvc has locked the project.
DVC = [sys.executable, "-m", "dvc", "--wait-for-lock"]


def repro(*arguments: str) -> list[str]:
    """The command `dvc repro ARGUMENTS`; DVC's lock is free while a stage's own command runs."""
    return [*DVC, "repro", *arguments]


class Children:
    """Child processes, each the head of a session: a signal to its group reaches all below it.

    Signalling dvc alone would leave the training running, which writes its output later.
    """

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._running: set[subprocess.Popen[bytes]] = set()
        self._ended = False

    def run(self, command: list[str], log: BinaryIO | None = None, *, folder: Path = Path()) -> int:
        """Run `command` in `folder` to its end, output into `log` (else ours); its exit status.

        Starts nothing after `end`, and returns 1.
        """
        with self._guard:
            if self._ended:
                return 1
            process = subprocess.Popen(
                command,
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT if log else None,
                # Python keeps back 8 KB of what goes to a file: an hour of epochs.
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
            self._running.add(process)
        try:
            return process.wait()
        finally:
            with self._guard:
                self._running.discard(process)

    def end(self) -> None:
        """Interrupt all that runs, kill what is left of it after a grace, start no more.

        An interrupt, as Ctrl-C sends it, lets dvc release its locks; SIGTERM would not.
        """
        with self._guard:
            self._ended = True
            running = list(self._running)
        for process in running:
            _signal_group(process, signal.SIGINT)
        deadline = time.monotonic() + GRACE_SECONDS
        for process in running:
            with suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        for process in running:
            _signal_group(process, signal.SIGKILL)
            process.wait()


def _signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError, PermissionError):  # nobody is left in the group
        os.killpg(process.pid, number)


@dataclasses.dataclass(frozen=True)
class Job:
    """One stage to run by itself, its output in a log of its own."""

    stage: str

    @property
    def log(self) -> Path:
        return LOGS / f"{self.stage}.log"

    def run(self, children: Children) -> int:
        """Run the stage, without those before it; dvc's exit status."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            return children.run(repro("--single-item", self.stage), log)

    def begin(self, text: str) -> None:
        """A log anew, of a stage that runs elsewhere."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        self.log.write_text(text, encoding="utf-8")

    def add(self, text: str) -> None:
        """Put `text` at the end of the log."""
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("a", encoding="utf-8") as log:
            log.write(text)

    def tail(self, lines: int) -> list[str]:
        """The last `lines` of the log that are not blank; progress bars' states count as lines."""
        try:
            with self.log.open("rb") as log:
                log.seek(max(0, log.seek(0, os.SEEK_END) - TAIL_BYTES))
                text = log.read().decode("utf-8", "replace")
        except FileNotFoundError:
            return []
        return [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()][-lines:]

    def progress(self) -> str:
        """The last line of the log, without the stage's name, which some lines begin with."""
        return "".join(self.tail(1)).removeprefix(self.stage).strip()
