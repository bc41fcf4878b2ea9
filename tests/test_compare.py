"""compare: its table, its figures, and what it says when a file is missing or malformed."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT
from matplotlib import image

from pipeline import compare, evaluation_tables, groups, results
from pipeline.cifar10 import CLASSES
from pipeline.errors import PipelineError

SIX = ("baseline", "improved", "deep", "final", "adam", "sgd")
EIGHT = (*SIX, "wide_without_dropout", "x")
FIGURES = ("accuracy.png", "confusion.png", "curves.png", "training.png")
TABLES = ("comparison.csv", "comparison.md", "differences.csv", "differences.md")
TEST_IMAGES = 10_000


def write_variant(folder: Path, position: int, epochs: int) -> None:
    """The files of a made-up variant, the better the higher its `position` (0 to 7)."""
    folder.mkdir(parents=True)
    generator = np.random.default_rng(position)
    epoch = np.arange(1, epochs + 1)
    top = 0.55 + 0.025 * position
    rise = 1 - np.exp(-epoch / 5)
    history = pd.DataFrame({"epoch": epoch})
    history["accuracy"] = 0.1 + (top + 0.1) * rise
    history["loss"] = 2.3 - (1 + 0.1 * position) * rise
    history["val_accuracy"] = 0.1 + (top - 0.1) * rise + generator.normal(0, 0.01, epochs)
    history["val_loss"] = 2.3 - rise + 0.005 * position * epoch
    history.to_csv(folder / "history.csv", index=False, lineterminator="\n")
    per_class = TEST_IMAGES // len(CLASSES)
    wrong = generator.dirichlet(np.full(len(CLASSES), 0.7), len(CLASSES)) * (1 - top)
    confusion = np.floor(wrong * per_class).astype(int)
    np.fill_diagonal(confusion, 0)
    np.fill_diagonal(confusion, per_class - confusion.sum(axis=1))
    table = evaluation_tables.per_class(confusion)
    table.to_csv(folder / "classes.csv", index=False, lineterminator="\n")
    write_predictions(folder / "predictions.csv", confusion)
    metrics = {
        "accuracy": round(np.trace(confusion) / TEST_IMAGES, 6),
        "loss": round(1.3 - 0.05 * position, 6),
        "top2_accuracy": round(top + 0.15, 6),
        "macro_f1": round(top - 0.01, 6),
        "calibration_error": 0.05,
        "one_view_accuracy": round(np.trace(confusion) / TEST_IMAGES, 6),
        "parameters": 66_170 + position,
    }
    (folder / "metrics.json").write_text(json.dumps(metrics), encoding="utf-8")


def write_predictions(path: Path, confusion: np.ndarray) -> None:
    """A row per image of `confusion`, class after class."""
    pairs = [(i, j) for i, row in enumerate(confusion) for j, n in enumerate(row) for _ in range(n)]
    actual, predicted = (np.array(CLASSES)[list(side)] for side in zip(*pairs, strict=True))
    table = pd.DataFrame({"index": range(len(pairs)), "actual": actual, "predicted": predicted})
    table = table.assign(confidence=0.5, second="cat", second_confidence=0.25)
    table.to_csv(path, index=False, lineterminator="\n")


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with the results of EIGHT, entered."""
    (tmp_path / "params.yaml").write_text("compare:\n  confidence: 0.95\n", encoding="utf-8")
    (tmp_path / "pipeline").mkdir()
    shutil.copy(PROJECT / "pipeline" / "published.csv", tmp_path / "pipeline")
    for position, variant in enumerate(EIGHT):
        write_variant(tmp_path / "reports" / variant, position, 10 if variant in SIX[4:] else 30)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def outputs(project: Path) -> dict[str, bytes]:
    return {
        file.name: file.read_bytes() for file in (project / "reports").iterdir() if file.is_file()
    }


@pytest.mark.parametrize("variants", [SIX[:1], SIX, EIGHT], ids=len)
def test_writes_table_and_figures(project: Path, variants: tuple[str, ...]) -> None:
    compare.main(list(variants))
    assert sorted(outputs(project)) == sorted([*FIGURES, *TABLES])
    for name in FIGURES:
        picture = image.imread(project / "reports" / name)
        assert picture.shape[1] >= 600
        assert picture[..., :3].std() > 0.05, f"{name} is blank"


def test_writes_the_same_bytes_in_a_fresh_process_without_tensorflow(project: Path) -> None:
    compare.main(["final"])
    first = outputs(project)
    code = (
        "import sys; from pipeline import compare; compare.main(['final']);"
        "assert 'pandas' in sys.modules; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    environment = {
        **os.environ,
        "PYTHONPATH": str(PROJECT),
        "PYTHONHASHSEED": "7",
        "TZ": "Asia/Tokyo",
    }
    subprocess.run([sys.executable, "-c", code], check=True, env=environment, timeout=60)
    assert outputs(project) == first


def test_draws_a_single_epoch(project: Path) -> None:
    shutil.rmtree(project / "reports" / "deep")
    write_variant(project / "reports" / "deep", 2, epochs=1)
    compare.main(["deep"])
    table = pd.read_csv(project / "reports" / "comparison.csv")
    assert list(table["best_val_epochs"]) == [1]


