"""The lines of stages that run side by side, on a terminal."""

import io
import re
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from pipeline.cluster import screen as screens
from pipeline.cluster.jobs import Job
from pipeline.cluster.screen import Screen

WIDTH = 50
SLOW, QUICK = Job("train@slow"), Job("train@quick")


class Terminal(io.StringIO):
    """What a terminal was sent; `lines` is the text of it since they were last asked for."""

    def lines(self) -> list[str]:
        text = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", self.getvalue())
        self.seek(0)
        self.truncate()
        return [line.rstrip() for line in re.split(r"[\r\n]+", text) if line.strip()]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    now = SimpleNamespace(seconds=100.0)
    now.monotonic = lambda: now.seconds
    monkeypatch.setattr(screens, "time", now)
    return now


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.chdir(tmp_path)
    SLOW.log.parent.mkdir()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    terminal = Terminal()
    console = partial(Console, file=terminal, force_terminal=True, width=WIDTH)
    monkeypatch.setattr(screens, "Console", console)
    return terminal


@pytest.fixture
def screen(terminal: Terminal) -> Iterator[Screen]:
    with screens.screen() as screen:
        yield screen


def test_a_line_for_each_running_job(
    screen: Screen, terminal: Terminal, clock: SimpleNamespace
) -> None:
    SLOW.log.write_text("Running stage\ntrain@slow  epoch 1/9\rtrain@slow  epoch 2/9 [loss] 0.7\n")
    screen.show([SLOW])
    assert terminal.lines() == ["train@slow  0 s  epoch 2/9 [loss] 0.7"]

    clock.seconds += 62
    screen.show([SLOW, QUICK])
    assert terminal.lines() == [
        "train@slow   1 min 2 s  epoch 2/9 [loss] 0.7",
        "train@quick  0 s",
    ]


def test_a_long_line_is_cut_at_the_edge(
    screen: Screen, terminal: Terminal, clock: SimpleNamespace
) -> None:
    SLOW.log.write_text("a word " * 20)
    screen.show([SLOW])
    (line,) = terminal.lines()
    assert line.startswith("train@slow  0 s  a word a word")
    assert line.endswith("…")
    assert len(line) <= WIDTH


def test_a_finished_job_has_a_last_line_above_the_running_ones(
    screen: Screen, terminal: Terminal, clock: SimpleNamespace
) -> None:
    SLOW.log.write_text("epoch 3/9\n")
    screen.show([SLOW, QUICK])
    terminal.lines()

    screen.finished(QUICK, succeeded=True)
    assert terminal.lines()[0] == "train@quick  done"
    screen.show([SLOW])
    assert terminal.lines() == ["train@slow  0 s  epoch 3/9"]

    screen.finished(SLOW, succeeded=False)
    assert terminal.lines()[0] == "train@slow  failed, see logs/train@slow.log"
    screen.show([])
    assert terminal.lines() == []


def test_elsewhere_no_line_is_drawn_over(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: False)
    with screens.screen() as screen:
        screen.show([SLOW])
        screen.show([SLOW])
        screen.finished(SLOW, succeeded=True)
    assert terminal.getvalue() == ""
    assert capsys.readouterr().out.splitlines() == [
        "train@slow  started, log in logs/train@slow.log",
        "train@slow  done",
    ]
