"""Stage compare: which results it reads, what it writes, and which parameters it refuses."""

import shutil
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pandas as pd
import panels
import pytest
import workspace
import yaml
from conftest import PROJECT
from matplotlib import image

from pipeline.comparison import compare
from pipeline.core import paths
from pipeline.core.errors import PipelineError
from pipeline.plotting import Figure

FIGURES = tuple(
    f"{name}.png" for name in ("accuracy", "confusion", "curves", "reliability", "time_to_accuracy")
)
TABLES = ("comparison.csv", "comparison.md", "differences.csv")
# In an order that is neither that of the names nor that of the accuracies; `fast` has three seeds.
VARIANTS = {
    "baseline": {"recipe": "study", "seed": 1},
    "fast_b": {"recipe": "fast", "seed": 3},
    "fast_c": {"recipe": "fast", "seed": 2},
    "fast_z": {"recipe": "fast", "seed": 1},
    "deep": {"recipe": "study", "seed": 1, "dense": 8},
    "new": {"recipe": "best", "seed": 1},
}
RECIPES = ("study", "fast", "best")
# Correctly classified images of each class of 100.
CORRECT = {"baseline": 40, "fast_b": 60, "fast_c": 75, "fast_z": 95, "deep": 70, "new": 90}
RANKING = ["new", "fast_z", "deep", "baseline"]


def write_params(variants: dict[str, Any], confidence: float = 0.95, kind: str = "cifar10") -> None:
    params = {
        "compare": {"confidence_level": confidence},
        "dataset": {"kind": kind},
        "recipes": {name: {"label_smoothing": 0.2 * (name == "fast")} for name in RECIPES},
        "variants": variants,
    }
    Path("params.yaml").write_text(yaml.safe_dump(params, sort_keys=False), encoding="utf-8")


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A project folder with the results of VARIANTS, entered; `new` had no validation."""
    monkeypatch.chdir(tmp_path)
    write_params(VARIANTS)
    compare.PUBLISHED.parent.mkdir(parents=True)
    for path in (compare.PUBLISHED, compare.NOTEBOOK):
        shutil.copy(PROJECT / path, path)
    for variant, count in CORRECT.items():
        made_up.write(variant, count, validated=variant != "new")


def outputs() -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in Path("reports").iterdir() if file.is_file()}


def test_writes_the_same_bytes_in_a_fresh_process_without_tensorflow() -> None:
    compare.main([])
    first = outputs()
    assert sorted(first) == sorted([*FIGURES, *TABLES])
    for name in FIGURES:
        picture = image.imread(Path("reports", name))
        assert picture[..., :3].std() > 0.05, f"{name} is blank"
    code = (
        "import sys; from pipeline.comparison import compare; compare.main([]);"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    notebook = "module://matplotlib_inline.backend_inline"
    workspace.run_code(code, PYTHONHASHSEED="7", TZ="Asia/Tokyo", MPLBACKEND=notebook)
    assert outputs() == first


def test_one_variant_of_one_epoch_can_be_drawn_and_none_without_its_result() -> None:
    paths.history("fast_c").unlink()
    with pytest.raises(PipelineError, match="train@fast_c"):
        compare.main([])
    assert outputs() == {}
    write_params({"deep": VARIANTS["deep"]})
    made_up.write("deep", 60, epochs=1)
    compare.main([])
    assert sorted(outputs()) == sorted([*FIGURES, *TABLES])
    assert pd.read_csv("reports/differences.csv").empty


def test_committed_tables_are_reproduced(drawn: dict[str, Figure]) -> None:
    shutil.copytree(PROJECT / "reports/variants", "reports/variants", dirs_exist_ok=True)
    shutil.copy(PROJECT / "params.yaml", "params.yaml")
    compare.main([])
    for name in TABLES:
        assert outputs()[name] == (PROJECT / "reports" / name).read_bytes(), name


def test_figures_rank_the_variants_of_params_and_show_the_lowest_seed(
    drawn: dict[str, Figure],
) -> None:
    write_params(VARIANTS, 0.9)
    paths.metrics("removed").parent.mkdir()  # not in params.yaml, thus not read
    compare.main([])
    assert list(pd.read_csv("reports/comparison.csv")["variant"]) == RANKING
    assert "90 %" in Path("reports/comparison.md").read_text(encoding="utf-8")
    assert panels.legend(drawn["curves.png"]) == RANKING
    assert list(panels.ticks(drawn["accuracy.png"].axes[0], "y")) == RANKING
    assert "90 %" in " ".join(panels.legend(drawn["accuracy.png"]))
    for name in ("confusion.png", "reliability.png"):
        titles = [axis.get_title().split(":")[0] for axis in panels.shown(drawn[name])]
        assert titles[:4] == RANKING
    curve = drawn["curves.png"].axes[0].lines[1]
    expected = pd.read_csv(paths.history("fast_z"))["accuracy"].tolist()
    assert np.asarray(curve.get_ydata()).tolist() == expected
    losses = [np.asarray(line.get_ydata()) for line in drawn["curves.png"].axes[2].lines]
    assert [bool(np.isnan(loss).all()) for loss in losses] == [False, True, False, False]


def test_a_note_says_which_variants_are_missing(drawn: dict[str, Figure]) -> None:
    compare.main(["fast_c", "deep", "fast_z"])
    note, _, table = Path("reports/comparison.md").read_text(encoding="utf-8").partition("\n\n")
    assert note == "2 of 4 variants so far"
    assert table.count("\n| ") == 2
    assert drawn["accuracy.png"].get_suptitle() == note
    shutil.rmtree(paths.metrics("fast_c").parent)
    compare.main([])
    text = Path("reports/comparison.md").read_text(encoding="utf-8")
    assert text.startswith("Without fast_c, ")
    assert list(pd.read_csv("reports/comparison.csv")["variant"]) == RANKING


def test_photos_are_not_compared_with_the_study(drawn: dict[str, Figure]) -> None:
    write_params(VARIANTS, kind="photos")
    compare.PUBLISHED.unlink()
    compare.NOTEBOOK.unlink()
    compare.main([])
    assert "published" not in Path("reports/comparison.csv").read_text(encoding="utf-8")
