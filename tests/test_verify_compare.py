"""What verify makes of results and machines that differ, without training anything."""

import os
import platform
import sys
from types import SimpleNamespace
from typing import Any

import pytest
import workspace
from conftest import PROJECT

from pipeline import runtime
from pipeline.report.metrics import Metrics
from pipeline.tools import environment, verify_committed, verify_compare
from pipeline.tools.verify_compare import Level

SAME = {"model": True}
OTHER = {"model": False}
X86 = {"avx512_bf16", "avx512bw", "avx2", "avx", "sse4_1"}


def _metrics(accuracy: float, loss: float) -> Metrics:
    return Metrics.model_validate({"accuracy": accuracy, "loss": loss, "parameters": 1})


def test_histories_of_other_lengths_are_compared_as_far_as_both_go() -> None:
    rows = [f"{epoch},0.5,1.5,0.4,1.6" for epoch in (1, 2, 3)]
    longer = verify_compare.stopped("final", {}, rows[:2], rows)
    assert (longer.level, longer.extent) == (Level.SAME_HISTORY, "for the first 2 of 2 epochs")
    shorter = verify_compare.stopped("final", {}, rows, rows[:1])
    assert (shorter.level, shorter.extent) == (Level.SAME_HISTORY, "for the first 1 of 3 epochs")


def test_where_nothing_was_held_out_the_figures_of_training_are_compared() -> None:
    rows = [f"{epoch},0.5,1.5,," for epoch in (1, 2)]
    same = verify_compare.stopped("fast", {}, rows, rows)
    assert same.level is Level.SAME_HISTORY
    near, far = (
        verify_compare.stopped("fast", {}, rows, [f"1,0.5,{loss},,"]) for loss in ("1.6", "0.5")
    )
    assert (near.level, far.level) == (Level.SAME_RESULTS, Level.DIFFERENT)
    assert far.figures == {
        "training accuracy in epoch 1": (0.5, 0.5),
        "training loss in epoch 1": (1.5, 0.5),
    }


@pytest.mark.parametrize("held_out", ["committed", "here"])
def test_figures_of_training_are_what_both_have(held_out: str) -> None:
    """As where train_on was changed and the results of before are committed with it."""
    tables = {"committed": ["1,0.5,1.5,,"], "here": ["1,0.5,1.5,,"]}
    tables[held_out] = ["1,0.5,1.5,0.4,1.6"]
    found = verify_compare.stopped("fast", {}, tables["committed"], tables["here"])
    assert [name.partition(" ")[0] for name in found.figures] == ["training"] * 2
    assert found.level is Level.SAME_RESULTS


@pytest.mark.parametrize(
    ("accuracy", "loss", "level"),
    [
        (0.5 + 0.0399, 2.0, Level.SAME_RESULTS),
        (0.5 - 0.0399, 2.0, Level.SAME_RESULTS),
        (0.5, 2.0 + 0.399, Level.SAME_RESULTS),
        (0.5, 2.0 - 0.399, Level.SAME_RESULTS),
        (0.5 + 0.0401, 2.0, Level.DIFFERENT),
        (0.5 - 0.0401, 2.0, Level.DIFFERENT),
        (0.5, 2.0 + 0.401, Level.DIFFERENT),
        (0.5, 2.0 - 0.401, Level.DIFFERENT),
    ],
)
def test_accuracy_may_be_4_points_off_and_loss_20_percent(
    accuracy: float, loss: float, level: Level
) -> None:
    committed, here = ["1,0,0,0.5,2.0"], [f"1,0,0,{accuracy!r},{loss!r}"]
    stopped = verify_compare.stopped("final", SAME, committed, here)
    finished = verify_compare.finished("final", OTHER, _metrics(0.5, 2.0), _metrics(accuracy, loss))
    assert (stopped.level, finished.level) == (level, level)


def test_figures_do_not_count_where_bytes_are_the_same() -> None:
    found = verify_compare.finished("final", SAME, _metrics(0.5, 1.0), _metrics(0.9, 9.0))
    assert found.level is Level.SAME_BYTES


