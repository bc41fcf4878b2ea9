"""What differs between the machine of a committed run and this one.

`python -m pipeline.verify_machine VARIANT...` prints what would change the variants' bits here
although the parameters fix them: instructions that the processor lacks, GPUs, variables of the
environment.
"""

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from pipeline import config, runtime, settings
from pipeline.errors import PipelineError

# The processor flag of Linux without which oneDNN falls back to lesser instructions.
FLAGS = {
    "SSE41": "sse4_1",
    "AVX": "avx",
    "AVX2": "avx2",
    "AVX512_CORE": "avx512bw",
    "AVX512_CORE_BF16": "avx512_bf16",
}

# Names of the variables by which a user can change how the libraries compute.
PREFIXES = ("TF_", "XLA_", "ONEDNN_", "DNNL_", "KERAS_")


def differences(recorded: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """A line for each thing that is otherwise here than `recorded`, both by environment.record."""
    then, now = _flat(recorded), _flat(here)
    return [
        f"{name}: {then.get(name, 'not recorded')} when committed, {value} here"
        for name, value in now.items()
        if then.get(name) != value
    ]


def lacking(key: str, cpu_isa: str, machine: str, flags: set[str]) -> list[str]:
    """Why a processor cannot run the instructions `cpu_isa` that the parameter `key` names, or [].

    `machine` is platform.machine()'s word; `flags` are Linux's, empty where nobody tells.
    """
    if machine.lower() not in ("x86_64", "amd64"):
        return [f"{key} fixes the instructions of x86-64 processors; this is {machine}"]
    if cpu_isa == "DEFAULT":
        return [f"{key} is DEFAULT: every processor uses its own widest instructions"]
    if flags and FLAGS[cpu_isa] not in flags:
        return [f"this processor lacks the instructions that {key} names, {cpu_isa}"]
    return []


def main(variants: Sequence[str]) -> None:
    """Print a line for each thing here that the parameters do not fix for `variants`."""
    params = config.read()
    limits = config.section(params, "runtime", runtime.Runtime)
    recipes = {settings.variant(params, name).recipe for name in variants}
    fixed: dict[str, runtime.Hardware] = {"runtime": limits}
    fixed |= {f"recipes.{name}": settings.recipe(params, name) for name in sorted(recipes)}
    given = {name: os.environ.pop(name) for name in list(os.environ) if name.startswith(PREFIXES)}
    runtime.start(limits)
    import tensorflow as tf

    lines = []
    for key, hardware in fixed.items():
        asked = f"{key}.cpu_isa", hardware.cpu_isa
        lines += lacking(*asked, platform.machine(), runtime.cpu_flags())
    lines += [f"TensorFlow computes on {gpu.name}" for gpu in tf.config.get_visible_devices("GPU")]
    lines += [  # those that start() sets are not taken from the user
        f"the environment has {name}={value}"
        for name, value in sorted(given.items())
        if name not in os.environ
    ]
    for line in lines:
        print(line)


def _flat(machine: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in machine.items() if name != "libraries"} | dict(
        machine.get("libraries", {})
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except PipelineError as error:
        sys.exit(str(error))