def read_group(*runs: str) -> groups.Group:
    return groups.Group(tuple(results.read(run, compare.REPORTS) for run in runs))


def tabulate(*variants: str) -> pd.DataFrame:
    found = [read_group(variant) for variant in variants]
    return compare.table(found, results.read_published(compare.PUBLISHED), 0.95)


def test_table_is_sorted_and_set_beside_the_published_figures(project: Path) -> None:
    table = tabulate("final", "x", "baseline").set_index("variant")
    assert list(table.index) == ["x", "final", "baseline"]
    baseline = json.loads((project / "reports" / "baseline" / "metrics.json").read_text())
    history = pd.read_csv(project / "reports" / "baseline" / "history.csv")
    row = table.loc["baseline"]
    assert row["accuracy"] == baseline["accuracy"]
    assert row["published_accuracy"] == 0.6005
    assert row["accuracy_difference"] == pytest.approx(baseline["accuracy"] - 0.6005, abs=1e-6)
    assert row["loss_difference"] == pytest.approx(1.3 - 1.1667, abs=1e-6)
    assert row["best_val_accuracy"] == pytest.approx(history["val_accuracy"].max(), abs=1e-6)
    assert history["val_accuracy"][int(row["best_val_epochs"]) - 1] == history["val_accuracy"].max()
    assert table.loc["x"].filter(regex="published|difference").isna().all()


def test_runs_of_a_variant_are_one_row_of_means(project: Path) -> None:
    compare.main(["baseline", "deep,final,x"])
    table = pd.read_csv(project / "reports/comparison.csv").set_index("variant")
    assert list(table.index) == ["deep", "baseline"]
    accuracies = [
        json.loads((project / f"reports/{name}/metrics.json").read_text())["accuracy"]
        for name in ("deep", "final", "x")
    ]
    assert table.loc["deep", "runs"] == 3
    assert table.loc["deep", "accuracy"] == pytest.approx(np.mean(accuracies), abs=1e-6)
    deviation = np.sqrt(((np.array(accuracies) - np.mean(accuracies)) ** 2).sum() / 2)
    assert table.loc["deep", "accuracy_deviation"] == pytest.approx(deviation, abs=1e-6)
    assert np.isnan(table.loc["baseline", "accuracy_deviation"])
    text = (project / "reports/comparison.md").read_text()
    assert f"| deep | 3 | {np.mean(accuracies):.4f} ± {deviation:.4f} |" in text


def test_training_without_validation_leaves_its_figures_blank(project: Path) -> None:
    path = project / "reports/deep/history.csv"
    history = pd.read_csv(path).assign(val_accuracy=np.nan, val_loss=np.nan)
    history.to_csv(path, index=False, lineterminator="\n")
    compare.main(["deep", "final"])
    rows = (project / "reports/comparison.md").read_text().splitlines()
    cells = {row.split(" | ")[0]: row.split(" | ") for row in rows}
    assert cells["| deep"][12].strip() == ""
    assert cells["| final"][12].strip() != ""
    history.loc[3, "val_loss"] = 0.5  # some, but not all
    history.to_csv(path, index=False, lineterminator="\n")
    with pytest.raises(PipelineError, match=r"history\.csv: expected finite numbers"):
        compare.main(["deep"])


