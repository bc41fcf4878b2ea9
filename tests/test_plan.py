"""The plan against what DVC's own repro then does, in a small pipeline shaped like ours."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from conftest import PROJECT
from dvc.repo import Repo

from pipeline.base.errors import PipelineError
from pipeline.tools import plan
from pipeline.tools.plan_stages import Plan, Status, make

DVC_YAML = """
stages:
  fetch:
    cmd: mkdir -p raw && cp source.txt raw/data.txt && echo fetch >> ran.log
    deps: [source.txt]
    params: [fetch]
    outs:
      - raw: {persist: true}
  prepare:
    cmd: sh work.sh prepare raw/data.txt data.txt
    deps: [raw, work.sh]
    params: [prepare]
    outs: [data.txt]
  train:
    foreach: ${variants}
    do:
      cmd: sh work.sh train@${key} data.txt models/${key}.txt reports/variants/${key}/history.csv
      deps: [data.txt, code/train]
      params: ["variants.${key}"]
      outs: ["models/${key}.txt"]
      plots:
        - reports/variants/${key}/history.csv: {cache: false}
  evaluate:
    foreach: ${variants}
    do:
      cmd: sh work.sh evaluate@${key} models/${key}.txt reports/variants/${key}/metrics.json
      deps: ["models/${key}.txt"]
      params: [evaluate]
      metrics:
        - reports/variants/${key}/metrics.json: {cache: false}
  compare:
    cmd: sh work.sh compare reports/variants/deep/metrics.json table.txt
    deps: [reports/variants]
    outs:
      - table.txt: {cache: false}
"""

PARAMS = """
fetch: {mirror: one}
prepare: {seed: 1}
evaluate: {bins: 15}
variants:
  deep: {dense: 1024, widths: [16, 32], stop: null, dropout: 0.5}
  final: {dense: 512, widths: [16, 32], stop: null, dropout: 0.0}
"""

# Notes that it ran, then makes its outputs from its first input and the first `dense` of its own
# variant: a change of anything else leaves the same bytes.
WORK = """
echo $1 >> ran.log
variant=$(echo $1 | cut -s -d@ -f2)
dense=$(grep "  $variant:" params.yaml | grep -o 'dense: [0-9]*' | head -n 1)
test "${1%@*}" = train || dense=
source=$2
shift 2
for out; do
  mkdir -p $(dirname $out)
  (basename $out; echo "$dense"; cat $source) > $out
done
"""

EVERYTHING = {
    *("fetch", "prepare", "train@deep", "train@final"),
    *("evaluate@deep", "evaluate@final", "compare"),
}


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pipeline after its first run; tests work on copies."""
    root = tmp_path_factory.mktemp("pipeline")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path_factory.mktemp("site")))
        patch.chdir(root)
        _lay_out(root)
        assert _repro() == (EVERYTHING, set())
    return root


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    root = tmp_path / "project"
    shutil.copytree(finished, root, symlinks=True)
    monkeypatch.chdir(root)
    return root


def _lay_out(root: Path) -> None:
    Repo.init(str(root), no_scm=True).close()
    (root / "dvc.yaml").write_text(DVC_YAML)
    (root / "params.yaml").write_text(PARAMS)
    (root / "work.sh").write_text(WORK)
    (root / "code/train").mkdir(parents=True)
    (root / "code/train/stage.py").write_text("# stands for pipeline/train/stage.py\n")
    (root / "source.txt").write_text("pixels\n")


def _repro(*targets: str) -> tuple[set[str], set[str]]:
    """What DVC ran and what it restored without running, by the stages' own notes."""
    notes = Path("ran.log")
    notes.unlink(missing_ok=True)
    with Repo(".") as repo:
        done = {stage.addressing for stage in repo.reproduce(list(targets) or None)}
    ran = set(notes.read_text().split()) if notes.exists() else set()
    return ran, done - ran


def _files(root: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(root)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in root.rglob("*")
        if path.is_file()
    }


def _named(made: Plan, status: Status) -> set[str]:
    return {stage.stage for stage in made.having(status)}


def _edit(path: str, old: str, new: str) -> Callable[[], None]:
    def apply() -> None:
        text = Path(path).read_text()
        assert old in text
        Path(path).write_text(text.replace(old, new))

    return apply


def _delete(*paths: str) -> Callable[[], None]:
    def apply() -> None:
        for path in map(Path, paths):
            shutil.rmtree(path) if path.is_dir() else path.unlink()

    return apply


def _write(path: str, content: str) -> Callable[[], None]:
    def apply() -> None:
        Path(path).unlink(missing_ok=True)  # it may be a link to DVC's cache
        Path(path).write_text(content, newline="")

    return apply


