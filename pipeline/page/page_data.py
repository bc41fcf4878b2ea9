"""All that the page's script reads: one typed structure, from the results of all variants."""

import contextlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pydantic
import yaml
from PIL import Image

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.comparison import results
from pipeline.comparison.results import Result
from pipeline.comparison.settings import Compare
from pipeline.data import splits
from pipeline.datasets.config import read_dataset_config
from pipeline.evaluate import manner, scores
from pipeline.evaluate.settings import Predict
from pipeline.evaluate.views import Views
from pipeline.page import export_weights, sprite_sheet, training_times
from pipeline.page.settings import Page
from pipeline.page.sprite_sheet import SpriteSheet
from pipeline.report import metrics, places

REPORTS = Path("reports")
PINS = tuple(Path("requirements", f"{name}.txt") for name in ("numpy", "tensorflow", "reports"))
EXAMPLE_COLUMNS = ("index", "actual", "predicted", "confidence")


class Network(export_weights.ExportedModel, frozen=True):
    """The network of `variant`, its test `accuracy` before rounding, and how predict uses it."""

    variant: str
    accuracy: float
    views: Views
    temperature: float
    unlikely: float  # the probability below which no class is called likely
    max_pixels: int | None  # above it Pillow, and so predict, refuses a photo


class RankingRow(pydantic.BaseModel, frozen=True, extra="allow"):
    """A row of comparison.csv, and the training time in `seconds`; None for what is unknown."""

    variant: str
    seeds: int
    accuracy: float
    accuracy_deviation: float | None
    accuracy_low: float
    accuracy_high: float
    seconds: int | None = None
    machine: str | None = None


class Variant(pydantic.BaseModel, frozen=True):
    """Results of a variant; per class where a list has K numbers, by epoch in `history`.

    Of more than MATRIX_CLASSES classes there are `pairs` instead of `confusion`: actual and
    predicted class, and count. `examples` are (test index, actual, predicted, confidence).
    """

    history: dict[str, list[float | None]]
    confusion: list[list[int]] | None
    pairs: list[tuple[int, int, int]] | None
    scores: dict[str, list[int | float]]
    examples: list[tuple[int, int, int, float]]
    settings: str
    history_md5: str


class PageData(pydantic.BaseModel, frozen=True):
    """What the script shows. `better_than` has the significant differences: the worse variants."""

    dataset: str
    crop_mode: str
    side: int
    classes: list[str]
    test_images: int
    confidence: float
    metrics: list[str]
    ranking: list[RankingRow]
    better_than: dict[str, list[str]]
    notebook: list[dict[str, Any]]
    variants: dict[str, Variant]
    libraries: dict[str, str]
    max_mistakes: int
    samples: SpriteSheet
    sample_labels: list[int]
    examples: SpriteSheet
    network: Network


def collect(params: Mapping[str, Any], settings: Page) -> PageData:
    """The data from `params` and what preprocess, train, evaluate and compare wrote.

    Raises PipelineError when a file is missing or malformed.
    """
    dataset = read_dataset_config(params)
    comparison, times = _read_comparison(), training_times.read_training_times()
    all_results = results.read_results([row.variant for row in comparison])
    ranking = [_with_time(row, times) for row in comparison]
    first, test = all_results[0], splits.read("test")
    _check_test_set(test, first)
    variants = {r.variant: _variant(params, r, settings.mistakes) for r in all_results}
    labels = test.labels.argmax(axis=1)
    samples = select_samples(labels, settings.samples, test.images.shape[1])
    examples = sorted({row[0] for variant in variants.values() for row in variant.examples})
    return PageData(
        dataset="CIFAR-10" if dataset.kind == "cifar10" else Path(dataset.folder).name,
        crop_mode=dataset.framing,
        side=test.images.shape[1],
        classes=list(first.classes),
        test_images=first.test_images,
        confidence=params_file.section(params, "compare", Compare).confidence,
        metrics=_metric_names(ranking, first.metrics.model_extra or ()),
        ranking=ranking,
        better_than=_read_better_than(),
        notebook=times[times["trained"] == training_times.NOTEBOOK].to_dict("records"),
        variants=variants,
        libraries=dict(pin.split("==") for path in PINS for pin in path.read_text().split()),
        max_mistakes=settings.mistakes,
        samples=sprite_sheet.encode_png(test.images, samples),
        sample_labels=labels[samples].tolist(),
        examples=sprite_sheet.encode_jpeg(test.images, examples, settings.jpeg_quality),
        network=_network(params, settings.variant),
    )


def variant_settings(params: Mapping[str, Any], variant: str) -> str:
    """YAML of the parameters of a training: the variant's own, its recipe's and the data set's."""
    names = ("variants", "recipes", "arithmetic", "dataset")
    variants, recipes, arithmetic, dataset = (params_file.at(params, name) for name in names)
    own = variants[variant]
    sections = {
        "variant": own,
        f"recipe {own['recipe']}": recipes[own["recipe"]],
        f"arithmetic {own['arithmetic']}": arithmetic[own["arithmetic"]],
        "dataset": dataset,
    }
    return yaml.safe_dump(sections, sort_keys=False, allow_unicode=True, default_flow_style=None)


