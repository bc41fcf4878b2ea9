"""Accuracy against training time: the table, the figure, and that the committed one is right."""

import json
import shutil
from pathlib import Path

import made_up
import numpy as np
import pandas as pd
import panels
import pytest
import yaml
from conftest import PROJECT

from pipeline.base.errors import PipelineError
from pipeline.comparison import compare, results
from pipeline.page import times
from pipeline.report.figures import Figure
from pipeline.tools import time_to_accuracy

HISTORY = pd.DataFrame(
    {
        "epoch": [1, 2, 3, 4],
        "accuracy": [0.3, 0.4, 0.5, 0.6],
        "loss": [2.0, 1.8, 1.6, 1.4],
        "val_accuracy": [0.35, 0.45, 0.5, 0.55],
        "val_loss": [2.0, 1.8, 1.7, 1.6],
    }
)


def test_way_ends_at_the_test_accuracy_after_the_whole_time() -> None:
    way = time_to_accuracy.ours("final", 0.7, 120.0, HISTORY)
    assert list(way) == ["trained", "variant", "epoch", "seconds", "accuracy", "measured_on"]
    assert list(way["epoch"]) == [1, 2, 3, 4, 4]
    assert list(way["seconds"]) == [30.0, 60.0, 90.0, 120.0, 120.0]
    assert list(way["accuracy"]) == [0.35, 0.45, 0.5, 0.55, 0.7]
    assert list(way["measured_on"]) == ["validation"] * 4 + ["test"]
    assert set(zip(way["trained"], way["variant"], strict=True)) == {("pipeline", "final")}


def test_without_validation_there_is_only_the_end() -> None:
    blank = HISTORY.assign(val_accuracy=float("nan"), val_loss=float("nan"))
    way = time_to_accuracy.ours("fast", 0.9, 120.0, blank)
    assert way[["epoch", "seconds", "accuracy"]].to_numpy().tolist() == [[4, 120.0, 0.9]]


def test_notebook_is_what_was_published_at_the_time_it_takes_here() -> None:
    published = results.read_published(PROJECT / compare.PUBLISHED)
    seconds = {"baseline": 10.0, "improved": 20.0, "deep": 25.0, "final": 30.0}
    table = time_to_accuracy.notebook(published, seconds)
    assert table.to_numpy().tolist() == [
        ["notebook", "baseline", 26, 260.0, 0.6007, "test"],
        ["notebook", "baseline", 30, 300.0, 0.6005, "test"],
        ["notebook", "improved", 28, 560.0, 0.6468, "test"],
        ["notebook", "improved", 30, 600.0, 0.6388, "test"],
        ["notebook", "deep", 11, 275.0, 0.7125, "test"],
        ["notebook", "deep", 30, 750.0, 0.6990, "test"],
        ["notebook", "final", 27, 810.0, 0.7175, "test"],
        ["notebook", "final", 30, 900.0, 0.7143, "test"],
    ]


def test_figure_shows_each_way_against_time_on_a_logarithmic_axis(
    tmp_path: Path, drawn: dict[str, Figure]
) -> None:
    ways = [
        time_to_accuracy.ours("final", 0.7, 120.0, HISTORY),
        time_to_accuracy.ours("deep", 0.6, 60.0, HISTORY),
        time_to_accuracy.ours("deep", 0.5, 90.0, HISTORY).assign(trained="notebook"),
    ]
    time_to_accuracy.draw(tmp_path / "time.png", pd.concat(ways), "4 cores of a machine")
    figure = drawn["time.png"]
    (axis,) = figure.axes
    expected = {
        label: panels.points(way["seconds"], way["accuracy"])
        for label, way in zip(("final", "deep", "deep, notebook"), ways, strict=True)
    }
    assert panels.lines(axis) == expected
    assert panels.legend(figure) == list(expected)
    # Only the end of a way has a mark; the notebook's are hollow.
    assert [line.get_markevery() for line in axis.lines] == [[-1]] * 3
    faces = [line.get_markerfacecolor() for line in axis.lines]
    assert [face == "white" for face in faces] == [False, False, True]
    assert (axis.get_xscale(), axis.get_yscale()) == ("log", "linear")
    names = ["10 s", "30 s", "1 min", "2 min", "5 min", "15 min", "30 min"]
    seconds = [10, 30, 60, 120, 300, 900, 1800]
    assert panels.ticks(axis, "x") == dict(zip(names, seconds, strict=True))
    assert axis.get_xlabel() == (
        "training time on 4 cores of a machine, start-up included (the notebook's without)"
    )
    assert axis.get_ylabel() == "accuracy"
    assert axis.get_title() == (
        "Test accuracy (marks) against training time; on the way, lines: validation accuracy,\n"
        "of the notebook: from its best epoch to its last"
    )


