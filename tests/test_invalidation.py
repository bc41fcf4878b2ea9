"""The invalidation table: what `dvc repro` runs after each possible change, over the real dvc.yaml.

The stages are stubs (tests/stub_stage.py), DVC and the graph are real. DVC treats parameters and
files that the same stages declare in the same way, so one of each such kind is changed.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import declared
import dvc.cli
import pytest
import workspace
import yaml
from conftest import PROJECT

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
# In the projects of these tests: one of each network and recipe that is not like another's.
KEPT = ("baseline", "sgd", "fast")


def for_each_variant(stage: str) -> set[str]:
    return {f"{stage}@{variant}" for variant in VARIANTS}


REPORTS = {"compare", "page"}


def trained_again(*variants: str) -> set[str]:
    """What runs when the trainings of `variants` do; page.variant is `fast`."""
    stages = {f"{stage}@{name}" for stage in ("train", "evaluate") for name in variants}
    return stages | REPORTS | ({"export"} if "fast" in variants else set())


ALL_TRAININGS = trained_again(*VARIANTS)
PLAIN = trained_again("baseline", "improved", "deep", "final", "adam", "sgd")
WHITENED = trained_again("sprint", "fast", "fast_2", "fast_3", "best", "best_2", "best_3")
EVALUATIONS = for_each_variant("evaluate") | REPORTS
# Rows that a person should check: these are not derived from dvc.yaml.
SPELLED_OUT: dict[str, set[str]] = {
    "fetch.mirrors": {"fetch"},
    "dataset.seed": set(GRAPH) - {"fetch"},
    "explore.seed": {"explore"},
    "runtime.cpu_isa": EVALUATIONS | {"export"},
    "arithmetic.own.cpu_isa": WHITENED,
    "recipes.study.epochs": trained_again("baseline", "improved", "deep", "final"),
    "recipes.trial_sgd.learning_rate": trained_again("sgd"),
    "recipes.fast.momentum": trained_again("fast", "fast_2", "fast_3"),
    "variants.final.dense": trained_again("final"),
    "variants.fast.seed": trained_again("fast"),
    "views.whitened.shift": EVALUATIONS,
    "predict.unlikely": EVALUATIONS,
    "compare.confidence": REPORTS,
    "page.samples": {"page"},
    "pipeline/page/web/network.js": {"page"},
    "pipeline/evaluate/scores.py": EVALUATIONS | {"export"},
    "reports/index.html": {"page"},
    "requirements/tensorflow.txt": ALL_TRAININGS,
    "requirements/reports.txt": set(GRAPH) - {"fetch"},
    "requirements/numpy.txt": set(GRAPH) - {"fetch"},
    "requirements/lock.txt": set(),
    "pipeline/networks/plain.py": PLAIN,
    "pipeline/networks/whitened.py": WHITENED,
    "pipeline/train/optimizers/muon.py": ALL_TRAININGS,
    "pipeline/comparison/tables.py": REPORTS,
    "pipeline/comparison/published.csv": REPORTS,
    "pipeline/report/figures.py": {"explore"} | EVALUATIONS,
    "pipeline/report/history.py": ALL_TRAININGS,
    "pipeline/explore/explore.py": {"explore"},
    "pipeline/datasets/download.py": {"fetch"},
    "pipeline/base/files.py": set(GRAPH),
    "pipeline/__main__.py": set(),
    "pipeline/tools/config.py": set(),
    "pipeline/predict/export.py": {"export"},
    "pipeline/predict/predictor.py": set(),
    "reports/fast.tflite": {"export"},
    "models/final.keras": set(),
    "reports/variants/final/history.csv": set(),
    "data/predictions/final.csv": set(),
    "reports/comparison.md": {"compare"},
    "data/raw": {"fetch"},
}


def expected(graph: Graph, users: set[str]) -> set[str]:
    """The stages that must run when those `users` concerned now write other bytes."""
    # What fetch writes is fixed by digests, so nothing follows from running it again.
    fetched = users & {"fetch"}
    return fetched | declared.downstream(graph, users - {"fetch"})


def rerun_for_lost(graph: Graph, out: str) -> set[str]:
    """The stage that must run when its output is damaged or gone: none where DVC restores it."""
    return {s.name for s in graph.values() if out in s.outs and not s.restored}


def stages_using(graph: Graph, changed: str) -> set[str]:
    """The stages that declare the parameter or read the file `changed`."""
    return {s.name for s in graph.values() if s.uses(changed) or s.reads(changed)}


@pytest.mark.parametrize("changed", SPELLED_OUT)
def test_declared_graph_says_what_it_should(changed: str) -> None:
    assert changed in {*PARAMS, *CODE, *OUTS}, "no such parameter, file or output"
    if changed in OUTS:
        assert rerun_for_lost(GRAPH, changed) == SPELLED_OUT[changed]
    else:
        assert expected(GRAPH, stages_using(GRAPH, changed)) == SPELLED_OUT[changed]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of the project with stub stages and the variants KEPT, up to date, entered."""
    folder = tmp_path_factory.mktemp("invalidation") / "project"
    workspace.with_stub_stages(workspace.copy_project(folder))
    workspace.drop_variants(folder, *set(VARIANTS) - set(KEPT))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("PATH", workspace.environment()["PATH"])
        patch.setenv("DVC_SITE_CACHE_DIR", str(folder.parent / "site"))
        assert repro(folder) == set(declared.stages(folder))
        yield folder


