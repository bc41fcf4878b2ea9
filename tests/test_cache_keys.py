"""A stage depends on all code that can reach the bytes of its outputs, and on no other.

pipeline/core is exempt: it passes values on as they are read, and writes them as they are given.
"""

import ast
import json
import shutil
from pathlib import Path

import declared
import grimp
import numpy as np
import pytest
import study
import workspace
import yaml
from conftest import PROJECT

from pipeline.__main__ import STAGES
from pipeline.core import paths, splits
from pipeline.core.params import lookup, read_params, read_section
from pipeline.tools import new_project
from pipeline.tools.config import Params
from pipeline.training.variant import read_training_config

GRAPH = declared.stages(PROJECT)
PARAMS = yaml.safe_load((PROJECT / "params.yaml").read_text())
# A study of photos has a variant on features, too.
PHOTOS = json.loads(json.dumps(new_project.from_template(PARAMS)))
GRAPH |= {
    name: stage
    for name, stage in declared.stages_with(PHOTOS).items()
    if name.partition("@")[2] in (*PHOTOS["backbones"], "pretrained", "fine_tuned")
}
CORE = "pipeline.core"
IMPORTS = grimp.build_graph("pipeline", include_external_packages=True, cache_dir=None)
SOURCES = {
    ".".join(path.relative_to(PROJECT).with_suffix("").parts): path
    for path in (PROJECT / "pipeline").rglob("*.py")
}
MODULES = {name for name in SOURCES if not name.endswith("__init__")}
PACKAGES = {name.removesuffix(".__init__") for name in SOURCES.keys() - MODULES}

# In pipeline/training, but imported for some networks or optimizers only.
FOR_SOME = {f"pipeline.training.{name}" for name in ("layers", "optimizer", "winograd")}

# The pins of libraries that can change a stage's output.
R = "requirements/reports.txt"
PINNED_IN = {
    "numpy": "requirements/numpy.txt",
    **dict.fromkeys(("tensorflow", "keras", "h5py"), "requirements/tensorflow.txt"),
    **dict.fromkeys(("pandas", "scipy", "matplotlib", "PIL", "simplejpeg"), R),
}


def imported(stage: str) -> set[str]:
    """The modules that `stage` imports, directly or not: eagerly, by Lazy, or by its variant."""
    name, _, variant = stage.partition("@")
    modules, new = set(), {STAGES[name]}
    while new:
        new |= {module for root in new for module in IMPORTS.find_upstream_modules(root)}
        modules |= new
        calls = [call for module in new & MODULES for call in calls_of("Lazy", module)]
        new = {ast.literal_eval(call.args[0]) for call in calls}
        if "pipeline.training.variant" in modules:  # the only other import by name, tested below
            settings = (PHOTOS["variants"] | PARAMS["variants"])[variant]
            new |= {f"pipeline.{name}s.{settings[name]}" for name in ("network", "optimizer")}
            new.add(f"pipeline.augmentations.{settings['augmentation']['kind']}")
        new -= modules
    return modules - PACKAGES


