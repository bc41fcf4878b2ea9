"""How fast a download is: shown to the user, and judged."""

import io
import sys
import time
from collections import deque
from typing import Never

from tqdm import tqdm

from pipeline.fetch.mirrors import SourceError

LOG_SECONDS = 10  # between two lines where standard error is no terminal


class Pace:
    """Gives a source up once it was slow for too long."""

    def __init__(self, min_kilobytes_per_second: float, patience_seconds: float) -> None:
        self._floor = min_kilobytes_per_second
        self._samples = deque([(time.monotonic(), 0)])
        self.patience_seconds = patience_seconds
        self.received = 0

    def add(self, count: int) -> None:
        """Note `count` bytes, now; SourceError when the last `patience_seconds` were too slow."""
        now = time.monotonic()
        self.received += count
        self._samples.append((now, self.received))
        while self._samples[1][0] <= now - self.patience_seconds:
            self._samples.popleft()
        since, received = self._samples[0]
        if now - since < self.patience_seconds:
            return
        rate = (self.received - received) / 1000 / (now - since)
        if rate < self._floor:
            raise SourceError(
                f"too slow: {rate:.0f} kB/s over {self.patience_seconds:g} s, expected "
                f"{self._floor:g} kB/s (fetch.min_kilobytes_per_second)"
            )


class _Lines(io.TextIOBase):
    """Standard error for logs: each state of the bar on a line of its own."""

    def write(self, text: str) -> int:
        if line := text.strip():
            print(line, file=sys.stderr, flush=True)
        return len(text)


def progress(name: str, done: int, total: int | None) -> "tqdm[Never]":
    """A bar in bytes with rate and time left; in a log, a line every `LOG_SECONDS` instead."""
    terminal = sys.stderr.isatty()
    return tqdm(
        desc=name,
        initial=done,
        total=total,
        unit="B",
        unit_scale=True,
        file=sys.stderr if terminal else _Lines(),
        mininterval=0.1 if terminal else LOG_SECONDS,
    )
