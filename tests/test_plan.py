"""The plan against what `dvc repro` then does, in a small pipeline shaped like the project's."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import get_args

import pytest
from dvc.repo import Repo

from pipeline.core.errors import PipelineError
from pipeline.tools import plan
from pipeline.tools.plan import Status, plan_stages

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
  deep: {seed: 1, dense: 1024, widths: [16, 32], stop: null, dropout: 0.5}
  final: {seed: 1, dense: 512, widths: [16, 32], stop: null, dropout: 0.0}
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
        Repo.init(no_scm=True).close()
        for name, text in (("dvc.yaml", DVC_YAML), ("params.yaml", PARAMS), ("work.sh", WORK)):
            Path(name).write_text(text)
        _change("mkdir -p code/train; touch code/train/stage.py; echo pixels > source.txt")
        assert _repro() == (EVERYTHING, set())
    return root


@pytest.fixture
def project(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    root = tmp_path / "project"
    shutil.copytree(finished, root, symlinks=True)
    monkeypatch.chdir(root)
    return root


def _repro(*targets: str) -> tuple[set[str], set[str]]:
    """Stages that DVC ran, and stages that it restored without running, by the stages' own log."""
    log = Path("ran.log")
    log.unlink(missing_ok=True)
    with Repo(".") as repo:
        done = {stage.addressing for stage in repo.reproduce(list(targets) or None)}
    ran = set(log.read_text().split()) if log.exists() else set()
    return ran, done - ran


def _change(command: str) -> None:
    """Run a shell command, an edit or a deletion."""
    subprocess.run(command, shell=True, check=True)


WILL, RESTORED, FOLLOW = get_args(Status)
TRAIN, EVALUATE = {"train@deep", "train@final"}, {"evaluate@deep", "evaluate@final"}
BEHIND_DEEP = {"evaluate@deep", "compare"}
MODEL, METRICS = "models/deep.txt", "reports/variants/deep/metrics.json"
DENSE = "sed -i.before 's/dense: 512/dense: 256/' params.yaml"
# A change, the first stage of the plan with its reason, and the stages of each status.
TABLE = [
    (
        DENSE,
        "train@final: variants.final modified",
        {WILL: {"train@final"}, FOLLOW: {"evaluate@final", "compare"}},
    ),
    (
        "sed -i.before 's/^  deep:/  wide: {dense: 9}\\n&/' params.yaml",
        "train@wide: new stage",
        {WILL: {"train@wide", "evaluate@wide"}, FOLLOW: {"compare"}},
    ),
    (
        "echo >> code/train/stage.py; sed -i.before 's/bins: 15/bins: 3/' params.yaml",
        "train@deep: code/train modified",
        {WILL: TRAIN | EVALUATE, FOLLOW: {"compare"}},
    ),
    (
        "sed -i.before 's/sh work.sh prepare/sh .\\/work.sh prepare/' dvc.yaml",
        "prepare: command changed",
        {WILL: {"prepare"}, FOLLOW: TRAIN | EVALUATE | {"compare"}},
    ),
    (
        f"rm {MODEL}",
        f"train@deep: {MODEL} deleted",
        {RESTORED: {"train@deep"}, FOLLOW: BEHIND_DEEP},
    ),
    (
        f"rm -rf .dvc/cache/files/md5/$(md5sum {MODEL} | sed 's/../&\\//; s/ .*//')",
        f"train@deep: {MODEL} not in cache",
        {WILL: {"train@deep"}, FOLLOW: BEHIND_DEEP},
    ),
    (
        f"rm {METRICS}; echo > {METRICS}",
        f"evaluate@deep: {METRICS} modified",
        {RESTORED: {"evaluate@deep"}, FOLLOW: {"compare"}},
    ),
    (
        "echo better > reports/variants/notes.txt",
        "compare: reports/variants modified",
        {WILL: {"compare"}},
    ),
    ("rm dvc.lock", "fetch: new stage", {WILL: EVERYTHING}),
    (
        "echo '    always_changed: true' >> dvc.yaml",  # compare's
        "compare: runs every time",
        {WILL: {"compare"}},
    ),
]


@pytest.mark.parametrize(("change", "first", "statuses"), TABLE)
def test_plan_foresees_repro(
    project: Path, change: str, first: str, statuses: dict[Status, set[str]]
) -> None:
    _change(change)
    planned = plan_stages()
    names = [stage.name for stage in planned]
    found = {status: {s.name for s in planned if s.status == status} for status in statuses}
    assert (found, sum(map(len, found.values()))) == (statuses, len(names))
    assert f"{names[0]}: {planned[0].reasons[0]}" == first
    assert all(before in names[: names.index(s.name)] for s in planned for before in s.upstream)
    ran, restored = _repro()
    assert statuses.get(WILL, set()) - restored <= ran
    assert ran | restored <= set(names)
    assert "always" in change or plan_stages() == []


def test_output(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan.main()
    assert capsys.readouterr().out == "nothing would run\n"
    Path("reports/runs").mkdir()
    Path("reports/runs/train@final.json").write_text('{"seconds": 842.4}')
    Path("reports/runs/compare.json").write_text('{"seconds": 8}')
    _change(DENSE)
    plan.main()
    rows = [re.split("  +", line) for line in capsys.readouterr().out.splitlines()]
    assert rows[:3] == [
        ["will run", "train@final", "14 min 2 s", "variants.final modified"],
        ["may follow", "evaluate@final", "unknown", "after train@final"],
        ["may follow", "compare", "8 s", "after evaluate@final, ..."],
    ]
    assert rows[3][0].endswith(" 14 min 10 s")


def test_targets(project: Path) -> None:
    _change("echo >> source.txt")
    planned = plan_stages(["train@final"])
    assert [stage.name for stage in planned] == ["fetch", "prepare", "train@final"]
    assert [stage.upstream for stage in planned] == [(), ("fetch",), ("prepare",)]
    with pytest.raises(PipelineError, match="train@absent"):
        plan_stages(["train@absent"])


def test_tracked_data_and_frozen_stages(project: Path) -> None:
    Path("photos").mkdir()
    Path("photos/1.jpg").write_text("one")
    with Repo(".") as repo:
        repo.add(["photos"])
    _change("sed -i.before 's/deps: .source.txt]/frozen: true/; s/, work.sh/&, photos/' dvc.yaml")
    _repro()
    _change("sed -i.before 's/mkdir -p raw/mkdir raw/' dvc.yaml")  # fetch is frozen
    assert plan_stages() == []
    Path("photos/2.jpg").write_text("two")
    assert plan_stages()[0].name == "prepare"
    assert "fetch" not in _repro()[0]
    assert plan_stages() == []
    Path("photos/2.jpg").unlink()
    Path("photos/2.jpg").symlink_to("/a/cache/that/was/moved")
    with pytest.raises(PipelineError, match=r"photos/2\.jpg.*dvc checkout"):
        plan_stages()
