"""The invalidation table: what `dvc repro` runs after each possible change, over the real dvc.yaml.

The stages are stubs (tests/stub_stage.py), DVC and the graph are real. Each row changes one thing
in a workspace that is up to date, so rows need not be undone.
"""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import declared
import dvc.cli
import pytest
import workspace
import yaml
from conftest import PROJECT

from pipeline import plan_stages

Graph = dict[str, declared.Stage]
GRAPH: Graph = declared.stages(PROJECT)
PARAMS = declared.leaves(yaml.safe_load((PROJECT / "params.yaml").read_text()))
CODE = sorted(
    str(path.relative_to(PROJECT))
    for folder in ("pipeline", "requirements")
    for path in (PROJECT / folder).rglob("*")
    if path.is_file() and path.suffix != ".pyc"
)
OUTS = [out for stage in GRAPH.values() for out in stage.outs]
VARIANTS = [name.partition("@")[2] for name in GRAPH if name.startswith("train@")]


def each(stage: str) -> set[str]:
    return {f"{stage}@{variant}" for variant in VARIANTS}


def of(*variants: str) -> set[str]:
    """What runs when the trainings of `variants` do."""
    return {f"{stage}@{name}" for stage in ("train", "evaluate") for name in variants} | {"compare"}


# Rows that a person should check: these are not derived from dvc.yaml.
SPELLED_OUT: dict[str, set[str]] = {
    "fetch.mirrors": {"fetch"},
    "preprocess.seed": set(GRAPH) - {"fetch"},
    "explore.seed": {"explore"},
    "runtime.threads_per_operation": each("evaluate") | {"compare"},
    "recipes.study.epochs": of("baseline", "improved", "deep", "final"),
    "recipes.study.threads_per_operation": of("baseline", "improved", "deep", "final"),
    "recipes.trial_sgd.learning_rate": of("sgd"),
    "recipes.fast.momentum": of("fast", "fast_2", "fast_3"),
    "recipes.fast.growth.px24": of("fast", "fast_2", "fast_3"),
    "variants.final.dense": of("final"),
    "variants.fast.seed": of("fast"),
    "variants.fast.network": of("fast"),
    "views.whitened.shift": {
        *(f"evaluate@{variant}" for variant in ("sprint", "fast", "fast_2", "fast_3", "best")),
        "compare",
    },
    "evaluate.mistakes": each("evaluate") | {"compare"},
    "compare.confidence": {"compare"},
    "requirements/tensorflow.txt": each("train") | each("evaluate") | {"compare"},
    "requirements/reports.txt": {"explore", *each("evaluate"), "compare"},
    "requirements/numpy.txt": set(GRAPH) - {"fetch"},
    "requirements/lock.txt": set(),
    "pipeline/networks.py": each("train") | each("evaluate") | {"compare"},
    "pipeline/muon.py": each("train") | each("evaluate") | {"compare"},
    "pipeline/views.py": each("evaluate") | {"compare"},
    "pipeline/compare.py": {"compare"},
    "pipeline/groups.py": {"compare"},
    "pipeline/published.csv": {"compare"},
    "pipeline/figures.py": {"explore", *each("evaluate"), "compare"},
    "pipeline/explore.py": {"explore"},
    "pipeline/mirrors.py": {"fetch"},
    "pipeline/__main__.py": set(),
    "pipeline/params.py": set(),
    "pipeline/predict.py": set(),
    "models/final.keras": set(),
    "reports/final/history.csv": set(),
    "reports/final/metrics.json": set(),
    "reports/comparison.md": {"compare"},
    "data/raw": {"fetch"},
}

# Variants and recipes that dvc.yaml's `foreach` treats as it does the others.
ALIKE = {"improved", "deep", "final", "adam", "trial_adam", "sprint", "fast_2", "fast_3", "best"}
# Each takes three seconds, so `make test` tries one of a kind.
QUICK = {
    "fetch.mirrors",
    "preprocess.seed",
    "runtime.threads_per_operation",
    "recipes.study.epochs",
    "recipes.fast.growth.px24",
    "variants.baseline.dense",
    "variants.fast.network",
    "views.whitened.shift",
    "requirements/reports.txt",
    "requirements/lock.txt",
    "pipeline/networks.py",
    "pipeline/compare.py",
    "models/baseline.keras",
    "reports/comparison.md",
}


def expected(graph: Graph, directly: set[str]) -> set[str]:
    """The stages that must run when those `directly` concerned now write other bytes."""
    # What fetch writes is fixed by digests, so nothing follows from running it again.
    fetched = directly & {"fetch"}
    return fetched | declared.downstream(graph, directly - {"fetch"})


def lost(out: str) -> set[str]:
    """The stage that must run when its output is damaged or gone: none where DVC restores it."""
    return {s.name for s in GRAPH.values() if out in s.outs and not s.restored}


def concerned(graph: Graph, changed: str) -> set[str]:
    """The stages that declare the parameter or read the file `changed`."""
    return {s.name for s in graph.values() if s.uses(changed) or s.reads(changed)}


