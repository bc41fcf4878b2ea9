"""In which numbers and by which instructions a variant is trained. No TensorFlow here, as in
variant.py.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

import pydantic

from pipeline.base import params_file
from pipeline.runtime import CpuIsa

_BFLOAT16_ISAS = ("AVX512_CORE", "AVX512_CORE_BF16", "DEFAULT")


class Arithmetic(params_file.Section):
    """What decides bits and speed beside a recipe, for all variants that name it."""

    precision: Literal["float32", "bfloat16"]  # of convolutions; weights are always float32
    cpu_isa: CpuIsa

    @pydantic.model_validator(mode="after")
    def _has_instructions(self) -> Self:
        if self.precision == "bfloat16" and self.cpu_isa not in _BFLOAT16_ISAS:
            raise ValueError(
                f"cpu_isa to be {', '.join(_BFLOAT16_ISAS[:-1])} or {_BFLOAT16_ISAS[-1]} where "
                "precision is bfloat16, which oneDNN has by no others"
            )
        return self


def read(params: Mapping[str, Any], name: str) -> Arithmetic:
    """`arithmetic.NAME`; PipelineError when it is missing or wrong."""
    found: Arithmetic = params_file.section(params, f"arithmetic.{name}", Arithmetic)
    return found
