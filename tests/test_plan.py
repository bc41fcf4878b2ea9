"""The plan against what DVC's own repro then does, in a small pipeline shaped like ours."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import PROJECT
from dvc.repo import Repo

from pipeline import plan
from pipeline.errors import PipelineError
from pipeline.plan_stages import Plan, Status, make

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
      cmd: sh work.sh train@${key} data.txt models/${key}.txt reports/${key}/history.csv
      deps: [data.txt, train.sh]
      params: ["variants.${key}"]
      outs: ["models/${key}.txt"]
      plots:
        - reports/${key}/history.csv: {cache: false}
  evaluate:
    foreach: ${variants}
    do:
      cmd: sh work.sh evaluate@${key} models/${key}.txt reports/${key}/metrics.json
      deps: ["models/${key}.txt"]
      params: [evaluate]
      metrics:
        - reports/${key}/metrics.json: {cache: false}
  compare:
    cmd: sh work.sh compare reports/deep/metrics.json table.txt
    deps: [reports/deep/metrics.json, reports/final/metrics.json]
    outs:
      - table.txt: {cache: false}
"""

PARAMS = """
fetch: {mirror: one}
prepare: {seed: 1}
evaluate: {bins: 15}
variants:
  deep: {dense: 1024, widths: [16, 32], dropout: 0.5}
  final: {dense: 512, widths: [16, 32], dropout: 0.0}
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
    (root / "train.sh").write_text("# stands for pipeline/train.py\n")
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


def _damage(path: str) -> Callable[[], None]:
    def apply() -> None:
        os.chmod(path, 0o644)
        Path(path).write_text("damaged")

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


def _bins_back_behind_a_run() -> None:
    """evaluate would find its earlier run in the cache if train made the same models again."""
    _edit("params.yaml", "bins: 15", "bins: 5")()
    _repro()
    _edit("params.yaml", "bins: 5", "bins: 15")()
    _edit("train.sh", "stands", "stood")()


WILL, MAY, BACK = Status.WILL_RUN, Status.MAY_FOLLOW, Status.RESTORED
BEHIND_PREPARE = EVERYTHING - {"fetch", "prepare"}
Row = tuple[Callable[[], None], set[str], set[str], set[str], tuple[str, str] | None]
# What is changed: what is certain to run, what may, what is restored; a reason, of which stage.
TABLE: dict[str, Row] = {
    "nothing": (_all_of(), set(), set(), set(), None),
    "leaf": (
        _edit("params.yaml", "dense: 512", "dense: 256"),
        {"train@final"},
        {"evaluate@final", "compare"},
        set(),
        ("train@final", "variants.final.dense 512 → 256"),
    ),
    "list": (
        _edit("params.yaml", "512, widths: [16, 32]", "512, widths: [16]"),
        {"train@final"},
        {"evaluate@final", "compare"},
        set(),
        ("train@final", "variants.final.widths [16, 32] → [16]"),
    ),
    "leaf added": (
        _edit("params.yaml", "0.0}", "0.0, extra: {on: true}}"),
        {"train@final"},
        {"evaluate@final", "compare"},
        set(),
        ("train@final", "variants.final.extra.on added: true"),
    ),
    "leaf removed": (
        _edit("params.yaml", ", dropout: 0.0", ""),
        {"train@final"},
        {"evaluate@final", "compare"},
        set(),
        ("train@final", "variants.final.dropout removed"),
    ),
    "variant added": (
        _edit("params.yaml", "  deep:", "  wide: {dense: 9}\n  deep:"),
        {"train@wide", "evaluate@wide"},
        set(),
        set(),
        ("train@wide", "never run"),
    ),
    "file": (
        _edit("train.sh", "stands", "stood"),
        {"train@deep", "train@final"},
        {"evaluate@deep", "evaluate@final", "compare"},
        set(),
        ("train@deep", "train.sh changed"),
    ),
    "source": (
        _edit("source.txt", "pixels", "other pixels"),
        {"fetch"},
        EVERYTHING - {"fetch"},
        set(),
        ("fetch", "source.txt changed"),
    ),
    "command": (
        _edit("dvc.yaml", "sh work.sh prepare", "sh ./work.sh prepare"),
        {"prepare"},
        BEHIND_PREPARE,
        set(),
        ("prepare", "command changed"),
    ),
    "dependency added": (
        _edit("dvc.yaml", "[source.txt]", "[source.txt, train.sh]"),
        {"fetch"},
        EVERYTHING - {"fetch"},
        set(),
        ("fetch", "train.sh added to the dependencies"),
    ),
    "model missing": (
        _delete("models/deep.txt"),
        set(),
        set(),
        {"train@deep"},
        ("train@deep", "models/deep.txt missing"),
    ),
    "model damaged": (
        _damage("models/deep.txt"),
        set(),
        set(),
        {"train@deep"},
        ("train@deep", "models/deep.txt changed"),
    ),
    "model missing, cached copy too": (
        _all_of(_uncached("models/deep.txt"), _delete("models/deep.txt")),
        {"train@deep"},
        {"evaluate@deep", "compare"},
        set(),
        ("train@deep", "models/deep.txt missing"),
    ),
    "only the cached copy missing": (
        _uncached("models/deep.txt"),
        {"train@deep"},
        {"evaluate@deep", "compare"},
        set(),
        ("train@deep", "models/deep.txt not in DVC's cache"),
    ),
    "metrics missing": (
        _delete("reports/deep/metrics.json"),
        set(),
        set(),
        {"evaluate@deep"},
        ("evaluate@deep", "reports/deep/metrics.json missing"),
    ),
    "uncached output missing": (
        _delete("table.txt"),
        {"compare"},
        set(),
        set(),
        ("compare", "table.txt missing"),
    ),
    "persisted output damaged": (
        _damage("raw/data.txt"),
        {"fetch"},
        EVERYTHING - {"fetch"},
        set(),
        ("fetch", "raw changed"),
    ),
    "data and models missing": (
        _delete("data.txt", "models"),
        set(),
        set(),
        {"prepare", "train@deep", "train@final"},
        ("prepare", "data.txt missing"),
    ),
    "raw and data missing": (
        _delete("raw", "data.txt", "models/deep.txt"),
        {"fetch"},
        EVERYTHING - {"fetch"},
        set(),
        ("train@deep", "models/deep.txt missing"),
    ),
    "there and back": (
        _there_and_back,
        {"compare"},  # DVC keeps no run of a stage with an uncached output
        set(),
        {"train@deep", "evaluate@deep"},
        ("train@deep", "variants.deep.dense 7 → 1024"),
    ),
    "behind a run, perhaps in the run cache": (
        _bins_back_behind_a_run,
        {"train@deep", "train@final"},
        {"evaluate@deep", "evaluate@final", "compare"},
        set(),
        ("evaluate@deep", "evaluate.bins 5 → 15"),
    ),
    "behind a run, never seen": (
        _all_of(_edit("params.yaml", "bins: 15", "bins: 3"), _edit("train.sh", "stands", "stood")),
        {"train@deep", "train@final", "evaluate@deep", "evaluate@final"},
        {"compare"},
        set(),
        ("evaluate@deep", "evaluate.bins 15 → 3"),
    ),
    "lock file lost": (
        _delete("dvc.lock"),
        {"fetch", "compare"},
        EVERYTHING - {"fetch", "compare"},
        set(),
        ("train@deep", "never run"),
    ),
    "new folder": (
        _delete("dvc.lock", ".dvc/cache"),
        EVERYTHING,
        set(),
        set(),
        ("prepare", "never run"),
    ),
}


@pytest.mark.parametrize("change", TABLE)
def test_plan_says_what_repro_does(project: Path, change: str) -> None:
    apply, will, may, back, reason = TABLE[change]
    apply()
    with Repo("."):
        pass  # makes DVC's temporary folder, as `dvc status` does
    before = _files(project)

    made = make()

    assert _files(project) == before
    assert {s: _named(made, s) for s in (WILL, MAY, BACK)} == {WILL: will, MAY: may, BACK: back}
    if reason:
        assert reason[1] in {s.stage: s for s in made.stages}[reason[0]].reasons
    ran, restored = _repro()
    assert will <= ran <= will | may
    assert back <= restored <= back | may
    assert not make().having(WILL, MAY, BACK)


def _note_seconds(stage: str, seconds: str) -> None:
    path = Path(f"reports/runs/{stage}.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(seconds)


def test_the_text_names_times_and_reasons(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _edit("params.yaml", "dense: 512", "dense: 256")()
    plan.main([])
    assert capsys.readouterr().out.endswith("unknown, as none of these was timed yet\n")
    _delete("models/deep.txt")()
    _note_seconds("train@final", '{"seconds": 842.4}')
    _note_seconds("compare", '{"seconds": 8}')
    _note_seconds("evaluate@final", "half a fil")

    status = plan.main([])

    assert status == 1
    assert capsys.readouterr().out.splitlines() == [
        "will run",
        "  train@final           14 min 2 s  variants.final.dense 512 → 256",
        "restored without a run",
        "  train@deep                        from the cache: models/deep.txt missing",
        "may follow",
        "  evaluate@final           unknown  after train@final",
        "  compare                      8 s  after evaluate@final",
        "up to date",
        "  fetch, prepare, evaluate@deep",
        "expected time: 14 min 2 s, one stage after another, up to 14 min 10 s with what may "
        "follow; not counted, never timed: evaluate@final",
    ]


def test_the_json_says_the_same(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _edit("params.yaml", "dense: 512", "dense: 256")()
    _note_seconds("train@final", '{"seconds": 842.4}')
    _note_seconds("compare", '{"seconds": 8}')

    assert plan.main(["--json"]) == 1

    content = json.loads(capsys.readouterr().out)
    assert content["runs"] is True
    assert content["seconds"] == {"expected": 842.4, "at_most": 850.4}
    assert {s["stage"]: s for s in content["stages"]}["train@final"] == {
        "stage": "train@final",
        "status": "will run",
        "reasons": ["variants.final.dense 512 → 256"],
        "source": None,
        "seconds": 842.4,
        "after": ["prepare"],
    }


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


def test_the_command_line_has_a_status_of_its_own_for_errors(project: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pipeline.plan", "train@absent"],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert done.stderr == (
        "plan: DVC cannot read this project: Stage 'train@absent' not found inside 'dvc.yaml' "
        "file; `dvc stage list` names those that exist\n"
    )


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