def read_examples(variant: str, classes: Sequence[str], images: int) -> pd.DataFrame:
    """The rows of examples.csv, with indices of `classes` for names, of so many test `images`.

    Raises PipelineError when the file is missing or malformed.
    """
    path = places.examples(variant)
    with _expect(path, f"rows of {', '.join(EXAMPLE_COLUMNS)}", f"evaluate@{variant}"):
        text = {"actual": str, "predicted": str}  # a class may be called "nan", or "1"
        table = pd.read_csv(path, dtype=text, keep_default_na=False)[list(EXAMPLE_COLUMNS)]
        for column in text:
            table[column] = pd.Index(classes).get_indexer(table[column])
        table = table.astype({"index": np.int64, "confidence": np.float64})
        valid = table["index"].between(0, images - 1) & table["confidence"].between(0, 1)
        valid &= table[list(text)].ge(0).all(axis=1)
        if not valid.all():
            raise ValueError(f"row {int(valid.argmin()) + 1} out of range")
    return table


def select_examples(
    table: pd.DataFrame, pairs: Sequence[tuple[int, int, int]] | None, max_mistakes: int
) -> pd.DataFrame:
    """The rows of the examples that the page can show: all behind a confusion matrix, otherwise
    those of the `pairs` and the most confident mistakes."""
    if pairs is None:
        return table
    listed = pd.MultiIndex.from_frame(table[["actual", "predicted"]]).isin([p[:2] for p in pairs])
    wrong = table[table["actual"] != table["predicted"]]
    top = wrong.sort_values("confidence", ascending=False, kind="stable").index[:max_mistakes]
    return table[listed | table.index.isin(top)]


def select_samples(labels: np.ndarray, per_class: int, side: int) -> list[int]:
    """The first test images of each class that fit into a PNG sheet; `labels` are (N,)."""
    most = sprite_sheet.PNG_PIXELS // side**2
    count = max(1, min(per_class, most // (int(labels.max()) + 1)))
    chosen = [np.flatnonzero(labels == k)[:count] for k in range(labels.max() + 1)]
    return np.concatenate(chosen)[:most].tolist()


def _variant(params: Mapping[str, Any], result: Result, max_mistakes: int) -> Variant:
    by_class = scores.class_scores(result.confusion)
    matrix = len(result.classes) <= results.MATRIX_CLASSES
    pairs = None if matrix else results.top_confusions(result.confusion, results.PAIRS)
    examples = read_examples(result.variant, result.classes, result.test_images)
    shown = select_examples(examples, pairs, max_mistakes).round({"confidence": 4})
    return Variant(
        history=_without_nan(result.history).to_dict("list"),
        confusion=result.confusion.tolist() if matrix else None,
        pairs=pairs,
        scores={name: values.round(6).tolist() for name, values in vars(by_class).items()},
        examples=list(shown.itertuples(index=False, name=None)),
        settings=variant_settings(params, result.variant),
        history_md5=training_times.history_digest(result.variant),
    )


def _network(params: Mapping[str, Any], variant: str) -> Network:
    model = export_weights.export_model(places.model(variant), f"run `dvc repro train@{variant}`")
    views, temperature = manner.read(params, variant, model.config["config"]["name"])
    return Network(
        **dict(model),
        variant=variant,
        accuracy=metrics.read(variant).accuracy,
        views=views,
        temperature=temperature,
        unlikely=params_file.section(params, "predict", Predict).unlikely,
        max_pixels=Image.MAX_IMAGE_PIXELS,
    )


def _read_comparison() -> list[RankingRow]:
    path = REPORTS / "comparison.csv"
    with _expect(path, "a row for each variant", "compare"):
        rows = _without_nan(pd.read_csv(path)).to_dict("records")
        return [RankingRow.model_validate(row) for row in rows]


def _with_time(row: RankingRow, times: pd.DataFrame) -> RankingRow:
    time = training_times.training_time(times, row.variant)
    update = {"seconds": round(time.seconds), "machine": time.machine} if time else {}
    return row.model_copy(update=update)


def _metric_names(ranking: Sequence[RankingRow], names: Iterable[str]) -> list[str]:
    """Those of `names` in the ranking that differ from accuracy, as balanced accuracy may not."""
    accuracy = [row.accuracy for row in ranking]
    columns = {name: [getattr(row, name, row.accuracy) for row in ranking] for name in names}
    return [name for name, values in columns.items() if metrics.says_more(values, accuracy)]


def _read_better_than() -> dict[str, list[str]]:
    path = REPORTS / "differences.csv"
    with _expect(path, "rows of better, worse, beats", "compare"):
        table = pd.read_csv(path, dtype={"better": str, "worse": str, "beats": bool})
        groups = table[table["beats"]].groupby("better", sort=False)["worse"]
        return {str(name): list(worse) for name, worse in groups}


def _without_nan(table: pd.DataFrame) -> pd.DataFrame:
    """The table with None, which is null in JSON, for NaN."""
    return table.astype(object).where(table.notna(), None)


def _check_test_set(test: splits.Split, result: Result) -> None:
    """Raise PipelineError unless `result` was measured on `test`."""
    counts = np.count_nonzero(test.labels, axis=0).tolist()
    expected = result.confusion.sum(axis=1).tolist()
    if counts != expected:
        raise PipelineError(
            f"{splits.path('test')}: expected {expected} images per class, as {result.variant} "
            f"was measured on, found {counts}; run `dvc repro` to measure it again"
        )


@contextlib.contextmanager
def _expect(path: Path, expected: str, stage: str) -> Iterator[None]:
    """Turns errors of reading `path` into a PipelineError that names the `stage` to run."""
    try:
        yield
    except (OSError, ValueError, LookupError, TypeError) as error:
        found = " ".join(str(error).split())
        remedy = f"run `dvc repro --force --single-item {stage}`"
        raise PipelineError(f"{path}: expected {expected}, found {found}; {remedy}") from error
