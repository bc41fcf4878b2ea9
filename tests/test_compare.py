"""Stage compare: which results it reads, what it writes of them, and what it says of bad ones."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pandas as pd
import panels
import pytest
import yaml
from conftest import PROJECT
from matplotlib import image

from pipeline.base.errors import PipelineError
from pipeline.comparison import stage as compare
from pipeline.comparison.table import wilson_interval
from pipeline.report import places
from pipeline.report.figures import Figure

FIGURES = ("accuracy.png", "confusion.png", "curves.png", "reliability.png", "training.png")
NAMES = ("classes", "comparison", "differences")
TABLES = tuple(f"{name}.{kind}" for name in NAMES for kind in ("csv", "md"))
# In an order that is neither that of the names nor that of the accuracies; `fast` has three seeds.
VARIANTS = {
    "baseline": {"recipe": "study", "seed": 1},
    "fast_b": {"recipe": "fast", "seed": 3},
    "fast_c": {"recipe": "fast", "seed": 2},
    "fast_z": {"recipe": "fast", "seed": 1},
    "deep": {"recipe": "study", "seed": 1, "dense": 8},
    "new": {"recipe": "best", "seed": 1},
}
# Of 100 images of each class, so many are classified right.
RIGHT = {"baseline": 40, "fast_b": 70, "fast_c": 75, "fast_z": 80, "deep": 60, "new": 90}


def write_params(
    variants: dict[str, Any], confidence: object = 0.95, kind: str = "cifar10"
) -> None:
    params = {
        "compare": {"confidence": confidence},
        "dataset": {"kind": kind},
        "variants": variants,
    }
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with the results of VARIANTS, entered; `new` had no validation."""
    monkeypatch.chdir(tmp_path)
    write_params(VARIANTS)
    compare.PUBLISHED.parent.mkdir(parents=True)
    shutil.copy(PROJECT / compare.PUBLISHED, compare.PUBLISHED)
    for variant, count in RIGHT.items():
        made_up.write(variant, count, validated=variant != "new")
    return tmp_path


def outputs(project: Path) -> dict[str, bytes]:
    files = [file for file in (project / "reports").iterdir() if file.is_file()]
    return {file.name: file.read_bytes() for file in files}


def test_writes_the_same_bytes_in_a_fresh_process_without_tensorflow(project: Path) -> None:
    compare.main([])
    first = outputs(project)
    assert sorted(first) == sorted([*FIGURES, *TABLES])
    for name in FIGURES:
        picture = image.imread(project / "reports" / name)
        assert picture[..., :3].std() > 0.05, f"{name} is blank"
    code = (
        "import sys; from pipeline.comparison import stage; stage.main([]);"
        "assert 'pandas' in sys.modules; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        "PYTHONHASHSEED": "7",
        "TZ": "Asia/Tokyo",
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
    }
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
    assert outputs(project) == first


def test_one_variant_of_one_epoch_can_be_drawn(project: Path) -> None:
    write_params({"deep": VARIANTS["deep"]})
    made_up.write("deep", 60, epochs=1)
    compare.main([])
    assert sorted(outputs(project)) == sorted([*FIGURES, *TABLES])
    table = pd.read_csv("reports/comparison.csv")
    assert list(table["best_val_epochs"]) == [1]
    assert pd.read_csv("reports/differences.csv").empty


@pytest.mark.usefixtures("project")
def test_all_variants_of_params_by_their_accuracy_those_of_a_kind_in_one_row(
    drawn: dict[str, Figure],
) -> None:
    compare.main([])
    table = pd.read_csv("reports/comparison.csv").set_index("variant")
    assert list(table.index) == ["new", "fast_z", "deep", "baseline"]
    assert list(table["seeds"]) == [1, 3, 1, 1]
    assert list(table["accuracy"]) == [0.9, 0.75, 0.6, 0.4]
    assert table.loc["fast_z", "accuracy_deviation"] == 0.05
    assert list(table["parameters"]) == [66_090, 66_080, 66_060, 66_040]
    assert list(table["calibration_error"]) == [0.1125, 0.09375, 0.075, 0.05]
    assert table.loc["baseline", "published_accuracy"] == 0.6005
    assert table.loc["baseline", "accuracy_difference"] == -0.2005
    assert table.loc["deep", "published_loss"] == 1.8069
    differences = pd.read_csv("reports/differences.csv")
    assert list(zip(differences["better"], differences["worse"], strict=True)) == [
        *(("new", "fast_z"), ("new", "deep"), ("new", "baseline")),
        *(("fast_z", "deep"), ("fast_z", "baseline"), ("deep", "baseline")),
    ]
    assert differences["beats"].all()
    # The figures show them in this order, too, and of several seeds the lowest.
    assert panels.legend(drawn["curves.png"]) == list(table.index)
    (fast,) = [line for line in drawn["curves.png"].axes[0].lines if line.get_label() == "fast_z"]
    expected = pd.read_csv(places.history("fast_z"))["accuracy"].tolist()
    assert np.asarray(fast.get_ydata()).tolist() == expected
    titles = [axis.get_title() for axis in drawn["confusion.png"].axes]
    assert titles[:2] == ["new: 0.9000 right", "fast_z: 0.8000 right"]
    assert titles[2:] == ["deep: 0.6000 right", "baseline: 0.4000 right"]
    titles = [axis.get_title() for axis in drawn["training.png"].axes]
    assert [title for title in titles if title] == list(table.index)
    left, _ = drawn["accuracy.png"].axes
    assert list(panels.ticks(left, "y")) == list(table.index)
    assert panels.legend(drawn["accuracy.png"])[1] == "95 % interval (binomial, Wilson)"


