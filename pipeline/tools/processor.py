"""What is known of this machine's processor. Linux tells it all; other systems little."""

import platform
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")


def name() -> str:
    """The model's name, or whatever Python knows, "unknown" if nothing."""
    # platform.processor() is empty or generic on Linux.
    return _first("model name") or platform.processor() or "unknown"


def vendor() -> str:
    """As in GenuineIntel or AuthenticAMD; empty where it is not told."""
    return _first("vendor_id")


def flags() -> set[str]:
    """What Linux says an x86-64 processor can do, as in avx2; empty where it is not told."""
    return set(_first("flags").split())


def is_x86_64() -> bool:
    """Whether the instruction sets that params.yaml names are this processor's at all."""
    return platform.machine().lower() in ("x86_64", "amd64")


def _first(key: str) -> str:
    if CPUINFO.exists():
        for line in CPUINFO.read_text(encoding="utf-8").splitlines():
            found, _, value = line.partition(":")
            if found.strip() == key:
                return value.strip()
    return ""
