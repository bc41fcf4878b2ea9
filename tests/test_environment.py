"""Pinned packages, the record of a run, the processor and the threads."""

import json
import os
import platform
from pathlib import Path

import made_up
import pandas as pd
import pytest
from conftest import PROJECT

from pipeline import runtime
from pipeline.comparison.results import read_result
from pipeline.core import files, paths
from pipeline.core.errors import PipelineError
from pipeline.tools import environment


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with the project's pins."""
    (tmp_path / "requirements").mkdir()
    for path in environment.PINS:
        (tmp_path / path).write_bytes((PROJECT / path).read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("line", ["keras==0.1", "no-such-package==1.0"])
@pytest.mark.usefixtures("project")
def test_other_versions_than_the_pinned_ones_are_refused(line: str) -> None:
    environment.check()
    environment.PINS[1].write_text(f"{line}\n")
    name, _, version = line.partition("==")
    with pytest.raises(PipelineError, match=rf"tensorflow\.txt pins {name} {version}, found"):
        environment.check()


def test_a_record_is_read_back(project: Path) -> None:
    files.write_text(paths.history("a"), "epoch")
    record = environment.path("train@a")
    assert environment.read_record(record) == {}
    environment.record("train@a", 12.34)
    run = environment.read_record(record)
    assert run["seconds"] == 12.3
    assert run["libraries"]["keras"] == environment.pins()["keras"][0]
    assert run["cores"] == os.cpu_count()
    assert str(project) not in json.dumps(run)
    record.write_text("{")
    assert environment.read_record(record) == {}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("model name\t: P @ 2.0GHz\nflags\t\t: fpu avx\nmodel name\t: Q", "P @ 2.0GHz"),
        ("processor\t: 0\nBogoMIPS\t: 48.00\n", "unknown"),  # Arm
        (None, "unknown"),  # macOS
    ],
)
def test_the_first_processor_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None, expected: str
) -> None:
    monkeypatch.setattr(environment, "CPU_INFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "processor", lambda: "")
    if text is not None:
        (tmp_path / "cpuinfo").write_text(text)
    assert environment.processor_name() == expected


def test_threads_are_those_of_the_environment_or_the_cores_of_the_process(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for number in (1, 5, 1024):
        monkeypatch.setenv("THREADS", str(number))
        assert runtime.threads() == number
    for value in ("", "0", "two", "2000"):
        monkeypatch.setenv("THREADS", value)
        with pytest.raises(PipelineError, match=f"THREADS={value}"):
            runtime.threads()
    monkeypatch.delenv("THREADS")
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 4, 5}, raising=False)
    assert runtime.threads() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    assert runtime.threads() == os.cpu_count()


@pytest.mark.usefixtures("project")
def test_time_stays_as_first_measured_while_the_history_has_the_same_bytes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def train(seconds: float, processor: str) -> None:
        monkeypatch.setattr(environment, "processor_name", lambda: processor)
        monkeypatch.setattr("os.cpu_count", lambda: 4)
        environment.record("train@final", seconds)

    made_up.write("final", 70)
    train(120.0, "P, b")
    train(1.0, "another")
    assert read_result("final").time == (120.0, "4 cores of P, b")
    assert environment.read_record(environment.path("train@final"))["seconds"] == 1.0
    history = pd.read_csv(paths.history("final"))
    history.head(2).to_csv(paths.history("final"), index=False)
    assert read_result("final").time is None
    train(1.0, "another")
    assert read_result("final").time == (1.0, "4 cores of another")
    paths.training_time("final").write_text("{")
    assert read_result("final").time is None
