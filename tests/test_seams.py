"""Extensions in one place each: a variant, a network, an augmentation, a metric.

The quick tests run the real DVC with stub stages; the slow ones train.
"""

import shutil
from pathlib import Path

import pytest
import study
import workspace
import yaml
from conftest import PROJECT
from study import Circumstances

from pipeline.comparison import statistics

NETWORK = '''"""A small network."""

from typing import Any, Literal

from pipeline.runtime import Lazy
from pipeline.train.variant import Variant, Width

keras = Lazy("keras")


class Network(Variant):
    """Global average pooling, then one hidden layer."""

    network: Literal["tiny"]
    units: Width

    def least_side(self, side: int) -> int:
        """See Variant.least_side."""
        return 1

    def build(self, *, shape: tuple[int, int, int], classes: int, training: bool) -> Any:
        """See Variant.build."""
        image = keras.Input((None, None, shape[2]) if training else shape, name="image")
        hidden = keras.layers.GlobalAveragePooling2D(name="mean")(image)
        hidden = keras.layers.Dense(self.units, "relu", name="hidden")(hidden)
        output = keras.layers.Dense(classes, "softmax", name="class")(hidden)
        return keras.Model(image, output, name="tiny")
'''
FUNCTION = '''def brightness(images: Images, draw: Draw, *, brightness: float) -> Images:
    """Add up to `brightness` to each image."""
    draws = tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), draw.seed, -1.0, 1.0)
    return tf.clip_by_value(images + brightness * draws, 0.0, 1.0)


'''


def add_variant(folder: Path, name: str, like: str, **settings: object) -> None:
    params = workspace.read_params(folder)
    params["variants"][name] = params["variants"][like] | settings
    workspace.write_params(folder, params)


def add_network(folder: Path) -> None:
    (folder / "pipeline/networks/tiny.py").write_text(NETWORK)
    params = workspace.read_params(folder)
    params["variants"]["small"] = {
        "recipe": "study",
        "arithmetic": "study",
        "seed": 1,
        "network": "tiny",
        "units": 8,
        "augmentation": {},
    }
    workspace.write_params(folder, params)


def add_augmentation(folder: Path) -> None:
    path = folder / "pipeline/train/augment.py"
    insert_after(path, "CHANGES: dict[int, Callable[..., Images]] = {\n", "    5: brightness,\n")
    path.write_text(path.read_text().replace("# Applied from", f"{FUNCTION}# Applied from"))
    add_variant(folder, "bright", "baseline", augmentation={"brightness": 0.1})


