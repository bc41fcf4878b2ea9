"""One place for each thing that people add: a variant, a network, an augmentation, a metric.

The quick tests add one to a copy of the project with stub stages and let the real DVC run; the slow
ones train with it.
"""

import shutil
from pathlib import Path

import pytest
import study
import workspace
import yaml
from conftest import PROJECT
from study import Circumstances

from pipeline.base import params_file
from pipeline.comparison import statistics
from pipeline.tools import config

STAGES = ("train", "evaluate")
NETWORK = '''"""Three layers, to show what a network needs."""

from typing import Any, Literal

from pipeline.runtime import Lazy
from pipeline.train.variant import Variant, Width

keras = Lazy("keras")


class Network(Variant):
    """The mean of each colour, then one hidden layer."""

    network: Literal["tiny"]
    units: Width

    def least_side(self, side: int) -> int:
        """Any."""
        return 1

    def build(self, *, shape: tuple[int, int, int], classes: int, training: bool) -> Any:
        """See Variant.build."""
        image = keras.Input((None, None, shape[2]) if training else shape, name="image")
        hidden = keras.layers.GlobalAveragePooling2D(name="mean")(image)
        hidden = keras.layers.Dense(self.units, "relu", name="hidden")(hidden)
        answer = keras.layers.Dense(classes, "softmax", name="class")(hidden)
        return keras.Model(image, answer, name="tiny")
'''
FUNCTION = '''def brightness(images: Images, draw: Draw, *, brightness: float) -> Images:
    """Make each image brighter or darker by up to `brightness`."""
    draws = tf.random.stateless_uniform((tf.shape(images)[0], 1, 1, 1), draw.seed, -1.0, 1.0)
    return tf.clip_by_value(images + brightness * draws, 0.0, 1.0)


'''


def add_variant(folder: Path, name: str, like: str, **settings: object) -> None:
    params = workspace.read_params(folder)
    params["variants"][name] = params["variants"][like] | settings
    workspace.write_params(folder, params)


def add_network(folder: Path) -> None:
    """The file of a network, and the block of a variant that has it."""
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
    """A function and its line in one file, and a key in the block of a variant."""
    path = folder / "pipeline/train/augment.py"
    code = path.read_text()
    assert code.count("CHANGES: dict") == code.count("# Applied from") == 1
    code = code.replace("# Applied from", f"{FUNCTION}# Applied from")
    first = "    0: flip_horizontal,\n"
    path.write_text(code.replace(first, f"    5: brightness,\n{first}"))
    add_variant(folder, "bright", "baseline", augmentation={"brightness": 0.1})


def replace_line(path: Path, line: str, more: str) -> None:
    """Put `more` after the only `line` in the file."""
    text = path.read_text()
    assert text.count(line) == 1
    path.write_text(text.replace(line, line + more))


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
    """The stages that a `dvc repro` runs, after params.yaml has been found right."""
    check = "from pipeline.base import params_file\nfrom pipeline.tools import config\n"
    workspace.run(folder, "python", "-c", check + "config.check(params_file.read())")
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


def test_a_removed_variant_leaves_the_comparison_and_nothing_else_to_do(project: Path) -> None:
    workspace.drop_variants(project, "fast_3")
    assert ran(project) == {"compare", "page"}
    assert (project / "reports/variants/fast_3/metrics.json").exists(), "a leftover, ignored"


def test_what_dvc_writes_and_what_a_person_edits_then_mean_the_same(project: Path) -> None:
    """`dvc exp run -S` writes params.yaml anew: YAML's anchors and merge keys would be gone."""
    changes = ("recipes.fast.label_smoothing=0.1", "variants.fast.widths=[8,8,8]")
    workspace.run(project, "dvc", "exp", "run", "--quiet", *(f"-S{change}" for change in changes))
    path = project / "params.yaml"
    before = yaml.safe_load(path.read_text())
    path.write_text(path.read_text().replace("label_smoothing: 0.2", "label_smoothing: 0.3"))
    after = yaml.safe_load(path.read_text())
    smoothing = {name: recipe["label_smoothing"] for name, recipe in after["recipes"].items()}
    assert smoothing["fast"] == 0.1
    assert smoothing["best"] == smoothing["sprint"] == 0.3
    seeds = ("best", "best_2", "best_3")
    stages = {f"{stage}@{name}" for stage in ("train", "evaluate") for name in seeds}
    assert ran(project) == stages | {"compare", "page"}
    assert before["variants"] == after["variants"]
    alike = statistics.group_seeds(after["variants"])
    assert alike == [("baseline",), seeds, ("fast",), ("fast_2", "fast_3")]


def test_params_yaml_has_no_anchors() -> None:
    events = list(yaml.parse((PROJECT / "params.yaml").read_text()))
    assert not any(isinstance(event, yaml.AliasEvent) for event in events)
    assert not any(getattr(event, "anchor", None) for event in events)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, study.Outputs]:
    """The real pipeline on a few made-up images, `improved` and `baseline` trained, and outputs."""
    folder = tmp_path_factory.mktemp("small") / "study"
    variants = ("baseline", "improved")
    study.prepare(folder, steps=5, epochs=1, variants=variants)
    trained = [f"{stage}@{name}" for stage in STAGES for name in variants]
    return folder, study.run(folder, Circumstances(), "preprocess", *trained)


@pytest.fixture
def copied(small: tuple[Path, study.Outputs], tmp_path: Path) -> tuple[Path, study.Outputs]:
    shutil.copytree(small[0], tmp_path / "study")
    return tmp_path / "study", small[1]


@pytest.mark.slow
def test_a_new_augmentation_works_and_changes_no_byte_of_others(
    copied: tuple[Path, study.Outputs],
) -> None:
    folder, before = copied
    add_augmentation(folder)
    after = study.run(folder, Circumstances(), "train@improved", "train@bright", "train@baseline")
    assert {path: after[path] for path in before if path in after} == {
        path: before[path] for path in before if path in after
    }
    assert after["models/bright.keras"] != after["models/baseline.keras"]


@pytest.mark.slow
def test_a_new_network_trains_and_is_compared(copied: tuple[Path, study.Outputs]) -> None:
    folder, _ = copied
    add_network(folder)
    study.run(folder, Circumstances(), "train@small", "evaluate@small", "compare")
    assert "| small " in (folder / "reports/comparison.md").read_text()


@pytest.mark.slow
def test_a_new_metric_is_two_places(copied: tuple[Path, study.Outputs]) -> None:
    folder, _ = copied
    replace_line(
        folder / "pipeline/evaluate/metrics.py",
        "METRICS: dict[str, Callable[[Answers], float]] = {\n",
        '    "mean_confidence": lambda said: float(said.probabilities.max(axis=1).mean()),\n',
    )
    replace_line(
        folder / "pipeline/comparison/tables.py",
        "METRICS = {\n",
        '    "mean_confidence": "mean confidence",\n',
    )
    study.run(folder, Circumstances(), "evaluate@baseline", "evaluate@improved", "compare")
    assert "mean confidence" in (folder / "reports/comparison.md").read_text().splitlines()[0]


def test_an_unknown_network_is_told_which_there_are() -> None:
    params = params_file.read(PROJECT / "params.yaml")
    config.check(params)
    params["variants"]["baseline"]["network"] = "tiny"
    with pytest.raises(Exception, match="expected 'plain' or 'whitened', found \"tiny\""):
        config.check(params)
