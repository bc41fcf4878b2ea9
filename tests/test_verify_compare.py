"""What verify makes of results and machines that differ, without training anything."""

import os
import platform
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


def test_where_nothing_was_held_out_the_figures_of_training_are_compared() -> None:
    rows = [f"{epoch},0.5,1.5,," for epoch in (1, 2)]
    same = verify_compare.stopped("fast", (), rows, rows)
    assert same.level is Level.SAME_BYTES
    near, far = (
        verify_compare.stopped("fast", (), rows, [f"1,0.5,{loss},,"]) for loss in ("1.6", "0.5")
    )
    assert (near.level, far.level) == (Level.SAME_RESULTS, Level.DIFFERENT)
    assert [(figure.name, figure.committed, figure.here) for figure in far.figures] == [
        ("training accuracy in epoch 1", 0.5, 0.5),
        ("training loss in epoch 1", 1.5, 0.5),
    ]


@pytest.mark.parametrize("held_out", ["committed", "here"])
def test_figures_of_training_are_what_both_have(held_out: str) -> None:
    """As where train_on was changed and the results of before are committed with it."""
    tables = {"committed": ["1,0.5,1.5,,"], "here": ["1,0.5,1.5,,"]}
    tables[held_out] = ["1,0.5,1.5,0.4,1.6"]
    found = verify_compare.stopped("fast", (), tables["committed"], tables["here"])
    assert [figure.name.partition(" ")[0] for figure in found.figures] == ["training"] * 2
    assert found.level is Level.SAME_RESULTS


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
        ("AVX2", "x86_64", {"avx"}, "lacks the instructions that recipes.x.cpu_isa names, AVX2"),
        ("AVX512_CORE_BF16", "x86_64", {"avx2", "avx512bw"}, "names, AVX512_CORE_BF16"),
        ("AVX512_CORE", "x86_64", {"avx2", "avx512f"}, "lacks the instructions"),
        ("AVX2", "arm64", set(), "x86-64 processors; this is arm64"),
        ("DEFAULT", "x86_64", {"avx2"}, "its own widest instructions"),
    ],
)
def test_a_processor_that_cannot_follow_is_named(
    cpu_isa: str, machine: str, flags: set[str], expected: str | None
) -> None:
    lines = verify_machine.lacking("recipes.x.cpu_isa", cpu_isa, machine, flags)
    assert len(lines) == (expected is not None)
    assert (expected or "") in "".join(lines)


def test_where_nothing_differs_nothing_is_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty line, too, would be a difference."""
    _plain_machine(monkeypatch, {"avx512_bf16", "avx2"})
    verify_machine.main(["baseline", "fast"])
    assert capsys.readouterr().out == ""


def test_instructions_count_that_the_variants_ask_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _plain_machine(monkeypatch, {"avx2"})
    verify_machine.main(["baseline"])
    assert capsys.readouterr().out == ""
    verify_machine.main(["baseline", "fast", "fast_2"])
    assert capsys.readouterr().out == (
        "this processor lacks the instructions that recipes.fast.cpu_isa names, AVX512_CORE_BF16\n"
    )


def _plain_machine(monkeypatch: pytest.MonkeyPatch, flags: set[str]) -> None:
    """No variables, no GPU, an x86-64 processor with these `flags`; the project's parameters."""
    for name in [name for name in os.environ if name.startswith(verify_machine.PREFIXES)]:
        monkeypatch.delenv(name)
    without_gpu = SimpleNamespace(get_visible_devices=lambda kind: [])
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(config=without_gpu))
    monkeypatch.setattr(runtime, "start", lambda limits: None)
    monkeypatch.setattr(runtime, "cpu_flags", lambda: flags)
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.chdir(PROJECT)


@pytest.mark.slow
def test_variables_that_the_runtime_does_not_fix_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_DISABLE_MKL", "0")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    lines = verify_workspace.output(PROJECT, "pipeline.verify_machine")
    assert "the environment has TF_DISABLE_MKL=0" in lines
    assert "TF_ENABLE_ONEDNN_OPTS" not in "".join(lines)