def _there_and_back() -> None:
    """dense 1024, then 7, then 1024 again: the last is in the run cache."""
    _edit("params.yaml", "dense: 1024", "dense: 7")()
    _repro()
    _edit("params.yaml", "dense: 7", "dense: 1024")()


def _uncached(path: str) -> Callable[[], None]:
    def apply() -> None:
        with Repo(".") as repo:
            (output,) = repo.find_outs_by_path(path)
            Path(output.cache_path).unlink()

    return apply


def _all_of(*changes: Callable[[], None]) -> Callable[[], None]:
    def apply() -> None:
        for change in changes:
            change()

    return apply


CODE = _edit("code/train/stage.py", "stands", "stood")


def _bins_back_behind_a_run() -> None:
    """evaluate would find its earlier run in the cache if train made the same models again."""
    _edit("params.yaml", "bins: 15", "bins: 5")()
    _repro()
    _edit("params.yaml", "bins: 5", "bins: 15")()
    CODE()


WILL, MAY, BACK = Status.WILL_RUN, Status.MAY_FOLLOW, Status.RESTORED
TRAINED = {"train@deep", "train@final"}
EVALUATED = {"evaluate@deep", "evaluate@final"}
BEHIND_DEEP = {"evaluate@deep", "compare"}


@dataclass(frozen=True)
class Row:
    """What is changed; a stage's reason; what then is certain to run, may run, is restored."""

    change: Callable[[], None]
    reason: str
    will: set[str] = field(default_factory=set)
    may: set[str] = field(default_factory=set)
    back: set[str] = field(default_factory=set)


def _params(old: str, new: str, reason: str) -> Row:
    """The row of a change in the parameters of `final`."""
    change, behind = _edit("params.yaml", old, new), {"evaluate@final", "compare"}
    return Row(change, f"train@final: variants.final.{reason}", will={"train@final"}, may=behind)


def _fetch(change: Callable[[], None], reason: str) -> Row:
    """The row of a change for which fetch runs."""
    return Row(change, f"fetch: {reason}", will={"fetch"}, may=EVERYTHING - {"fetch"})


MODEL, METRICS = "models/deep.txt", "reports/variants/deep/metrics.json"
TABLE = {
    "leaf": _params("dense: 512", "dense: 256", "dense 512 → 256"),
    "list": _params("512, widths: [16, 32]", "512, widths: [16]", "widths [16, 32] → [16]"),
    "null": _params("null, dropout: 0.0", "3, dropout: 0.0", "stop null → 3"),
    "leaf added": _params("0.0}", "0.0, extra: {on: true}}", "extra.on added: true"),
    "empty mapping": _params("0.0}", "0.0, growth: {}}", "growth added: {}"),
    "leaf removed": _params(", dropout: 0.0", "", "dropout removed"),
    "variant added": Row(
        _edit("params.yaml", "  deep:", "  wide: {dense: 9}\n  deep:"),
        "train@wide: never run",
        will={"train@wide", "evaluate@wide"},
        may={"compare"},
    ),
    "folder of code": Row(
        CODE, "train@deep: code/train changed", will=TRAINED, may=EVALUATED | {"compare"}
    ),
    "source": _fetch(_edit("source.txt", "pixels", "other pixels"), "source.txt changed"),
    "line ends": _fetch(_write("source.txt", "pixels\r\n"), "source.txt changed (line ends: CRLF)"),
    "command": Row(
        _edit("dvc.yaml", "sh work.sh prepare", "sh ./work.sh prepare"),
        "prepare: command changed",
        will={"prepare"},
        may=EVERYTHING - {"fetch", "prepare"},
    ),
    "dependency added": _fetch(
        _edit("dvc.yaml", "[source.txt]", "[source.txt, code/train]"),
        "code/train added to the dependencies",
    ),
    "model missing": Row(_delete(MODEL), f"train@deep: {MODEL} missing", back={"train@deep"}),
    "model damaged": Row(
        _write(MODEL, "damaged"), f"train@deep: {MODEL} changed", back={"train@deep"}
    ),
    "model missing, cached copy too": Row(
        _all_of(_uncached(MODEL), _delete(MODEL)),
        f"train@deep: {MODEL} missing",
        will={"train@deep"},
        may=BEHIND_DEEP,
    ),
    "only the cached copy missing": Row(
        _uncached(MODEL),
        f"train@deep: {MODEL} not in DVC's cache",
        will={"train@deep"},
        may=BEHIND_DEEP,
    ),
    "metrics missing": Row(
        _delete(METRICS), f"evaluate@deep: {METRICS} missing", back={"evaluate@deep"}
    ),
    "results of all variants missing": Row(
        _delete("reports/variants"),
        f"evaluate@deep: {METRICS} missing",
        back=TRAINED | EVALUATED,
    ),
    "a file beside the results": Row(
        _write("reports/variants/notes.txt", "better"),
        "compare: reports/variants changed",
        will={"compare"},
    ),
    "uncached output missing": Row(
        _delete("table.txt"), "compare: table.txt missing", will={"compare"}
    ),
    "persisted output damaged": _fetch(_write("raw/data.txt", "damaged"), "raw changed"),
    "data and models missing": Row(
        _delete("data.txt", "models"), "prepare: data.txt missing", back={"prepare", *TRAINED}
    ),
    "raw and data missing": _fetch(_delete("raw", "data.txt", MODEL), "raw missing"),
    "there and back": Row(
        _there_and_back,
        "train@deep: variants.deep.dense 7 → 1024",
        will={"compare"},  # DVC keeps no run of a stage with an uncached output
        back={"train@deep", "evaluate@deep"},
    ),
    "behind a run, perhaps in the run cache": Row(
        _bins_back_behind_a_run,
        "evaluate@deep: evaluate.bins 5 → 15",
        will=TRAINED,
        may=EVALUATED | {"compare"},
    ),
    "behind a run, never seen": Row(
        _all_of(_edit("params.yaml", "bins: 15", "bins: 3"), CODE),
        "evaluate@deep: evaluate.bins 15 → 3",
        will=TRAINED | EVALUATED,
        may={"compare"},
    ),
    "lock file lost": Row(
        _delete("dvc.lock"),
        "train@deep: never run",
        will={"fetch", "compare"},
        may=EVERYTHING - {"fetch", "compare"},
    ),
    "new folder": Row(_delete("dvc.lock", ".dvc/cache"), "prepare: never run", will=EVERYTHING),
}


