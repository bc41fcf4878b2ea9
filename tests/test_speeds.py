"""What a training could do quicker on a processor, and what is known of processors."""

import os
import platform
from pathlib import Path

import pytest

from pipeline import runtime
from pipeline.base.errors import PipelineError
from pipeline.tools import processor, speeds
from pipeline.tools.speeds import Speed
from pipeline.train.arithmetic import Arithmetic

CPUINFO = """processor\t: 0
vendor_id\t: GenuineIntel
model name\t: Some Processor @ 2.0GHz
flags\t\t: fpu avx avx2

processor\t: 1
vendor_id\t: Another
"""
EXACT = Arithmetic(precision="float32", cpu_isa="AVX2")
SPEEDS = (
    Speed("GenuineIntel", "avx512bw", "wide", "float32", "AVX512_CORE", 1.5),
    Speed("GenuineIntel", "amx_bf16", "wide", "bfloat16", "DEFAULT", 3.0),
    Speed("GenuineIntel", "avx512bw", "deep", "float32", "AVX512_CORE", 1.2),
)


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(speeds, "SPEEDS", SPEEDS)


def advice(
    monkeypatch: pytest.MonkeyPatch,
    *flags: str,
    vendor: str = "GenuineIntel",
    numbers: Arithmetic = EXACT,
    network: str = "wide",
) -> str | None:
    """What is said on a processor of `vendor` with `flags`."""
    monkeypatch.setattr(processor, "vendor", lambda: vendor)
    monkeypatch.setattr(processor, "flags", lambda: set(flags))
    return speeds.advice(numbers, network, "arithmetic.own")


def test_the_quickest_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert advice(monkeypatch, "avx2", "avx512bw", "amx_bf16") == (
        "this processor could train about 3.0 times as fast, to other bytes, by "
        "arithmetic.own.precision=bfloat16 and arithmetic.own.cpu_isa=DEFAULT (docs/speed.md)"
    )
    assert "about 1.5 times" in (advice(monkeypatch, "avx2", "avx512bw") or "")


@pytest.mark.parametrize(
    ("flags", "vendor", "network"),
    [
        (("avx2",), "GenuineIntel", "wide"),
        (("avx2", "avx512bw"), "AuthenticAMD", "wide"),  # where it was not measured
        (("avx2", "avx512bw"), "GenuineIntel", "deep"),  # too little to be worth a line
        (("avx2", "avx512bw"), "GenuineIntel", "somebody_s_own"),
        ((), "", "wide"),  # a system that does not tell
    ],
)
def test_nothing_is_said_where_nothing_better_is_known(
    monkeypatch: pytest.MonkeyPatch, flags: tuple[str, ...], vendor: str, network: str
) -> None:
    assert advice(monkeypatch, *flags, vendor=vendor, network=network) is None


def test_gain_counts_from_the_setting_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    wide = Arithmetic(precision="float32", cpu_isa="AVX512_CORE")
    assert advice(monkeypatch, "avx512bw", numbers=wide) is None
    said = advice(monkeypatch, "avx512bw", "amx_bf16", "avx512_bf16", numbers=wide)
    assert "about 2.0 times" in (said or "")
    unmeasured = Arithmetic(precision="float32", cpu_isa="AVX")
    assert advice(monkeypatch, "avx512bw", "amx_bf16", numbers=unmeasured) is None


@pytest.mark.parametrize(("flag", "times"), [("avx512bw", 3), ("avx2", 15)])
def test_bfloat16_that_is_emulated_is_told_with_its_price(
    monkeypatch: pytest.MonkeyPatch, flag: str, times: int
) -> None:
    half = Arithmetic(precision="bfloat16", cpu_isa="DEFAULT")
    said = advice(monkeypatch, flag, numbers=half)
    assert f"no bfloat16: emulated, it takes about {times} times as long" in (said or "")
    assert "set arithmetic.own.precision=float32 and arithmetic.own.cpu_isa=AVX2" in (said or "")
    assert advice(monkeypatch, "avx512_bf16", numbers=half, vendor="AuthenticAMD") is None


def test_processor_is_the_first_that_linux_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    (tmp_path / "cpuinfo").write_text(CPUINFO)
    assert processor.name() == "Some Processor @ 2.0GHz"
    assert processor.vendor() == "GenuineIntel"
    assert processor.flags() == {"fpu", "avx", "avx2"}


@pytest.mark.parametrize("content", ["processor\t: 0\nBogoMIPS\t: 48.00\n", None])
def test_processor_of_which_nothing_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str | None
) -> None:
    """As on Arm, where there are no flags, and on macOS, where there is no such file."""
    monkeypatch.setattr(processor, "CPUINFO", tmp_path / "cpuinfo")
    monkeypatch.setattr(platform, "processor", lambda: "")
    if content is not None:
        (tmp_path / "cpuinfo").write_text(content)
    assert (processor.name(), processor.vendor(), processor.flags()) == ("unknown", "", set())


def test_a_thread_a_core_that_the_process_may_use(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {1, 4, 5}, raising=False)
    assert runtime.threads() == 3
    monkeypatch.delattr(os, "sched_getaffinity")  # as on macOS
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert runtime.threads() == 7
    monkeypatch.setenv("THREADS", "5")
    assert runtime.threads() == 5


@pytest.mark.parametrize("given", ["", "0", "-1", "two", "1.5", "2000", "99999"])
def test_threads_that_are_no_number_are_refused(
    monkeypatch: pytest.MonkeyPatch, given: str
) -> None:
    monkeypatch.setenv("THREADS", given)
    with pytest.raises(PipelineError, match=rf"THREADS={given}: expected a number from 1 to 1024"):
        runtime.threads()