def test_the_verdict_names_the_tolerances() -> None:
    found = verify_compare.finished("final", OTHER, _metrics(0.5, 1.0), _metrics(0.51, 1.0))
    assert verify_compare.verdict([found]) == (
        "you get the committed results: final: same results (other bytes; accuracy within 0.04, "
        "loss within 20%) in full"
    )


@pytest.mark.parametrize(
    ("cpu_isa", "machine", "flags", "expected"),
    [
        ("AVX2", "x86_64", {"avx", "avx2"}, None),
        ("AVX2", "AMD64", set(), None),  # a system without /proc
        ("SSE41", "x86_64", {"sse4_1"}, None),
        ("AVX2", "x86_64", {"avx"}, "lacks the instructions that arithmetic.x.cpu_isa names, AVX2"),
        ("AVX512_CORE_BF16", "x86_64", {"avx2", "avx512bw"}, "names, AVX512_CORE_BF16"),
        ("AVX512_CORE", "x86_64", {"avx2", "avx512f"}, "lacks the instructions"),
        ("AVX2", "arm64", set(), "x86-64 processors; this is arm64"),
        ("DEFAULT", "x86_64", {"avx2"}, "its own widest instructions"),
    ],
)
def test_a_processor_that_cannot_follow_is_named(
    monkeypatch: pytest.MonkeyPatch,
    cpu_isa: str,
    machine: str,
    flags: set[str],
    expected: str | None,
) -> None:
    _on(monkeypatch, flags, machine)
    params = {"runtime": {"cpu_isa": cpu_isa}, "arithmetic": {"x": {"cpu_isa": cpu_isa}}}
    variants = {"variants": {"tiny": {"arithmetic": "x"}}}
    lines = verify_committed.unfixed(params | variants, ["tiny"])
    assert len(lines) == 2 * (expected is not None)
    assert (expected or "") in "".join(lines)


def test_instructions_count_that_the_variants_ask_for(monkeypatch: pytest.MonkeyPatch) -> None:
    params = workspace.read_params(PROJECT)
    params["arithmetic"]["own"]["cpu_isa"] = "AVX512_CORE_BF16"
    _on(monkeypatch, X86)
    assert verify_committed.unfixed(params, ["baseline", "fast"]) == []
    _on(monkeypatch, {"avx2"})
    assert verify_committed.unfixed(params, ["baseline"]) == []
    assert verify_committed.unfixed(params, ["baseline", "fast", "fast_2"]) == [
        "this processor lacks the instructions that arithmetic.own.cpu_isa names, AVX512_CORE_BF16"
    ]


def test_a_gpu_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    _on(monkeypatch, X86, gpus=[SimpleNamespace(name="gpu:0")])
    params = workspace.read_params(PROJECT)
    assert verify_committed.unfixed(params, ["final"]) == ["TensorFlow computes on gpu:0"]


def _on(
    monkeypatch: pytest.MonkeyPatch, flags: set[str], machine: str = "x86_64", gpus: Any = ()
) -> None:
    """No variables, and a processor with these `flags`; TensorFlow is not started."""
    for name in [name for name in os.environ if name.startswith(verify_committed.PREFIXES)]:
        monkeypatch.delenv(name)
    config = SimpleNamespace(get_visible_devices=lambda kind: gpus)
    monkeypatch.setitem(sys.modules, "tensorflow", SimpleNamespace(config=config))
    monkeypatch.setattr(runtime, "start", lambda limits: None)
    monkeypatch.setattr(environment, "cpu_flags", lambda: flags)
    monkeypatch.setattr(platform, "machine", lambda: machine)


@pytest.mark.slow
def test_variables_that_the_runtime_does_not_fix_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_DISABLE_MKL", "0")
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    program = (
        "from pipeline.base import params_file; from pipeline.tools import verify_committed; "
        "print(*verify_committed.unfixed(params_file.read(), ['baseline']), sep='\\n')"
    )
    lines = workspace.run(PROJECT, "python", "-c", program)
    assert "the environment has TF_DISABLE_MKL=0\n" in lines
    assert "TF_ENABLE_ONEDNN_OPTS" not in lines
