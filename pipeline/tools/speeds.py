"""How fast processors train in other arithmetic than that of params.yaml, and advice from it.

Apart from what trains, so that a row for another processor retrains nothing.
"""

from typing import NamedTuple

from pipeline.tools import processor
from pipeline.train.arithmetic import Arithmetic

BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}
WORTH_SAYING = 1.3  # times as fast


class Speed(NamedTuple):
    """How fast a kind of processor trains a network, in times the speed of float32 by AVX2."""

    vendor: str
    flag: str  # that the processor must have
    network: str
    precision: str
    cpu_isa: str
    times: float


# From docs/speed.md, by `python benchmarks/bench.py arithmetic`. Processors that are not here were
# not tried.
SPEEDS = (
    Speed("GenuineIntel", "avx512bw", "plain", "float32", "AVX512_CORE", 1.7),
    Speed("GenuineIntel", "amx_bf16", "plain", "bfloat16", "DEFAULT", 1.4),
    Speed("GenuineIntel", "avx512bw", "whitened", "float32", "AVX512_CORE", 1.4),
    Speed("GenuineIntel", "amx_bf16", "whitened", "bfloat16", "DEFAULT", 2.5),
    Speed("AuthenticAMD", "avx512bw", "plain", "float32", "AVX512_CORE", 1.3),
    Speed("AuthenticAMD", "avx512_bf16", "plain", "bfloat16", "AVX512_CORE_BF16", 1.5),
    Speed("AuthenticAMD", "avx512bw", "whitened", "float32", "AVX512_CORE", 1.1),
    Speed("AuthenticAMD", "avx512_bf16", "whitened", "bfloat16", "AVX512_CORE_BF16", 1.3),
)
# How many times as long as float32 by AVX2 bfloat16 takes that is emulated: by oneDNN where it has
# AVX-512, else by Eigen. From there, too.
EMULATED, WITHOUT_ONEDNN = 3, 15


def advice(numbers: Arithmetic, network: str, key: str) -> str | None:
    """A line on what would be quicker on this processor than `numbers`, if it is worth one.

    `key` is where they stand in params.yaml.
    """
    flags, vendor = processor.flags(), processor.vendor()
    if numbers.precision == "bfloat16" and flags and not flags & BFLOAT16_FLAGS:
        times = EMULATED if "avx512bw" in flags else WITHOUT_ONEDNN
        return (
            f"this processor has no bfloat16: emulated, it takes about {times} times as long as "
            f"float32; set {key}.precision=float32 and {key}.cpu_isa=AVX2"
        )
    speeds = {("float32", "AVX2"): 1.0} | {
        (speed.precision, speed.cpu_isa): speed.times
        for speed in SPEEDS
        if speed.vendor == vendor and speed.flag in flags and speed.network == network
    }
    now = speeds.get((numbers.precision, numbers.cpu_isa))
    (precision, cpu_isa), best = max(speeds.items(), key=lambda item: item[1])
    if now is None or best < WORTH_SAYING * now:
        return None
    return (
        f"this processor could train about {best / now:.1f} times as fast, to other bytes, by "
        f"{key}.precision={precision} and {key}.cpu_isa={cpu_isa} (docs/speed.md)"
    )