def test_sixteen_variants_and_the_notebooks_four_differ_in_their_look(
    tmp_path: Path, drawn: dict[str, Figure]
) -> None:
    ways = [time_to_accuracy.ours(f"v{n}", 0.7, 60.0, HISTORY) for n in range(16)]
    ways += [way.assign(trained="notebook") for way in ways[:4]]
    time_to_accuracy.draw(tmp_path / "time.png", pd.concat(ways), "4 cores of a machine")
    lines = drawn["time.png"].axes[0].lines
    marks = [(line.get_marker(), line.get_markerfacecolor() == "white") for line in lines]
    assert len(set(marks)) == len(lines) == 20


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder with two variants compared, one of two seeds, and their runs, entered."""
    monkeypatch.chdir(tmp_path)
    variants = {
        "final": {"recipe": "study", "seed": 1},
        "fast": {"recipe": "fast", "seed": 1},
        "fast_2": {"recipe": "fast", "seed": 2},
    }
    params = {
        "dataset": {"kind": "cifar10"},
        "compare": {"confidence": 0.95},
        "variants": variants,
    }
    Path("params.yaml").write_text(yaml.safe_dump(params))
    compare.PUBLISHED.parent.mkdir(parents=True)
    shutil.copy(PROJECT / compare.PUBLISHED, compare.PUBLISHED)
    made_up.write("final", 70, epochs=4)
    made_up.write("fast", 80, epochs=8, validated=False)
    made_up.write("fast_2", 90, epochs=8, validated=False)
    Path("reports/runs").mkdir()
    for variant, seconds in (("final", 120.0), ("fast", 50.0), ("fast_2", 70.0)):
        record(variant, seconds, "a P, b")
    time_to_accuracy.NOTEBOOK.parent.mkdir()
    an_epoch = {"baseline": 10.0, "improved": 20.0, "deep": 25.0, "final": 30.0}
    found = {"measured": "2026-11-25, 4 cores of a P, b, commit 0858dbf", "seconds": an_epoch}
    time_to_accuracy.NOTEBOOK.write_text(json.dumps(found))
    return tmp_path


def record(variant: str, seconds: float, processor: str) -> None:
    """That a training took so long, there."""
    run = {"seconds": seconds, "processor": processor, "cores": 4, "libraries": {}}
    Path(f"reports/runs/train@{variant}.json").write_text(json.dumps(run))


@pytest.mark.usefixtures("project")
def test_writes_the_ways_of_the_compared_variants_and_of_the_notebook(
    drawn: dict[str, Figure],
) -> None:
    compare.main([])
    time_to_accuracy.main()
    table = pd.read_csv("reports/time_to_accuracy.csv")
    assert list(table) == ["trained", "variant", "epoch", "seconds", "accuracy", "measured_on"]
    assert list(table["trained"]) == ["notebook"] * 8 + ["pipeline"] * 6
    # The mean accuracy of two seeds, at the time of the first.
    assert table.iloc[8].tolist() == ["pipeline", "fast", 8, 50.0, 0.85, "test"]
    final = table.iloc[9:]
    assert list(final["seconds"]) == [30.0, 60.0, 90.0, 120.0, 120.0]
    history = pd.read_csv("reports/variants/final/history.csv")
    assert list(final["accuracy"]) == [*history["val_accuracy"], 0.7]
    (axis,) = drawn["time_to_accuracy.png"].axes
    assert axis.get_xlabel().startswith("training time on 4 cores of a P, b, start-up included")
    shown = panels.lines(axis)
    assert list(shown) == [
        *("fast", "final"),
        *(f"{name}, notebook" for name in ("baseline", "improved", "deep", "final")),
    ]
    assert np.array_equal(shown["final"], final[["seconds", "accuracy"]].to_numpy())


@pytest.mark.usefixtures("project")
def test_photos_of_one_s_own_stand_beside_no_notebook(drawn: dict[str, Figure]) -> None:
    params = yaml.safe_load(Path("params.yaml").read_text())
    params["dataset"]["kind"] = "photos"
    Path("params.yaml").write_text(yaml.safe_dump(params))
    time_to_accuracy.NOTEBOOK.unlink()
    compare.main([])
    time_to_accuracy.main()
    assert set(pd.read_csv("reports/time_to_accuracy.csv")["trained"]) == {"pipeline"}
    assert set(times.read()["trained"]) == {times.PIPELINE}
    figure = drawn["time_to_accuracy.png"]
    assert panels.legend(figure) == ["fast", "final"]
    (axis,) = figure.axes
    assert "notebook" not in axis.get_xlabel() + axis.get_title()


def spoil(path: str, text: str | None) -> None:
    """The file `path` holds `text`, or is missing."""
    if text is None:
        Path(path).unlink()
    else:
        Path(path).write_text(text)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("comparison.csv", None, r"reports/comparison\.csv.*run `make repro`"),
        ("comparison.csv", "a,b\n1,2\n", r"reports/comparison\.csv.*run `make repro`"),
        ("bench/notebook.json", None, r"bench/notebook\.json.*`make bench` for the second"),
        (
            "bench/notebook.json",
            '{"measured": "d, m, c", "seconds": {"deep": 1}}',
            r"bench/notebook\.json.*`make bench`",
        ),
        ("bench/notebook.json", "[]", r"bench/notebook\.json.*`make bench` for the second"),
        ("bench/notebook.json", "{}", r"bench/notebook\.json.*`make bench` for the second"),
        ("runs/train@fast.json", None, r"runs/train@fast\.json.*--single-item train@fast`"),
        ("runs/train@fast.json", "[]", r"runs/train@fast\.json.*--single-item train@fast`"),
        ("runs/train@fast.json", "{}", r"runs/train@fast\.json.*--single-item train@fast`"),
        ("variants/final/history.csv", None, r"final/history\.csv.*`dvc repro train@final`"),
    ],
)
@pytest.mark.usefixtures("project")
def test_says_what_is_missing_and_writes_nothing(
    drawn: dict[str, Figure], file: str, text: str | None, message: str
) -> None:
    compare.main([])
    spoil(f"reports/{file}", text)
    with pytest.raises(PipelineError, match=message):
        time_to_accuracy.main()
    assert not list(Path("reports").glob("t*ing_times.csv"))
    assert not list(Path("reports").glob("time_to_accuracy.*"))


@pytest.mark.usefixtures("drawn", "project")
def test_a_time_stays_as_first_measured_while_the_training_has_the_same_history() -> None:
    compare.main([])
    time_to_accuracy.main()
    first = times.PATH.read_bytes()
    on = "4 cores of a P, b"
    assert times.of(times.read(), "final") == times.Time(120.0, on)
    assert times.of(times.read(), "fast") == times.Time(50.0, on)
    assert list(times.read()["seconds"]) == [50.0, 120.0, 300.0, 600.0, 750.0, 900.0]
    assert set(times.read()["machine"]) == {on}

    record("final", 1.0, "another")  # the same training, elsewhere
    time_to_accuracy.main()
    assert times.PATH.read_bytes() == first

    made_up.write("final", 70, epochs=5)
    assert times.of(times.read(), "final") is None
    assert times.of(times.read(), "fast") == times.Time(50.0, on)
    time_to_accuracy.main()
    assert times.of(times.read(), "final") == times.Time(1.0, "4 cores of another")
    assert times.of(times.read(), "fast") == times.Time(50.0, on)
    table = pd.read_csv("reports/time_to_accuracy.csv")
    assert table[table["variant"] == "final"]["seconds"].max() == 900.0
    assert table[(table["variant"] == "final") & (table["trained"] == "pipeline")].iloc[-1][
        "seconds"
    ] == pytest.approx(1.0)


@pytest.mark.parametrize(
    "text", [None, "", "trained,variant\n", "trained,variant,history,seconds,machine\na,b,c,d,e\n"]
)
def test_damaged_times_name_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        times.PATH.parent.mkdir()
        times.PATH.write_text(text)
    with pytest.raises(
        PipelineError, match=r"reports/training_times\.csv: expected .*git checkout"
    ):
        times.read()


def test_committed_table_is_that_of_the_committed_runs() -> None:
    table = pd.read_csv(PROJECT / "reports/time_to_accuracy.csv")
    ends = table[table["trained"] == "pipeline"].groupby("variant").last()
    comparison = pd.read_csv(PROJECT / "reports/comparison.csv").set_index("variant")
    assert set(ends.index) == set(comparison.index), "run `make repro`"
    known = times.read(PROJECT)
    known = known[known["trained"] == times.PIPELINE]
    for variant, row in ends.iterrows():
        (time,) = known[known["variant"] == variant].to_dict("records")
        assert time["history"] == times.history_digest(str(variant), PROJECT), "run `make repro`"
        assert row["seconds"] == pytest.approx(time["seconds"], abs=1e-4), "run `make repro`"
        assert row["accuracy"] == pytest.approx(comparison.loc[variant, "accuracy"], abs=1e-4)