@pytest.mark.parametrize("changed", SPELLED_OUT)
def test_declared_graph_says_what_it_should(changed: str) -> None:
    assert changed in {*PARAMS, *CODE, *OUTS}, "no such parameter, file or output"
    if changed in OUTS:
        assert lost(changed) == SPELLED_OUT[changed]
    else:
        assert expected(GRAPH, concerned(GRAPH, changed)) == SPELLED_OUT[changed]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the project with stub stages, up to date, as the current folder.

    Without the variants that are like others: they would triple the time of each row.
    """
    folder = tmp_path_factory.mktemp("invalidation") / "project"
    workspace.with_stub_stages(workspace.copy_project(folder))
    # Rows make each of the others another network; two keep to what those have now.
    workspace.drop_variants(folder, *ALIKE.intersection(VARIANTS) - {"final", "best"})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PATH", workspace.environment()["PATH"])
        patch.setenv("DVC_SITE_CACHE_DIR", str(folder.parent / "site"))
        assert repro(folder) == set(declared.stages(folder))
        yield folder


def repro(folder: Path) -> set[str]:
    """The stages that a `dvc repro` in `folder` ran, after a check that the plan foresaw them."""
    plan = plan_stages.make(root=folder)
    log = folder / "ran.txt"
    log.write_text("")
    assert dvc.cli.main(["repro", "--quiet"]) == 0
    ran = log.read_text().split()
    assert len(ran) == len(set(ran)), "a stage ran twice"
    certain = {stage.stage for stage in plan.having(plan_stages.Status.WILL_RUN)}
    possible = {stage.stage for stage in plan.having(plan_stages.Status.MAY_FOLLOW)}
    assert certain <= set(ran), f"the plan was wrong about {sorted(certain - set(ran))}"
    assert set(ran) <= certain | possible, "the plan did not foresee some of these"
    return set(ran)


def rows(names: Iterable[str]) -> list[Any]:
    """Parameters of a test: `names` less those like others; `make test` takes the QUICK ones."""
    return [
        pytest.param(name, marks=[] if name in QUICK else pytest.mark.slow)
        for name in names
        if not ALIKE & set(re.split(r"[./@]", name))
    ]


def other(leaf: str, value: Any) -> Any:
    """Another valid value for the parameter."""
    if leaf.endswith(".recipe"):
        return "trial_sgd" if value != "trial_sgd" else "study"
    if leaf.endswith(".network"):
        return "plain" if value != "plain" else "whitened"
    if isinstance(value, bool):
        return not value
    if isinstance(value, str):
        return {"adam": "sgd", "sgd": "adam", "AVX2": "AVX"}.get(value, value + "_other")
    if isinstance(value, list):
        return [*value[1:], value[0]] if len(value) > 1 else [value[0] + 1]
    if isinstance(value, dict):
        return {"flip_horizontal": 0.5}
    return 3 if value is None else value / 2 if isinstance(value, float) and value else value + 1


def set_param(folder: Path, leaf: str) -> None:
    params = workspace.read_params(folder)
    section = params
    *parents, key = leaf.split(".")
    for parent in parents:
        section = section[parent]
    section[key] = other(leaf, section[key])
    workspace.write_params(folder, params)


@pytest.mark.parametrize("leaf", rows(PARAMS))
def test_parameter_runs_exactly_what_uses_it(project: Path, leaf: str) -> None:
    set_param(project, leaf)
    graph = declared.stages(project)  # another recipe is another edge of the graph
    # Which recipe a variant uses is a setting of the variant alone.
    directly = concerned(graph, leaf)
    assert directly, f"no stage of dvc.yaml declares {leaf}"
    assert repro(project) == expected(graph, directly)


@pytest.mark.parametrize("path", rows(CODE))
def test_code_runs_exactly_what_imports_it(project: Path, path: str) -> None:
    with (project / path).open("a") as file:
        file.write("changed = True\n")
    graph = declared.stages(project)
    assert repro(project) == expected(graph, concerned(graph, path))


# DVC treats all files that the same stages read alike, so one of them is tried: a QUICK one if any.
COMMENTED = {
    tuple(sorted(s.name for s in GRAPH.values() if s.reads(path))): path
    for path in sorted(CODE, key=QUICK.__contains__)
    if path.endswith(".py")
}


@pytest.mark.parametrize("path", rows(COMMENTED.values()))
def test_comment_cuts_off_early(project: Path, path: str) -> None:
    with (project / path).open("a") as file:
        file.write("# tidied\n")
    assert repro(project) == concerned(declared.stages(project), path)


@pytest.mark.parametrize("out", rows(OUTS))
@pytest.mark.parametrize("damage", ["deleted", "corrupted"])
def test_lost_output_comes_back(project: Path, out: str, damage: str) -> None:
    before = content(project / out)
    file = project / out / "data_batch_1.bin" if out == "data/raw" else project / out
    corrupted = b"?" + file.read_bytes()[1:]
    file.unlink()  # DVC may have linked it to its cache
    if damage == "corrupted":
        file.write_bytes(corrupted)
    assert repro(project) == lost(out)
    assert content(project / out) == before


def test_nothing_changed_runs_nothing(project: Path) -> None:
    assert repro(project) == set()


def content(path: Path) -> dict[str, bytes]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files}
