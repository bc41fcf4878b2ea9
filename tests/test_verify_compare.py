"""What verify makes of results and machines that differ, without training anything."""

import os
import sys
from types import SimpleNamespace

import pytest
from conftest import PROJECT

from pipeline import runtime, verify_compare, verify_machine, verify_workspace
from pipeline.verify_compare import ACCURACY_TOLERANCE, LOSS_TOLERANCE, Level


def test_histories_of_other_lengths_are_compared_as_far_as_both_go() -> None:
    rows = [f"{epoch},0.5,1.5,0.4,1.6" for epoch in (1, 2, 3)]
    longer = verify_compare.stopped("final", (), rows[:2], rows)
    assert (longer.level, longer.epochs, longer.of_epochs) == (Level.SAME_BYTES, 2, 2)
    shorter = verify_compare.stopped("final", (), rows, rows[:1])
    assert (shorter.level, shorter.epochs, shorter.of_epochs) == (Level.SAME_BYTES, 1, 3)


@pytest.mark.parametrize(
    ("accuracy", "loss", "level"),
    [
        (1.0, 0.0, Level.SAME_RESULTS),
        (-1.0, 0.0, Level.SAME_RESULTS),
        (0.0, -1.0, Level.SAME_RESULTS),
        (1.02, 0.0, Level.DIFFERENT),
        (0.0, 1.02, Level.DIFFERENT),
        (0.0, -1.02, Level.DIFFERENT),
    ],
)
def test_each_figure_has_its_tolerance(accuracy: float, loss: float, level: Level) -> None:
    """`accuracy` and `loss` are off by so many tolerances, of a loss of 2."""
    committed = ["1,0,0,0.5,2.0"]
    off = accuracy * ACCURACY_TOLERANCE * 0.9999, loss * LOSS_TOLERANCE * 2 * 0.9999
    here = [f"1,0,0,{0.5 + off[0]!r},{2.0 + off[1]!r}"]
    assert verify_compare.stopped("final", (), committed, here).level is level


@pytest.mark.parametrize(
    ("cpu_isa", "machine", "flags", "expected"),
    [
        ("AVX2", "x86_64", {"avx", "avx2"}, None),
        ("AVX2", "AMD64", set(), None),  # a system without /proc
        ("AVX2", "x86_64", {"avx"}, "lacks the instructions that runtime.cpu_isa names, AVX2"),
        ("AVX512_CORE", "x86_64", {"avx2", "avx512f"}, "lacks the instructions"),
        ("AVX2", "arm64", set(), "x86-64 processors; this is arm64"),
        ("DEFAULT", "x86_64", {"avx2"}, "its own widest instructions"),
    ],
)
def test_a_processor_that_cannot_follow_is_named(
    cpu_isa: str, machine: str, flags: set[str], expected: str | None
) -> None:
    lines = verify_machine.lacking(cpu_isa, machine, flags)
    assert len(lines) == (expected is not None)
    assert (expected or "") in "".join(lines)


def test_where_nothing_differs_nothing_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty line, too, would be a difference."""
    for name in [name for name in os.environ if name.startswith(verify_machine.PREFIXES)]:
        monkeypatch.delenv(name)
    without_gpu = SimpleNamespace(get_visible_devices=lambda kind: [])
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(config=without_gpu))
    monkeypatch.setattr(runtime, "start", lambda limits: None)
    monkeypatch.setattr(verify_machine, "lacking", lambda *_: [])
    monkeypatch.chdir(PROJECT)
    verify_machine.main()
    assert capsys.readouterr().out == ""


@pytest.mark.slow
def test_variables_that_the_runtime_does_not_fix_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_DISABLE_MKL", "0")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    lines = verify_workspace.output(PROJECT, "pipeline.verify_machine")
    assert "the environment has TF_DISABLE_MKL=0" in lines
    assert "TF_ENABLE_ONEDNN_OPTS" not in "".join(lines)
