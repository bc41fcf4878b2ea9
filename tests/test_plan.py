"""The plan against what `dvc repro` then does, in a small pipeline shaped like the project's."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from dvc.repo import Repo

from pipeline.base.errors import PipelineError
from pipeline.tools import plan
from pipeline.tools.plan import PlannedStage, Status, parameter_changes, plan_stages

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

# Logs its name and writes its outputs from its first input and the `dense` of its own variant: a
# change of anything else leaves the same bytes.
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
    (root / "code/train/stage.py").write_text("# code\n")
    (root / "source.txt").write_text("pixels\n")


def _repro(*targets: str) -> tuple[set[str], set[str]]:
    """Stages that DVC ran, and stages that it restored without running, by the stages' own log."""
    log = Path("ran.log")
    log.unlink(missing_ok=True)
    with Repo(".") as repo:
        done = {stage.addressing for stage in repo.reproduce(list(targets) or None)}
    ran = set(log.read_text().split()) if log.exists() else set()
    return ran, done - ran


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
        Path(path).write_text(content)

    return apply


def _change_and_undo() -> None:
    """The last `dense` is in the run cache."""
    _edit("params.yaml", "dense: 1024", "dense: 7")()
    _repro()
    _edit("params.yaml", "dense: 7", "dense: 1024")()


def _delete_cached_model() -> None:
    with Repo(".") as repo:
        (output,) = repo.find_outs_by_path("models/deep.txt")
        Path(output.cache_path).unlink()


def _change_code_and_bins() -> None:
    _edit("code/train/stage.py", "code", "other code")()
    _edit("params.yaml", "bins: 15", "bins: 3")()


WILL, RESTORED, FOLLOW = Status.WILL_RUN, Status.MAY_BE_RESTORED, Status.MAY_FOLLOW
TRAIN, EVALUATE = {"train@deep", "train@final"}, {"evaluate@deep", "evaluate@final"}
BEHIND_PREPARE = TRAIN | EVALUATE | {"compare"}
BEHIND_FETCH = BEHIND_PREPARE | {"prepare"}
BEHIND_DEEP = {"evaluate@deep", "compare"}
MODEL, METRICS = "models/deep.txt", "reports/variants/deep/metrics.json"
# A change, the stage that is the first in the plan with its reason, and the plan's statuses.
TABLE: dict[str, tuple[Callable[[], None], str, dict[Status, set[str]]]] = {
    "parameter": (
        _edit("params.yaml", "dense: 512", "dense: 256"),
        "train@final: variants.final.dense 512 -> 256",
        {WILL: {"train@final"}, FOLLOW: {"evaluate@final", "compare"}},
    ),
    "variant added": (
        _edit("params.yaml", "  deep:", "  wide: {dense: 9}\n  deep:"),
        "train@wide: new stage",
        {WILL: {"train@wide", "evaluate@wide"}, FOLLOW: {"compare"}},
    ),
    "code and a parameter behind it": (
        _change_code_and_bins,
        "train@deep: code/train modified",
        {WILL: TRAIN | EVALUATE, FOLLOW: {"compare"}},
    ),
    "source": (
        _edit("source.txt", "pixels", "other pixels"),
        "fetch: source.txt modified",
        {WILL: {"fetch"}, FOLLOW: BEHIND_FETCH},
    ),
    "command": (
        _edit("dvc.yaml", "sh work.sh prepare", "sh ./work.sh prepare"),
        "prepare: command changed",
        {WILL: {"prepare"}, FOLLOW: BEHIND_PREPARE},
    ),
    "dependency added": (
        _edit("dvc.yaml", "[source.txt]", "[source.txt, code/train]"),
        "fetch: code/train modified",
        {WILL: {"fetch"}, FOLLOW: BEHIND_FETCH},
    ),
    "model missing": (
        _delete(MODEL),
        f"train@deep: {MODEL} deleted",
        {RESTORED: {"train@deep"}, FOLLOW: BEHIND_DEEP},
    ),
    "model damaged": (
        _write(MODEL, "damaged"),
        f"train@deep: {MODEL} modified",
        {RESTORED: {"train@deep"}, FOLLOW: BEHIND_DEEP},
    ),
    "cached model missing": (
        _delete_cached_model,
        f"train@deep: {MODEL} not in cache",
        {WILL: {"train@deep"}, FOLLOW: BEHIND_DEEP},
    ),
    "metrics missing": (
        _delete(METRICS),
        f"evaluate@deep: {METRICS} deleted",
        {RESTORED: {"evaluate@deep"}, FOLLOW: {"compare"}},
    ),
    "a file beside the results": (
        _write("reports/variants/notes.txt", "better"),
        "compare: reports/variants modified",
        {WILL: {"compare"}},
    ),
    "persisted output damaged": (
        _write("raw/data.txt", "damaged"),
        "fetch: raw modified",
        {RESTORED: {"fetch"}, FOLLOW: BEHIND_FETCH},
    ),
    "data and models missing": (
        _delete("data.txt", "models"),
        "prepare: data.txt deleted",
        {RESTORED: {"prepare"}, FOLLOW: BEHIND_PREPARE},
    ),
    "change undone": (
        _change_and_undo,
        "train@deep: variants.deep.dense 7 -> 1024",
        {WILL: {"train@deep"}, FOLLOW: BEHIND_DEEP},
    ),
    "lock file lost": (_delete("dvc.lock"), "fetch: new stage", {WILL: EVERYTHING}),
}


