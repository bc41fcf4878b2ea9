"""Numerics: the precision, instruction set and device of a training. Imports no TensorFlow."""

from typing import Literal, Self

import pydantic

from pipeline.core.params import ConfigModel
from pipeline.runtime import CpuIsa, Device

_BFLOAT16_ISAS = ("AVX512_CORE", "AVX512_CORE_BF16", "DEFAULT")


class Numerics(ConfigModel):
    """What decides rounding and speed beside the recipe, for all variants that name it."""

    precision: Literal["float32", "bfloat16"]  # of convolutions; weights are always float32
    cpu_isa: CpuIsa
    device: Device

    @pydantic.model_validator(mode="after")
    def _check_instruction_set(self) -> Self:
        if (
            self.precision == "bfloat16"
            and self.device == "cpu"
            and self.cpu_isa not in _BFLOAT16_ISAS
        ):
            raise ValueError(
                f"cpu_isa to be {', '.join(_BFLOAT16_ISAS[:-1])} or {_BFLOAT16_ISAS[-1]} where "
                "precision is bfloat16, which oneDNN supports by no others"
            )
        return self