def insert_after(path: Path, line: str, addition: str) -> None:
    text = path.read_text()
    assert text.count(line) == 1
    path.write_text(text.replace(line, line + addition))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stub stages, up to date and committed."""
    folder = tmp_path_factory.mktemp("seams") / "project"
    workspace.with_stub_stages(workspace.copy_project(folder))
    workspace.drop_variants(folder, "improved", "deep", "final", "adam", "sgd", "sprint")
    assert ran(folder)
    workspace.run(folder, "git", "add", "--all")
    workspace.run(folder, "git", "commit", "--quiet", "--message", "first run")
    return folder


@pytest.fixture(autouse=True)
def _undo(request: pytest.FixtureRequest) -> None:
    if "project" in request.fixturenames:
        folder = request.getfixturevalue("project")
        workspace.run(folder, "git", "checkout", "--quiet", "--force", "HEAD")
        workspace.run(folder, "git", "clean", "--quiet", "--force", "-d", "pipeline", "reports")
        workspace.run(folder, "dvc", "checkout", "--quiet")


def ran(folder: Path) -> set[str]:
    """The stages that `dvc repro` runs, after a check of params.yaml."""
    workspace.run(folder, "python", "-m", "pipeline.tools.config")
    log = folder / "ran.txt"
    log.write_text("")
    workspace.run(folder, "dvc", "repro", "--quiet")
    return set(log.read_text().split())


def test_a_variant_is_one_block_of_yaml(project: Path) -> None:
    add_variant(project, "wide", "baseline", widths=[32])
    assert ran(project) == {"train@wide", "evaluate@wide", "compare", "page"}


def test_a_network_is_one_file_and_one_block(project: Path) -> None:
    add_network(project)
    assert ran(project) == {"train@small", "evaluate@small", "compare", "page"}
    with (project / "pipeline/networks/tiny.py").open("a") as file:
        file.write("# of one layer\n")
    assert ran(project) == {"train@small"}, "a comment changes no byte"


def test_an_augmentation_is_one_place_in_code_and_one_key(project: Path) -> None:
    add_augmentation(project)
    trained = {f"train@{name}" for name in workspace.read_params(project)["variants"]}
    assert trained <= ran(project)


def test_a_removed_variant_runs_the_comparison_alone(project: Path) -> None:
    workspace.drop_variants(project, "fast_3")
    assert ran(project) == {"compare", "page"}


def test_params_yaml_has_no_anchors() -> None:
    events = yaml.parse((PROJECT / "params.yaml").read_text())
    assert not any(getattr(event, "anchor", None) for event in events)


def test_params_yaml_survives_dvc(project: Path) -> None:
    """`dvc exp run -S` writes params.yaml anew, without YAML's anchors and merge keys."""
    changes = ("recipes.fast.label_smoothing=0.1", "variants.fast.widths=[8,8,8]")
    workspace.run(project, "dvc", "exp", "run", "--quiet", *(f"-S{change}" for change in changes))
    path = project / "params.yaml"
    path.write_text(path.read_text().replace("label_smoothing: 0.2", "label_smoothing: 0.3"))
    params = workspace.read_params(project)
    smoothing = {name: recipe["label_smoothing"] for name, recipe in params["recipes"].items()}
    assert smoothing["fast"] == 0.1
    assert smoothing["best"] == smoothing["sprint"] == 0.3
    seeds = ("best", "best_2", "best_3")
    stages = {f"{stage}@{name}" for stage in ("train", "evaluate") for name in seeds}
    assert ran(project) == stages | {"compare", "page"}
    groups = statistics.group_seeds(params["variants"])
    assert groups == [("baseline",), seeds, ("fast",), ("fast_2", "fast_3")]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, study.Outputs]:
    """The real pipeline on made-up images, `improved` and `baseline` evaluated, and the outputs."""
    folder = tmp_path_factory.mktemp("small") / "study"
    variants = ("baseline", "improved")
    study.prepare(folder, steps=5, epochs=1, variants=variants)
    stages = [f"{stage}@{name}" for stage in ("train", "evaluate") for name in variants]
    return folder, study.run(folder, Circumstances(), "preprocess", *stages)


@pytest.mark.slow
def test_extensions_train_and_change_no_byte_of_others(
    small: tuple[Path, study.Outputs], tmp_path: Path
) -> None:
    folder, before = tmp_path / "study", small[1]
    shutil.copytree(small[0], folder)
    add_augmentation(folder)
    add_network(folder)
    stages = [f"train@{name}" for name in ("improved", "bright", "baseline", "small")]
    after = study.run(folder, Circumstances(), *stages, "evaluate@small", "evaluate@bright")
    both = before.keys() & after
    assert {path: after[path] for path in both} == {path: before[path] for path in both}
    assert len(both) > 2
    assert after["models/bright.keras"] != after["models/baseline.keras"]
    study.run(folder, Circumstances(), "compare")
    assert "| small " in (folder / "reports/comparison.md").read_text()


@pytest.mark.slow
def test_a_new_metric_is_two_places(small: tuple[Path, study.Outputs], tmp_path: Path) -> None:
    folder = tmp_path / "study"
    shutil.copytree(small[0], folder)
    insert_after(
        folder / "pipeline/evaluate/metrics.py",
        "METRICS: dict[str, Callable[[Answers], float]] = {\n",
        '    "mean_confidence": lambda one: float(one.probabilities.max(axis=1).mean()),\n',
    )
    insert_after(
        folder / "pipeline/comparison/tables.py",
        "METRICS = {\n",
        '    "mean_confidence": "mean confidence",\n',
    )
    study.run(folder, Circumstances(), "evaluate@baseline", "evaluate@improved", "compare")
    assert "mean confidence" in (folder / "reports/comparison.md").read_text().splitlines()[0]