@pytest.mark.parametrize("change", TABLE)
def test_plan_foresees_repro(project: Path, change: str) -> None:
    apply, reason, statuses = TABLE[change]
    apply()
    planned = plan_stages()
    found: dict[Status, set[str]] = {}
    for stage in planned:
        found.setdefault(stage.status, set()).add(stage.name)
    assert found == statuses
    assert f"{planned[0].name}: {planned[0].reasons[0]}" == reason
    names = [stage.name for stage in planned]
    assert all(before in names[: names.index(s.name)] for s in planned for before in s.upstream)
    ran, restored = _repro()
    assert ran | restored <= set(names)
    assert {name for name in statuses.get(WILL, ()) if name not in restored} <= ran
    assert plan_stages() == []


@pytest.mark.parametrize(
    ("old", "new", "lines"),
    [
        ({"a": 1, "b": [1, 2]}, {"a": 1, "b": [1]}, ["b [1, 2] -> [1]"]),
        ({"a": {"b": None, "c": 0.5}}, {"a": {"b": 3, "c": 0.5}}, ["a.b null -> 3"]),
        ({"a": {"b": 1}}, {"a": {"b": 1}, "c": {"d": 1, "e": 2}}, ["c added"]),
        ({"a": {"b": 1, "c": {}}}, {"a": {"b": 1}}, ["a.c removed"]),
        ({"a": {"b": 1}}, {"a": "b"}, ['a {"b": 1} -> "b"']),
        ({"a": 1}, {"a": 1}, []),
    ],
)
def test_changed_parameters(old: Any, new: Any, lines: list[str]) -> None:
    assert list(parameter_changes(old, new)) == lines


def _record_runs() -> None:
    """Two durations, beside a damaged record."""
    runs = Path("reports/runs")
    runs.mkdir()
    (runs / "train@final.json").write_text('{"seconds": 842.4, "libraries": {}}')
    (runs / "compare.json").write_text('{"seconds": 8, "libraries": {}}')
    (runs / "evaluate@final.json").write_text("half a fil")


def test_output_and_exit_status(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan.main(["--check"]) == 0
    assert capsys.readouterr().out == "nothing would run\n"
    _record_runs()
    TABLE["parameter"][0]()
    assert plan.main([]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows == [
        ["will", "run", "(14", "min", "2", "s)"],
        ["train@final", *["14", "min", "2", "s", "variants.final.dense", "512", "->", "256"]],
        ["may", "follow", "(8", "s)"],
        ["evaluate@final", "unknown", "after", "train@final"],
        ["compare", *["8", "s", "after", "evaluate@final", "and", "1", "more"]],
    ]
    assert plan.main(["--json", "--check"]) == 1
    first = json.loads(capsys.readouterr().out)[0]
    assert first == {
        "name": "train@final",
        "upstream": [],
        "reasons": ["variants.final.dense 512 -> 256"],
        "seconds": 842.4,
        "status": "will run",
    }


def test_what_may_be_restored_fails_no_check(project: Path) -> None:
    _delete(MODEL)()
    assert plan.main(["--check"]) == 0


def test_columns_hold_long_names() -> None:
    stages = [PlannedStage(name, (), ("new stage",), 1.0) for name in ("a", "b" * 70)]
    _, one, other = plan.as_text(stages).splitlines()
    assert one.index("1 s") == other.index("1 s") > 70


def test_targets_and_another_folder(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _edit("source.txt", "pixels", "other pixels")()
    planned = plan_stages(["train@final"])
    assert [stage.name for stage in planned] == ["fetch", "prepare", "train@final"]
    assert [stage.upstream for stage in planned] == [(), ("fetch",), ("prepare",)]
    monkeypatch.chdir(project.parent)
    assert plan_stages(["train@final"], project) == planned


def test_unreadable_projects(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(PipelineError, match="train@absent"):
        plan_stages(["train@absent"])
    _edit("params.yaml", "variants:", "variant:")()
    assert plan.main([]) == 2
    assert "variants" in capsys.readouterr().err


def test_tracked_data_and_frozen_stages(project: Path) -> None:
    Path("photos").mkdir()
    Path("photos/1.jpg").write_text("one")
    with Repo(".") as repo:
        repo.add(["photos"])
    _edit("dvc.yaml", "deps: [source.txt]", "frozen: true\n    deps: [photos]")()
    _edit("dvc.yaml", "deps: [raw, work.sh]", "deps: [raw, work.sh, photos]")()
    _repro()
    assert plan_stages() == []
    Path("photos/2.jpg").write_text("two")
    assert plan_stages()[0].name == "prepare"
    assert "fetch" not in _repro()[0]
    assert plan_stages() == []


def test_stage_that_runs_every_time(project: Path) -> None:
    _edit("dvc.yaml", "  compare:\n", "  compare:\n    always_changed: true\n")()
    assert [(stage.name, stage.status) for stage in plan_stages()] == [("compare", WILL)]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "unknown"),
        (59.6, "1 min 0 s"),
        (0.4, "0 s"),
        (842, "14 min 2 s"),
        (3900, "1 h 5 min"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert plan.duration(seconds) == text