def calls_of(function: str, module: str) -> list[ast.Call]:
    """The calls of `function` in `module`, as a name or an attribute."""
    return [
        node
        for node in ast.walk(ast.parse(SOURCES[module].read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == function
    ]


def declared_by(stage: str) -> set[str]:
    """The modules in the dependencies of `stage`."""
    paths = {name: SOURCES[name].relative_to(PROJECT).as_posix() for name in MODULES}
    return {name for name, path in paths.items() if GRAPH[stage].reads(path)}


def in_core(module: str) -> bool:
    return module.startswith(f"{CORE}.")


@pytest.mark.parametrize("stage", GRAPH)
def test_modules_and_pins_declared_are_those_imported(stage: str) -> None:
    used = {name for name in imported(stage) if name in MODULES and not in_core(name)}
    assert used - declared_by(stage) == set(), "add them to deps"
    unused = declared_by(stage) - used
    assert unused <= FOR_SOME if stage.startswith("train@") else not unused, "remove them from deps"
    pins = {PINNED_IN[name] for name in imported(stage) & set(PINNED_IN)}
    if stage == "fetch":
        pins = set()  # its output has fixed digests
    assert {dep for dep in GRAPH[stage].deps if dep.startswith("requirements/")} == pins


def test_no_module_is_imported_in_another_way() -> None:
    assert set().union(*map(imported, GRAPH)) >= FOR_SOME
    functions = ("import_module", "__import__")
    dynamic = {name for name in MODULES if any(calls_of(each, name) for each in functions)}
    assert dynamic == {"pipeline.__main__", "pipeline.runtime", "pipeline.training.variant"}
    for package in PACKAGES:  # an import of any module runs them, and no stage declares them
        body = ast.parse(SOURCES[f"{package}.__init__"].read_text()).body
        assert [type(node) for node in body] == [ast.Expr], package


def test_core_depends_on_no_other_package() -> None:
    core = set(filter(in_core, MODULES))
    upstream = {name for module in core for name in IMPORTS.find_upstream_modules(module)}
    assert {name for name in upstream & MODULES if not in_core(name)} == set()
    assert not any(
        dep.startswith("pipeline/core") for stage in GRAPH.values() for dep in stage.deps
    )


# What core passes on and writes.


def test_parameters_are_the_values_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("a: {b: [1, 0.1, 1e-05, true, null, text], c: -0.0}\n")
    assert repr(read_params(path)) == (
        "{'a': {'b': [1, 0.1, 1e-05, True, None, 'text'], 'c': -0.0}}"
    )
    params = read_params(PROJECT / "params.yaml")
    assert params == PARAMS
    assert read_section(params, "", Params).model_dump(mode="json") == PARAMS
    assert lookup(params, "recipes.fast.momentum") == 0.6


@pytest.mark.parametrize("variant", PARAMS["variants"])
def test_a_training_has_the_settings_of_the_file(variant: str) -> None:
    block = PARAMS["variants"][variant]
    sections = (block, block["augmentation"])
    shared = (PARAMS["recipes"][block["recipe"]], PARAMS["numerics"][block["numerics"]])
    config = read_training_config(PARAMS, variant)
    assert [each.model_dump(mode="json") for each in config.sections] == [*sections, *shared]


def test_splits_are_the_arrays_of_the_file(tmp_path: Path) -> None:
    images = np.random.default_rng(1).random((4, 2, 2, 3), np.float32)
    images.flat[:3] = 1e-45, -0.0, 1
    arrays = (images, np.eye(4, dtype=np.float32))
    (tmp_path / "data/processed").mkdir(parents=True)
    np.savez(tmp_path / "data/processed/test.npz", images=arrays[0], labels=arrays[1])
    (tmp_path / "data/processed/classes.txt").write_text(" b \nà\n", encoding="utf-8")
    split = splits.read_split("test", root=tmp_path)
    assert [(a.dtype, a.tobytes()) for a in split] == [(a.dtype, a.tobytes()) for a in arrays]
    assert splits.read_class_names(tmp_path) == (" b ", "à")
    assert splits.NAMES == ("train", "validation", "test")


def test_paths_are_those_of_dvc_yaml() -> None:
    per_variant = (
        *(paths.model, paths.history, paths.tflite, paths.metrics, paths.classes),
        paths.predictions,
    )
    outs = {*GRAPH["train@final"].outs, *GRAPH["evaluate@final"].outs}
    assert {str(path("final")) for path in per_variant} == outs
    processed = {*map(str, map(paths.split, splits.NAMES)), str(paths.CLASS_NAMES)}
    assert processed == set(GRAPH["preprocess"].outs)
    assert str(paths.RESULTS) in GRAPH["compare"].deps


# Changes of core that keep its interface, by module: a text, and what replaces it.
CHANGES: dict[str, list[tuple[str, str]]] = {
    "checkpoint": [
        ('_FINGERPRINT = "fingerprint"', '_FINGERPRINT = "sha256"'),
        ("np.savez(", "np.savez_compressed("),
        ("LOCK_TIMEOUT = 30", "LOCK_TIMEOUT = 3"),
    ],
    "errors": [("as one line", "in red")],
    "files": [(".part{", ".half{"), ("cannot write", "failed to write")],
    "params": [("not found; ", "no such key; "), ("<= 80", "<= 40")],
    "paths": [('".checkpoints/', '".unfinished/')],
    "progress": [
        ("self._bar.update(done - self._bar.n)", "time.sleep(0.1)"),
        ("epoch {epoch + 1}", "  finished epoch {epoch + 1}"),
    ],
    "splits": [("delete the file", "remove it"), ('raise ValueError(f"values', 'print(f"values')],
}


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> study.Outputs:
    """SHA-256 of all outputs of a small study by the committed code."""
    folder = prepared(tmp_path_factory.mktemp("committed") / "study")
    return study.run(folder, study.Circumstances())


def prepared(folder: Path) -> Path:
    study.prepare(folder, steps=5, epochs=2, variants=("deep", "fast"))
    return folder


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text, f"{path.name}: {old}"
    path.write_text(text.replace(old, new))


@pytest.mark.slow
def test_core_can_change_without_changing_a_byte(tmp_path: Path, outputs: study.Outputs) -> None:
    assert {f"{CORE}.{name}" for name in CHANGES} == set(filter(in_core, MODULES))
    prepared(tmp_path)
    for module, substitutions in CHANGES.items():
        for substitution in substitutions:
            replace(tmp_path / f"pipeline/core/{module}.py", *substitution)
    changed = study.run(tmp_path, study.Circumstances())
    assert {path for path in outputs if outputs[path] != changed[path]} == set()
    assert len(outputs) > 25


@pytest.mark.slow
def test_extensions_change_no_byte_of_others(tmp_path: Path, outputs: study.Outputs) -> None:
    """A network, an optimizer and an augmentation are a file each, a metric two lines."""
    code = prepared(tmp_path) / "pipeline"
    params = workspace.read_params(tmp_path)
    settings = {"network": "net", "optimizer": "descent", "augmentation": {"kind": "same"}}
    params["variants"]["small"] = params["variants"]["deep"] | settings
    params["test_time_augmentation"]["net"] = params["test_time_augmentation"]["cnn"]
    workspace.write_params(tmp_path, params)
    for old, new in (("networks/cnn", "net"), ("optimizers/sgd", "descent")):
        shutil.copy(code / f"{old}.py", code / old.partition("/")[0] / f"{new}.py")
    shutil.copy(code / "augmentations/none.py", code / "augmentations/same.py")
    replace(code / "networks/net.py", 'Literal["cnn"]', 'Literal["net"]')
    replace(code / "augmentations/same.py", 'Literal["none"]', 'Literal["same"]')
    start = "METRICS: dict[str, Callable[[Predictions], float]] = {\n"
    replace(code / "evaluation/metrics.py", start, start + '    "new_metric": lambda p: 0.25,\n')
    start = "METRICS = {\n"
    replace(code / "comparison/tables.py", start, start + '    "new_metric": "new metric",\n')
    stages = [f"{stage}@{name}" for stage in ("train", "evaluate") for name in ("small", "deep")]
    stages += ["train@fast", "evaluate@fast", "compare"]
    after = study.run(tmp_path, study.Circumstances(), "preprocess", *stages)
    others = {path for path in outputs.keys() & after if "deep" in path or "fast" in path}
    assert {path for path in others if outputs[path] != after[path]} == {
        f"reports/variants/{name}/metrics.json" for name in ("deep", "fast")
    }
    heading, *rows = (tmp_path / "reports/comparison.md").read_text().splitlines()
    assert "new metric" in heading
    assert [row for row in rows if "| small |" in " ".join(row.split())]