@pytest.mark.usefixtures("project")
def test_tables_for_people_are_those_for_programs(drawn: dict[str, Figure]) -> None:
    compare.main([])
    comparison = Path("reports/comparison.md").read_text(encoding="utf-8")
    names = [row.split("|")[1].strip() for row in comparison.splitlines()]
    assert names[2:] == ["new", "fast_z", "deep", "baseline"]
    assert "0.7500 ± 0.0500" in comparison
    differences = Path("reports/differences.md").read_text(encoding="utf-8")
    pairs = [row.split("|")[1:3] for row in differences.splitlines()[2:]]
    assert [[name.strip() for name in pair] for pair in pairs] == [
        *(["new", "fast_z"], ["fast_z", "deep"], ["deep", "baseline"]),
    ]


@pytest.mark.usefixtures("project")
def test_confidence_decides_the_interval_and_what_is_sure(drawn: dict[str, Figure]) -> None:
    made_up.write("deep", 41)  # of 1,000, ten more than baseline: p = 6 * 2 / 2**10 = 0.012
    widths, sure = {}, {}
    for confidence in (0.5, 0.99):
        write_params(VARIANTS, confidence)
        compare.main([])
        table = pd.read_csv("reports/comparison.csv").set_index("variant").loc["deep"]
        widths[confidence] = table["accuracy_high"] - table["accuracy_low"]
        differences = pd.read_csv("reports/differences.csv").set_index(["better", "worse"])
        sure[confidence] = differences.loc[("deep", "baseline"), "beats"]
        for name in ("classes.md", "comparison.md", "differences.md"):
            assert f"{100 * confidence:g} %" in Path("reports", name).read_text(encoding="utf-8")
        assert f"{100 * confidence:g} % interval" in panels.legend(drawn["accuracy.png"])[1]
    # 2 z sqrt(0.41 * 0.59 / 1000), where z is 0.6745 and 2.5758.
    assert widths == pytest.approx({0.5: 0.0210, 0.99: 0.0801}, abs=3e-4)
    assert sure == {0.5: True, 0.99: False}


@pytest.mark.usefixtures("project")
def test_leftovers_of_a_variant_that_is_no_more_in_params_are_ignored(
    drawn: dict[str, Figure],
) -> None:
    compare.main([])
    before = {name: Path("reports", name).read_bytes() for name in TABLES}
    made_up.write("removed", 95)
    shutil.copytree("reports/variants/deep", "reports/variants/damaged")
    places.metrics("damaged").write_text("{")
    Path("reports/variants/empty").mkdir()
    compare.main([])
    assert {name: Path("reports", name).read_bytes() for name in TABLES} == before
    assert "removed" not in panels.legend(drawn["curves.png"])


FILES = {
    "metrics.json": "evaluate@deep",
    "classes.csv": "evaluate@deep",
    "right.png": "evaluate@deep",
    "history.csv": "train@deep",
}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("damage", ["missing", "empty", "binary", "another table"])
def test_names_file_and_command_when_a_file_of_a_variant_is_bad(
    project: Path, file: str, damage: str
) -> None:
    path = Path("reports/variants/deep", file)
    content = {"empty": b"", "binary": b"\xff\x00\x80", "another table": b"a,b\n1,2\n"}
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[damage])
    with pytest.raises(PipelineError) as caught:
        compare.main([])
    message = str(caught.value)
    assert message.startswith(f"{path}: expected ")
    assert message.endswith(f"; run `dvc repro {FILES[file]}`")
    assert ("found No such file or directory; " in message) == (damage == "missing")
    assert "\n" not in message
    assert outputs(project) == {}


