"""Which numbers and instructions train quickest on this processor: each against float32 by AVX2.

Images are noise and whole, in every epoch. Settings that the processor has no instructions for are
left out.
"""

import sys
from pathlib import Path

from timing import epoch, row

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline.tools import environment

ROUNDS, EPOCHS = 2, 3
IMAGES = {"deep": 6_000, "fast": 2_000}  # a variant of each network
EXACT = ("float32", "AVX2")
# Each with what Linux calls the instructions.
OTHERS = {
    ("float32", "AVX512_CORE"): "avx512bw",
    ("bfloat16", "AVX512_CORE"): "avx512bw",
    ("bfloat16", "AVX512_CORE_BF16"): "avx512_bf16",
    ("bfloat16", "DEFAULT"): "amx_bf16",
}


def trained(variant: str, precision: str, cpu_isa: str) -> float:
    """Seconds of an epoch in such numbers."""
    changes = (f"precision={precision}", f"cpu_isa={cpu_isa}")
    return epoch(variant, IMAGES[variant], EPOCHS, *changes)


def rows() -> list[str]:
    """The table's rows; a round measures all settings of a variant in turns."""
    settings = [setting for setting, flag in OTHERS.items() if flag in environment.cpu_flags()]
    lines = []
    for variant in IMAGES:
        rounds = [
            {setting: trained(variant, *setting) for setting in (EXACT, *settings)}
            for _ in range(ROUNDS)
        ]
        exact = [found[EXACT] for found in rounds]
        for setting in settings:
            name = f"`{variant}`, {' by '.join(setting)} : {' by '.join(EXACT)}"
            lines.append(row(name, [found[setting] for found in rounds], exact))
    return lines