def decisions(*, only_one: int, only_other: int, both: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of the images two classifiers have right; 10 they both have wrong."""
    one = np.repeat([True, False, True, False], [only_one, only_other, both, 10])
    other = np.repeat([False, True, True, False], [only_one, only_other, both, 10])
    return one, other


@pytest.mark.parametrize(
    ("only_one", "only_other", "p_value"),
    [
        (0, 0, 1.0),
        (5, 5, 1.0),
        (6, 0, 2 / 2**6),  # all six on one side, either of the two
        (8, 2, 2 * (1 + 10 + 45) / 2**10),
    ],
)
def test_paired_test_counts_only_images_that_one_alone_has_right(
    only_one: int, only_other: int, p_value: float
) -> None:
    for both in (0, 500):
        pair = decisions(only_one=only_one, only_other=only_other, both=both)
        assert groups.paired_p_value(*pair) == pytest.approx(p_value)


def test_a_variant_beats_another_only_if_every_run_does_and_surely(project: Path) -> None:
    compare.main(["baseline", "deep,final", "x"])
    table = pd.read_csv(project / "reports/differences.csv").set_index(["better", "worse"])
    assert len(table) == 3
    assert table["beats"].all()
    assert (table["p_value"] <= 1).all()
    # Hardly better than `deep`, so not sure; `x` as a second run does not make it so.
    shutil.copytree(project / "reports/deep", project / "reports/like", dirs_exist_ok=True)
    compare.main(["deep", "like,x"])
    table = pd.read_csv(project / "reports/differences.csv")
    assert list(table["beats"]) == [False]
    assert list(table["p_value"]) == [1.0]
    last = (project / "reports/differences.md").read_text().splitlines()[-1]
    assert last.endswith("| 1.0000 | no |")


def test_markdown_leaves_blank_what_was_not_published(project: Path) -> None:
    lines = compare.markdown(tabulate("baseline", "x"), 0.95).splitlines()
    assert "95 % interval" in lines[0]
    cells = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    assert {len(row) for row in cells} == {14}
    assert cells[2][0] == "x"
    assert cells[2][5:7] == ["", ""]
    assert cells[3][0] == "baseline"
    assert cells[3][5] == "0.6005"
    assert cells[3][8:10] == ["1.1667", "+0.1333"]
    assert cells[3][13] == "66,170"


@pytest.mark.parametrize(
    ("share", "trials", "confidence", "expected"),
    [
        # Newcombe, Statistics in Medicine 17, 1998, table I, method 3.
        (81 / 263, 263, 0.95, (0.2553, 0.3662)),
        (15 / 148, 148, 0.95, (0.0624, 0.1605)),
        (0 / 20, 20, 0.95, (0.0, 0.1611)),
        (1 / 29, 29, 0.95, (0.0061, 0.1718)),
        (29 / 29, 29, 0.95, (0.8830, 1.0)),
        # z = 1 for 68.27 %: centre (0.5 + 1/8) / (1 + 1/4), spread sqrt(1/16 + 1/64) / (1 + 1/4)
        (0.5, 4, 0.6826894921, (0.5 - 0.2236068, 0.5 + 0.2236068)),
    ],
)
def test_wilson_interval(
    share: float, trials: int, confidence: float, expected: tuple[float, float]
) -> None:
    found = compare.wilson_interval(share, trials, confidence)
    assert found == pytest.approx(expected, abs=6e-5)
    assert found[0] >= 0
    assert found[1] <= 1


@pytest.mark.parametrize(
    ("file", "stage"),
    [
        ("metrics.json", "evaluate@deep"),
        ("classes.csv", "evaluate@deep"),
        ("history.csv", "train@deep"),
        ("predictions.csv", "evaluate@deep"),
    ],
)
@pytest.mark.parametrize("damage", ["missing", "empty", "binary", "another table"])
def test_names_file_and_stage_when_one_is_bad(
    project: Path, file: str, stage: str, damage: str
) -> None:
    path = project / "reports" / "deep" / file
    content = {"empty": b"", "binary": b"\xff\x00\x80", "another table": b"a,b\n1,2\n"}
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(content[damage])
    with pytest.raises(PipelineError, match=rf"{file}: expected .*, found .*dvc repro {stage}"):
        compare.main(["baseline", "deep"])
    assert outputs(project) == {}


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("metrics.json", '"accuracy": 0.', '"accuracy": 1.'),
        ("metrics.json", '"loss"', '"los"'),
        ("metrics.json", '"parameters": ', '"parameters": 0.5'),
        ("history.csv", "\n2,", "\n3,"),
        ("history.csv", "\n2,", "\n2,nan"),
        ("classes.csv", "cat,", "dog,"),
        ("classes.csv", ",1000,", ",1000,-"),
        ("classes.csv", ",1000,", ",1000,0.5"),
        ("predictions.csv", ",truck,truck,", ",truck,lorry,"),
    ],
)
def test_refuses_impossible_values(project: Path, file: str, old: str, new: str) -> None:
    path = project / "reports" / "deep" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(PipelineError, match=file) as caught:
        compare.main(["deep"])
    assert "\n" not in str(caught.value)
    assert outputs(project) == {}


@pytest.mark.parametrize("content", ["", "variant,accuracy\nbaseline,0.6\n", "repeat a row"])
def test_names_the_published_file_when_it_is_bad(project: Path, content: str) -> None:
    path = project / "pipeline" / "published.csv"
    if content == "repeat a row":
        content = path.read_text() + path.read_text().splitlines()[1] + "\n"
    path.write_text(content)
    with pytest.raises(PipelineError, match=r"published\.csv: expected .*git checkout"):
        compare.main(["baseline"])


@pytest.mark.parametrize("arguments", [[], ["deep", "deep"]])
def test_refuses_no_or_repeated_variants(project: Path, arguments: list[str]) -> None:
    with pytest.raises(PipelineError, match="one or more variants, each once"):
        compare.main(arguments)


@pytest.mark.parametrize("confidence", ["0.0", "1.0", "95", ".nan", "high"])
def test_refuses_a_confidence_that_is_no_probability(project: Path, confidence: str) -> None:
    (project / "params.yaml").write_text(f"compare:\n  confidence: {confidence}\n")
    with pytest.raises(PipelineError, match=r"compare\.confidence"):
        compare.main(["deep"])


def test_published_figures_are_the_studys() -> None:
    table = results.read_published(PROJECT / "pipeline" / "published.csv")
    assert list(table.index) == ["baseline", "improved", "deep", "final"]
    assert list(table["accuracy"]) == [0.6005, 0.6388, 0.6990, 0.7143]
    assert list(table["loss"]) == [1.1667, 1.0321, 1.8069, 0.8692]
