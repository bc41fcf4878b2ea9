"""The invalidation table: what `dvc repro` runs after each possible change, over the real dvc.yaml.

The stages are stubs (tests/stub_stage.py), DVC and the graph are real. What concerns the same
stages, DVC treats alike: one of each kind is changed and `dvc repro` run, and there the plan is
proved to foresee what runs; for the others of the kind, the plan tells.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import declared
import dvc.cli
import pytest
import workspace
import yaml
from conftest import PROJECT

from pipeline.tools import plan_stages
from pipeline.tools.plan_stages import Status

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


def each(stage: str) -> set[str]:
    return {f"{stage}@{variant}" for variant in VARIANTS}


SHOWN = {"compare", "page"}


def of(*variants: str) -> set[str]:
    """What runs when the trainings of `variants` do."""
    return {f"{stage}@{name}" for stage in ("train", "evaluate") for name in variants} | SHOWN


EVERY_TRAINING = of(*VARIANTS)
PLAIN = of("baseline", "improved", "deep", "final", "adam", "sgd")
WHITENED = of("sprint", "fast", "fast_2", "fast_3", "best", "best_2", "best_3")
EVALUATIONS = each("evaluate") | SHOWN
# Rows that a person should check: these are not derived from dvc.yaml.
SPELLED_OUT: dict[str, set[str]] = {
    "fetch.mirrors": {"fetch"},
    "dataset.seed": set(GRAPH) - {"fetch"},
    "explore.seed": {"explore"},
    "explore.images_per_class": {"explore"},
    "runtime.cpu_isa": EVALUATIONS,
    "arithmetic.own.cpu_isa": WHITENED,
    "arithmetic.study.precision": PLAIN,
    "recipes.study.epochs": of("baseline", "improved", "deep", "final"),
    "recipes.study.micro_batches_at_once": of("baseline", "improved", "deep", "final"),
    "recipes.trial_sgd.learning_rate": of("sgd"),
    "recipes.fast.momentum": of("fast", "fast_2", "fast_3"),
    "recipes.fast.growth.px24": of("fast", "fast_2", "fast_3"),
    "recipes.best.label_smoothing": of("best", "best_2", "best_3"),
    "variants.final.dense": of("final"),
    "variants.fast.seed": of("fast"),
    "variants.fast.network": of("fast"),
    "views.whitened.shift": EVALUATIONS,
    "temperatures.fast": EVALUATIONS,
    "predict.unlikely": EVALUATIONS,
    "evaluate.mistakes": EVALUATIONS,
    "compare.confidence": SHOWN,
    "page.samples": {"page"},
    "pipeline/page/web/network.js": {"page"},
    "pipeline/evaluate/scores.py": EVALUATIONS,
    "reports/index.html": {"page"},
    "requirements/tensorflow.txt": EVERY_TRAINING,
    "requirements/reports.txt": set(GRAPH) - {"fetch"},
    "requirements/numpy.txt": set(GRAPH) - {"fetch"},
    "requirements/lock.txt": set(),
    "pipeline/networks/plain.py": PLAIN,
    "pipeline/networks/whitened.py": WHITENED,
    "pipeline/train/optimizers/muon.py": EVERY_TRAINING,
    "pipeline/train/augment.py": EVERY_TRAINING,
    "pipeline/evaluate/views.py": EVALUATIONS,
    "pipeline/evaluate/metrics.py": EVALUATIONS,
    "pipeline/comparison/table.py": SHOWN,
    "pipeline/comparison/groups.py": SHOWN,
    "pipeline/comparison/published.csv": SHOWN,
    "pipeline/report/figures.py": {"explore"} | EVALUATIONS,
    "pipeline/report/history.py": EVERY_TRAINING,
    "pipeline/explore/stage.py": {"explore"},
    "pipeline/fetch/mirrors.py": {"fetch"},
    "pipeline/base/files.py": set(GRAPH),
    "pipeline/__main__.py": set(),
    "pipeline/tools/schema.py": set(),
    "pipeline/predict/classify.py": set(),
    "pipeline/predict/litert.py": set(),
    "models/final.keras": set(),
    "models/final.tflite": set(),
    "reports/variants/final/history.csv": set(),
    "reports/variants/final/metrics.json": set(),
    "reports/variants/final/right.png": set(),
    "data/predictions/final.csv": set(),
    "reports/comparison.md": {"compare"},
    "data/raw": {"fetch"},
}


def expected(graph: Graph, directly: set[str]) -> set[str]:
    """The stages that must run when those `directly` concerned now write other bytes."""
    # What fetch writes is fixed by digests, so nothing follows from running it again.
    fetched = directly & {"fetch"}
    return fetched | declared.downstream(graph, directly - {"fetch"})


def lost(graph: Graph, out: str) -> set[str]:
    """The stage that must run when its output is damaged or gone: none where DVC restores it."""
    return {s.name for s in graph.values() if out in s.outs and not s.restored}


def concerned(graph: Graph, changed: str) -> set[str]:
    """The stages that declare the parameter or read the file `changed`."""
    return {s.name for s in graph.values() if s.uses(changed) or s.reads(changed)}


@pytest.mark.parametrize("changed", SPELLED_OUT)
def test_declared_graph_says_what_it_should(changed: str) -> None:
    assert changed in {*PARAMS, *CODE, *OUTS}, "no such parameter, file or output"
    if changed in OUTS:
        assert lost(GRAPH, changed) == SPELLED_OUT[changed]
    else:
        assert expected(GRAPH, concerned(GRAPH, changed)) == SPELLED_OUT[changed]


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
    """The stages that a `dvc repro` in `folder` ran, after a check that the plan foresaw them."""
    certain, possible = planned(folder)
    log = folder / "ran.txt"
    log.write_text("")
    assert dvc.cli.main(["repro", "--quiet"]) == 0
    ran = log.read_text().split()
    assert len(ran) == len(set(ran)), "a stage ran twice"
    assert certain <= set(ran), f"the plan was wrong about {sorted(certain - set(ran))}"
    assert set(ran) <= certain | possible, "the plan did not foresee some of these"
    return set(ran)


def planned(folder: Path) -> tuple[set[str], set[str]]:
    """The stages that will run by the plan, and those that may follow."""
    plan = plan_stages.make(root=folder)
    will, may = plan.having(Status.WILL_RUN), plan.having(Status.MAY_FOLLOW)
    return {stage.stage for stage in will}, {stage.stage for stage in may}


def kinds(names: Iterable[str]) -> dict[tuple[str, ...], list[str]]:
    """Those of `names` that the projects of these tests have, by the stages that each concerns."""
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
            found.setdefault(tuple(sorted(concerned(GRAPH, name) or made_by(name))), []).append(
                name
            )
    return found


def made_by(out: str) -> set[str]:
    """The stage that writes `out`, and in which way DVC keeps it."""
    return {f"{s.name} {out in s.in_git}" for s in GRAPH.values() if out in s.outs}


def some(names: Iterable[str], quick: Iterable[str] = ()) -> list[Any]:
    """Parameters of a test: one of each kind of `names`; only the `quick` ones in `make test`."""
    chosen = [next((n for n in kind if n in quick), kind[0]) for kind in kinds(names).values()]
    return [pytest.param(name, marks=[] if name in quick else pytest.mark.slow) for name in chosen]


def other(leaf: str, value: Any) -> Any:
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
    section[key] = other(leaf, section[key])
    workspace.write_params(folder, params)


QUICK_PARAMS = ("dataset.seed", "recipes.fast.growth.px24", "variants.baseline.dense")
QUICK_CODE = ("pipeline/networks/plain.py", "pipeline/comparison/table.py", "requirements/lock.txt")


@pytest.mark.parametrize("leaf", some([*PARAMS, "variants.fast.network"], QUICK_PARAMS))
def test_parameter_runs_exactly_what_uses_it(project: Path, leaf: str) -> None:
    set_param(project, leaf)
    graph = declared.stages(project)
    directly = concerned(graph, leaf)
    assert directly, f"no stage of dvc.yaml declares {leaf}"
    assert repro(project) == expected(graph, directly)


@pytest.mark.parametrize("leaf", ["variants.fast.network", "variants.baseline.recipe"])
def test_another_network_or_recipe_is_another_edge_of_the_graph(project: Path, leaf: str) -> None:
    variant = leaf.split(".")[1]
    set_param(project, leaf)
    assert repro(project) == of(variant)
    set_param(project, leaf)
    # DVC remembers the runs of before; of these, whose outputs are in git, it keeps none.
    assert repro(project) == SHOWN


@pytest.mark.parametrize("path", some(CODE, QUICK_CODE))
def test_code_runs_exactly_what_imports_it(project: Path, path: str) -> None:
    with (project / path).open("a") as file:
        file.write("changed = True\n")
    graph = declared.stages(project)
    assert repro(project) == expected(graph, concerned(graph, path))


@pytest.mark.parametrize("path", some((p for p in CODE if p.endswith(".py")), QUICK_CODE))
def test_comment_cuts_off_early(project: Path, path: str) -> None:
    with (project / path).open("a") as file:
        file.write("# tidied\n")
    assert repro(project) == concerned(declared.stages(project), path)


@pytest.mark.parametrize("out", some(OUTS, ("models/baseline.keras", "reports/comparison.csv")))
@pytest.mark.parametrize("damage", ["deleted", "corrupted"])
def test_lost_output_comes_back(project: Path, out: str, damage: str) -> None:
    before = content(project / out)
    file = project / out / "data_batch_1.bin" if out == "data/raw" else project / out
    corrupted = b"?" + file.read_bytes()[1:]
    file.unlink()  # DVC may have linked it to its cache
    if damage == "corrupted":
        file.write_bytes(corrupted)
    assert repro(project) == lost(declared.stages(project), out)
    assert content(project / out) == before


def test_nothing_changed_runs_nothing(project: Path) -> None:
    assert repro(project) == set()


def rest(names: Iterable[str]) -> list[str]:
    """Those of `names` of which `some` tried another of the same kind."""
    return [name for kind in kinds(names).values() for name in kind[1:]]


@pytest.mark.slow
def test_the_plan_foresees_the_same_for_all_of_a_kind(project: Path) -> None:
    graph = declared.stages(project)
    for name in rest([*PARAMS, *CODE]):
        with undone(project / ("params.yaml" if name in PARAMS else name)):
            if name in PARAMS:
                set_param(project, name)
            else:
                with (project / name).open("a") as file:
                    file.write("changed = True\n")
            certain, possible = planned(project)
        directly = concerned(declared.stages(project), name)
        assert certain >= directly - possible, name
        assert certain | possible == declared.downstream(graph, directly), name


@contextmanager
def undone(path: Path) -> Iterator[None]:
    """Puts the file's content back after the body."""
    before = path.read_bytes()
    yield
    path.write_bytes(before)


def content(path: Path) -> dict[str, bytes]:
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    return {file.name: file.read_bytes() for file in files}