def test_a_variant_of_params_without_any_results_is_named(project: Path) -> None:
    write_params({**VARIANTS, "untrained": {"recipe": "study", "seed": 9, "dense": 4}})
    with pytest.raises(PipelineError, match=r"^reports/variants/untrained/.*@untrained`$"):
        compare.main([])
    assert outputs(project) == {}


def test_a_metric_that_an_older_evaluate_did_not_write_is_named(project: Path) -> None:
    path = places.metrics("fast_c")
    path.write_text(path.read_text().replace('"macro_f1"', '"macro"'))
    with pytest.raises(PipelineError, match=r"^reports/variants/fast_c/.* macro_f1 .*@fast_c`$"):
        compare.main([])
    assert outputs(project) == {}


@pytest.mark.parametrize("content", ["", "variant,accuracy\nbaseline,0.6\n", "repeat a row"])
@pytest.mark.usefixtures("project")
def test_names_the_published_file_when_it_is_bad(content: str) -> None:
    path = compare.PUBLISHED
    if content == "repeat a row":
        content = path.read_text() + path.read_text().splitlines()[1] + "\n"
    path.write_text(content)
    with pytest.raises(PipelineError, match=r"published\.csv: expected .*git checkout"):
        compare.main([])


@pytest.mark.usefixtures("project")
def test_recall_of_each_class_with_its_interval(drawn: dict[str, Figure]) -> None:
    made_up.write("fast_c", 72)
    compare.main([])
    table = pd.read_csv("reports/classes.csv").set_index(["variant", "class"])
    assert list(table.index) == [
        (variant, name)
        for variant in ("new", "fast_z", "deep", "baseline")
        for name in made_up.NAMES
    ]
    # Of fast_z the mean of 80, 72 and 70 of 100: Wilson's interval is that of 74.
    row = table.loc[("fast_z", "cat")]
    assert row["test_images"] == 100
    expected = [0.74, *wilson_interval(0.74, 100, 0.95)]
    assert row[["recall", "recall_low", "recall_high"]].tolist() == pytest.approx(
        expected, abs=1e-6
    )
    head, _, first, *_ = Path("reports/classes.md").read_text(encoding="utf-8").splitlines()
    cells = [cell.strip() for cell in head.split("|")[1:-1]]
    assert cells == ["recall (95 % interval)", "test images", "new", "fast_z", "deep", "baseline"]
    assert [cell.strip() for cell in first.split("|")[1:5]] == [
        *("airplane", "100", "0.900 (0.826 to 0.945)", "0.740 (0.646 to 0.816)"),
    ]


@pytest.mark.usefixtures("project")
def test_of_photos_nothing_is_said_to_be_published(drawn: dict[str, Figure]) -> None:
    """Though a variant of theirs is called as one of the study's, and its file is there."""
    write_params(VARIANTS, kind="photos")
    compare.main([])
    assert "published" not in "".join(pd.read_csv("reports/comparison.csv"))
    assert "published" not in Path("reports/comparison.md").read_text(encoding="utf-8")
    assert panels.legend(drawn["accuracy.png"]) == [
        *("this pipeline", "95 % interval (binomial, Wilson)"),
    ]
    left, right = drawn["accuracy.png"].axes
    assert not right.lines
    assert not [line for line in left.lines if line.get_label() == "published by the study"]
    compare.PUBLISHED.unlink()
    compare.main([])


@pytest.mark.usefixtures("project")
def test_variants_of_other_classes_are_refused() -> None:
    made_up.write("deep", 60, classes=made_up.NAMES[:9])
    with pytest.raises(PipelineError, match=r"run `dvc repro evaluate@baseline evaluate@deep`$"):
        compare.main([])


@pytest.mark.parametrize("arguments", [["deep"], ["deep", "new"]])
def test_takes_no_arguments(arguments: list[str]) -> None:
    with pytest.raises(PipelineError, match=r"usage: python -m pipeline compare$"):
        compare.main(arguments)


@pytest.mark.parametrize("confidence", [0.0, 1.0, 95, float("nan"), "high"])
def test_refuses_a_confidence_that_is_no_probability(project: Path, confidence: object) -> None:
    write_params(VARIANTS, confidence)
    with pytest.raises(PipelineError, match=r"compare\.confidence"):
        compare.main([])
    assert outputs(project) == {}