@pytest.mark.parametrize("change", TABLE)
def test_plan_says_what_repro_does(project: Path, change: str) -> None:
    row = TABLE[change]
    row.change()
    with Repo("."):
        pass  # makes DVC's temporary folder, as `dvc status` does
    before = _files(project)

    made = make()

    assert _files(project) == before
    found = {status: _named(made, status) for status in (WILL, MAY, BACK)}
    assert found == {WILL: row.will, MAY: row.may, BACK: row.back}
    assert row.reason in {f"{s.stage}: {reason}" for s in made.stages for reason in s.reasons}
    ran, restored = _repro()
    assert row.will <= ran <= row.will | row.may
    assert row.back <= restored <= row.back | row.may
    assert not make().having(WILL, MAY, BACK)


def _record_runs() -> None:
    """Two durations and a damaged record, beside the trained parameter of another value."""
    _edit("params.yaml", "dense: 512", "dense: 256")()
    runs = Path("reports/runs")
    runs.mkdir()
    (runs / "train@final.json").write_text('{"seconds": 842.4, "libraries": {}}')
    (runs / "compare.json").write_text('{"seconds": 8, "libraries": {}}')
    (runs / "evaluate@final.json").write_text("half a fil")


def test_the_text_names_times_and_reasons(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _record_runs()
    _delete("models/deep.txt")()

    status = plan.main([])

    assert status == 1
    assert capsys.readouterr().out.splitlines() == [
        "will run",
        "  train@final           14 min 2 s  variants.final.dense 512 → 256",
        "restored without a run",
        "  train@deep                        from the cache: models/deep.txt missing",
        "may follow",
        "  evaluate@final           unknown  after train@final",
        "  compare                      8 s  after evaluate@final, train@final",
        "up to date",
        "  fetch, prepare, evaluate@deep",
        "expected time: 14 min 2 s, one stage after another, up to 14 min 10 s with what",
        "  may follow; not counted, never timed: evaluate@final",
    ]


def test_the_json_says_the_same(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _record_runs()

    assert plan.main(["--json"]) == 1

    content = json.loads(capsys.readouterr().out)
    assert content["runs"] is True
    assert content["seconds"] == {"expected": 842.4, "at_most": 850.4}
    found = {s["stage"]: s for s in content["stages"]}["train@final"]
    assert len(found.pop("inputs")) == 64
    assert found == {
        "stage": "train@final",
        "status": "will run",
        "reasons": ["variants.final.dense 512 → 256"],
        "source": None,
        "seconds": 842.4,
        "after": ["prepare"],
    }


def test_each_reason_has_a_line_of_80_columns(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _all_of(CODE, _edit("params.yaml", "512, widths: [16, 32]", "512, widths: [16]"))()

    assert plan.main([]) == 1

    assert capsys.readouterr().out.splitlines() == [
        "will run",
        "  train@deep               unknown  code/train changed",
        "  train@final              unknown  code/train changed",
        "                                    variants.final.widths [16, 32] → [16]",
        "may follow",
        "  evaluate@deep            unknown  after train@deep",
        "  evaluate@final           unknown  after train@final",
        "  compare                  unknown  after evaluate@deep, evaluate@final,",
        "                                      train@deep, train@final",
        "up to date",
        "  fetch, prepare",
        "expected time: unknown, as none of these was timed yet",
    ]


def test_exit_status_and_text_when_nothing_runs(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan.main([]) == 0
    assert capsys.readouterr().out.endswith("\nnothing would run\n")
    _delete("models/deep.txt")()
    assert plan.main([]) == 0  # DVC puts it back without running anything


def test_targets_limit_the_plan(project: Path) -> None:
    made = make(["train@final"])

    assert {stage.stage for stage in made.stages} == {"fetch", "prepare", "train@final"}


def test_what_cannot_be_planned_is_said(project: Path) -> None:
    with pytest.raises(PipelineError, match="train@absent"):
        make(["train@absent"])
    _edit("params.yaml", "variants:", "variant:")()
    with pytest.raises(PipelineError, match="variants"):
        make()


def _command(*arguments: str, encoding: str = "utf-8") -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "pipeline.tools.plan", *arguments],
        env={**os.environ, "PYTHONPATH": str(PROJECT), "PYTHONIOENCODING": encoding},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding=encoding,
    )


def test_the_command_line_has_a_status_of_its_own_for_errors(project: Path) -> None:
    command = _command("train@absent")

    assert command.communicate()[1] == (
        "plan: DVC cannot read this project: Stage 'train@absent' not found inside 'dvc.yaml' "
        "file; `dvc stage list` names those that exist\n"
    )
    assert command.returncode == 2


def test_an_output_without_arrows_gets_plain_ones(project: Path) -> None:
    _edit("params.yaml", "dense: 512", "dense: 256")()

    text, errors = _command(encoding="latin-1").communicate()

    assert "variants.final.dense 512 -> 256\n" in text
    assert not errors


def test_a_reader_that_has_gone_is_no_error(project: Path) -> None:
    command = _command()
    assert command.stdout
    assert command.stderr
    command.stdout.close()

    with command.stderr as errors:
        assert errors.read() == ""
    assert command.wait() == 0


def test_a_remote_is_mentioned_where_it_would_help(project: Path, tmp_path: Path) -> None:
    Path(".dvc/config").write_text(
        f"[core]\n  no_scm = true\n  remote = store\n['remote \"store\"']\n  url = {tmp_path}/s\n"
    )
    with Repo() as repo:
        repo.push()
    _delete("models/deep.txt", ".dvc/cache")()
    Path("data.txt").unlink()

    hints = {s.stage: s.reasons for s in make().stages if s.status is WILL}

    hint = "`dvc pull` would bring it from remote store without a run"
    assert hints["train@deep"][-1] == hint
    with Repo() as repo:
        repo.pull()
    assert not make().having(WILL, MAY, BACK)


def test_an_empty_remote_is_not_mentioned(project: Path, tmp_path: Path) -> None:
    Path(".dvc/config").write_text(
        f"[core]\n  no_scm = true\n  remote = store\n['remote \"store\"']\n  url = {tmp_path}/s\n"
    )
    _delete("models/deep.txt", ".dvc/cache")()
    assert not any("dvc pull" in reason for s in make().stages for reason in s.reasons)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"),
        (0.4, "0 s"),
        (59.6, "1 min 0 s"),
        (842, "14 min 2 s"),
        (3900, "1 h 5 min"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert plan.duration(seconds) == text


def test_a_part_of_a_restored_folder_is_not_known_beforehand(project: Path) -> None:
    Path("dvc.yaml").write_text(
        "stages:\n"
        "  split:\n"
        "    cmd: mkdir -p parts && cp source.txt parts/one.txt\n"
        "    deps: [source.txt]\n"
        "    outs: [parts]\n"
        "  use:\n"
        "    cmd: cp parts/one.txt one.txt\n"
        "    deps: [parts/one.txt]\n"
        "    outs: [one.txt]\n"
    )
    _repro()
    _delete("parts")()

    made = make()

    assert [stage.status for stage in made.stages] == [BACK, MAY]
    assert _repro() == (set(), {"split"})


def test_another_folder_can_be_planned(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = make()
    monkeypatch.chdir(project.parent)
    assert make(root=project) == here
