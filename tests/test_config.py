"""params.yaml is read strictly: every mistake is named by its full key."""

import functools
import operator
from pathlib import Path

import pytest
import yaml
from conftest import PROJECT

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.runtime import Runtime
from pipeline.tools import config

TEXT = (PROJECT / "params.yaml").read_text(encoding="utf-8")
TEMPLATE = params_file.read(PROJECT / "pipeline/tools/photos_params.yaml")


@pytest.mark.parametrize(
    ("key", "message"),
    [("variants.fianl", "variants has base, final; did you mean 'final'?"), ("one.two", "no keys")],
)
def test_a_missing_section_names_the_others(key: str, message: str) -> None:
    params = {"variants": {"base": {}, "final": {}}, "one": 1}
    with pytest.raises(PipelineError) as error:
        params_file.section(params, key, Runtime)
    assert str(error.value).startswith(f"params.yaml: {key}: ")
    assert str(error.value).endswith(message)


@pytest.mark.parametrize(
    ("text", "value"), [("1e-05", 1e-5), ("1e3", 1000.0), ("no", "no"), ("010", 10)]
)
def test_values_are_read_as_dvc_reads_them(tmp_path: Path, text: str, value: object) -> None:
    from dvc.utils.serialize import load_yaml

    path = tmp_path / "params.yaml"
    path.write_text(f"a: {text}\n")
    assert params_file.read(path) == {"a": value} == load_yaml(str(path))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a: 1\nb: 2\na: 3\n", "line 3"),
        (b"a: b: c", "YAML"),
        (b"a: !!python/name:os.system ''\n", "YAML"),
        (b"a: 2001-02-30\n", "YAML"),
        (b"a: \xff\n", "YAML"),
        (b"", "a mapping of sections, found null"),
        (b"- 1\n", r"a mapping of sections, found \[1\]"),
        (None, "No such file"),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PipelineError, match=message) as error:
        params_file.read(path)
    assert "\n" not in str(error.value)