def repro(folder: Path) -> set[str]:
    """The stages that a `dvc repro` in `folder` ran."""
    log = folder / "ran.txt"
    log.write_text("")
    assert dvc.cli.main(["repro", "--quiet"]) == 0
    ran = log.read_text().split()
    assert len(ran) == len(set(ran)), "a stage ran twice"
    return set(ran)


def kinds(names: Iterable[str]) -> dict[tuple[str, ...], list[str]]:
    """Those of `names` that the projects of these tests have, by the stages that each uses."""
    params = yaml.safe_load((PROJECT / "params.yaml").read_text())
    gone = [
        *(f"variants.{name}." for name in VARIANTS if name not in KEPT),
        *(f"{name}/" for name in VARIANTS if name not in KEPT),
        *(f"/{name}." for name in VARIANTS if name not in KEPT),
    ]
    used = {params["variants"][name]["recipe"] for name in KEPT}
    gone += [f"recipes.{name}." for name in params["recipes"] if name not in used]
    found: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        if not any(part in name for part in gone):
            found.setdefault(
                tuple(sorted(stages_using(GRAPH, name) or storage_of(name))), []
            ).append(name)
    return found


def storage_of(out: str) -> set[str]:
    """The stage that writes `out`, and in which way DVC keeps it."""
    return {f"{s.name} {out in s.in_git}" for s in GRAPH.values() if out in s.outs}


def one_of_each_kind(names: Iterable[str], quick: Iterable[str] = ()) -> list[Any]:
    """Parameters of a test: one of each kind of `names`; only the `quick` ones in `make test`."""
    chosen = [next((n for n in kind if n in quick), kind[0]) for kind in kinds(names).values()]
    return [pytest.param(name, marks=[] if name in quick else pytest.mark.slow) for name in chosen]


def changed_value(leaf: str, value: Any) -> Any:
    """Another valid value for the parameter."""
    if leaf.endswith(".recipe"):
        return "trial_sgd" if value != "trial_sgd" else "study"
    if leaf.endswith(".arithmetic"):
        return "own" if value != "own" else "study"
    if leaf == "page.variant":
        return "baseline" if value != "baseline" else "fast"
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
    section[key] = changed_value(leaf, section[key])
    workspace.write_params(folder, params)


# Before a test that changes page.variant, by which one output is named.
@pytest.mark.parametrize(
    "out", one_of_each_kind(OUTS, ("models/baseline.keras", "reports/comparison.csv"))
)
@pytest.mark.parametrize("damage", ["deleted", "corrupted"])
def test_lost_output_comes_back(project: Path, out: str, damage: str) -> None:
    before = content(project / out)
    file = project / out / "data_batch_1.bin" if out == "data/raw" else project / out
    corrupted = b"?" + file.read_bytes()[1:]
    file.unlink()  # DVC may have linked it to its cache
    if damage == "corrupted":
        file.write_bytes(corrupted)
    assert repro(project) == rerun_for_lost(declared.stages(project), out)
    assert content(project / out) == before


QUICK_PARAMS = ("dataset.seed", "recipes.fast.growth.px24", "variants.baseline.dense")
QUICK_CODE = (
    "pipeline/networks/plain.py",
    "pipeline/comparison/tables.py",
    "requirements/lock.txt",
)


@pytest.mark.parametrize("leaf", one_of_each_kind([*PARAMS, "variants.fast.network"], QUICK_PARAMS))
def test_parameter_runs_exactly_what_uses_it(project: Path, leaf: str) -> None:
    set_param(project, leaf)
    graph = declared.stages(project)
    users = stages_using(graph, leaf)
    assert users, f"no stage of dvc.yaml declares {leaf}"
    assert repro(project) == expected(graph, users)


@pytest.mark.parametrize("leaf", ["variants.fast.network", "variants.baseline.recipe"])
def test_another_network_or_recipe_is_another_edge_of_the_graph(project: Path, leaf: str) -> None:
    variant = leaf.split(".")[1]
    set_param(project, leaf)
    assert repro(project) == trained_again(variant)
    set_param(project, leaf)
    # DVC's run cache restores all but stages whose uncached outputs are neither plots nor metrics.
    assert repro(project) == trained_again(variant) - {f"train@{variant}", f"evaluate@{variant}"}


@pytest.mark.parametrize("path", one_of_each_kind(CODE, QUICK_CODE))
def test_code_runs_exactly_what_imports_it(project: Path, path: str) -> None:
    with (project / path).open("a") as file:
        file.write("changed = True\n")
    graph = declared.stages(project)
    assert repro(project) == expected(graph, stages_using(graph, path))


@pytest.mark.parametrize(
    "path", one_of_each_kind((p for p in CODE if p.endswith(".py")), QUICK_CODE)
)
def test_comment_cuts_off_early(project: Path, path: str) -> None:
    with (project / path).open("a") as file:
        file.write("# tidied\n")
    assert repro(project) == stages_using(declared.stages(project), path)


def test_nothing_changed_runs_nothing(project: Path) -> None:
    assert repro(project) == set()


def content(path: Path) -> dict[str, bytes]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files}