GONE = object()
SETTINGS = yaml.safe_load(TEXT)
# A key of the committed file, its new value, and the message, after the key if it starts with ":".
MISTAKES = [
    ("explorer", {}, ": unknown key.*'explore'"),
    ("compare", GONE, ": missing key"),
    ("arithmetic", None, ": expected a mapping"),
    ("variants", {}, ": expected at least 1"),
    ("dataset.train_images", 45010, "dataset: expected"),
    ("dataset.kind", GONE, ": missing key"),
    ("dataset.kind", "cifar100", ": expected 'cifar10' or 'photos'.*mean 'cifar10'"),
    ("dataset.validation_images", 5005, ": .*multiple of 10"),
    ("fetch.mirrors", ["oficial"], ".*did you mean 'official'"),
    ("explore.images_per_class", 21, ": .*at most 20"),
    ("runtime.cpu_isa", "AVX22", ": .*'AVX2'"),
    ("arithmetic.study.precision", "float16", ": "),
    ("arithmetic.study.precision", "bfloat16", "arithmetic.study: .*cpu_isa"),
    ("recipes.study.epochs", 0, ": .*above 0, found 0$"),
    ("recipes.study.epochs", 30.0, ": expected a whole number, found 30.0$"),
    ("recipes.study.epochs", True, ": expected a whole number, found true$"),
    ("recipes.study.epochs", "x" * 1000, r": expected a whole number, found .{,90}\.\.\.$"),
    ("recipes.study.epochs", 10**400, ": .*at most"),
    ("recipes.study.class_weights", "balancd", ": .*null.*mean 'balanced'"),
    ("recipes.study.early_stopping", "no", ": expected a whole number, or null, found"),
    ("recipes.trial_sgd.learning_rate", float("inf"), ": .*finite"),
    ("recipes.trial_sgd.learning_rate", "1e-3", ": expected a number"),
    ("recipes.trial_sgd.optimizer", "sdg", ": .*'muon'.*mean 'sgd'"),
    ("recipes.trial_sgd.momentum", 0.9, ": unknown key"),
    ("recipes.fast.momentum", GONE, ": missing key"),
    ("recipes.fast.growth", {"24": 5}, ": .*px24"),
    ("recipes.fast.growth.px24", 0, ": .*above 0"),
    ("recipes.fast.early_stopping", 3, "recipes.fast: .*early_stopping"),
    ("recipes.fast.validation_batch_size", 1, "recipes.fast: .*validation_batch_size"),
    ("recipes.fast.train_on", "train", "recipes.fast: .*where train_on is train"),
    ("variants.baseline.network", "plane", ": .*'plain' or 'whitened'.*mean 'plain'"),
    ("variants.baseline.widths", 16, ": expected a list, found 16"),
    ("variants.baseline.widths", [], ": .*at least 1 item"),
    ("variants.baseline.widths", [16, 0], "variants.baseline.widths.1: .*above 0"),
    ("variants.deep.dropout", 1.0, ": .*below 1"),
    ("variants.sprint.dropout", 0.5, ": unknown key"),
    ("variants.final.augmentation", {"flip": 1}, "variants.final.augmentation.flip: unknown key"),
    ("variants.final.augmentation.flip_vertical", 1.5, ": .*at most 1"),
    ("variants.a b", SETTINGS["variants"]["sgd"], ": .*a name of"),
    ("variants.9a", SETTINGS["variants"]["sgd"], ": .*a name of"),
    ("variants.Adam", SETTINGS["variants"]["sgd"], "variants: .*adam and Adam"),
    ("views.whitened.mirrored", "yes", ": expected true or false"),
    ("views.whitend", SETTINGS["views"]["whitened"], ": .*'whitened'"),
    ("temperatures.sprnt", 0.5, ": .*mean 'sprint'"),
    ("compare.confidence", 1, ": expected a number below 1"),
    ("predict.unlikely", -0.1, ": expected a number of at least 0"),
    ("page.variant", 7, ": expected text"),
    ("page.variant", "fats", ": .*mean 'fast'"),
    ("variants.sgd.recipe", "trail_sgd", ": .*mean 'trial_sgd'"),
    ("variants.fast_2.arithmetic", "won", ": .*mean 'own'"),
    ("variants.baseline.widths", 6 * [1], "variants.baseline: .*at least 64"),
    ("variants.best.widths", [64, 256, 256, 256, 256], "variants.best: .*at least 33"),
    ("recipes.fast.growth", {"px33": 5}, "variants.fast: .*at most 32 .*33; .*recipes.fast.growth"),
    ("recipes.fast.growth", {"px8": 5}, "variants.fast: .*at least 9 .*found 8 to"),
]


@pytest.mark.parametrize(("key", "value", "message"), MISTAKES)
def test_a_mistake_in_params_yaml_is_named(key: str, value: object, message: str) -> None:
    params = yaml.safe_load(TEXT)
    *parents, name = key.split(".")
    mapping = functools.reduce(operator.getitem, parents, params)
    if value is GONE:
        del mapping[name]
    else:
        mapping[name] = value
    expected = key + message if message[0] in ":." else message
    with pytest.raises(PipelineError, match=f"(?m)^params.yaml: {expected}"):
        config.check(params)


def test_every_mistake_gets_a_line_of_limited_length() -> None:
    params = yaml.safe_load(TEXT)
    params["recipes"]["study"] |= {"epochs": 0, "learning_rate": "x", "extra": 1}
    params["variants"][5_000 * "x"] = params["variants"]["baseline"]
    with pytest.raises(PipelineError, match=r"(?m)^params\.yaml: variants\.xxx.*100 lett") as error:
        config.check(params)
    assert str(error.value).count("params.yaml: recipes.study.") == 3
    assert len(str(error.value)) < 2_000


def test_committed_files_are_valid_and_only_cifar10_needs_fetch() -> None:
    params = yaml.safe_load(TEXT)
    config.check(params)
    config.check(TEMPLATE)
    del params["fetch"]
    config.check(params | {"dataset": TEMPLATE["dataset"]})
    with pytest.raises(PipelineError, match=r"^params\.yaml: fetch: missing key"):
        config.check(params)
