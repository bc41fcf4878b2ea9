"""params.yaml is read strictly: every mistake is named by its full key."""

import functools
import operator
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import PROJECT

from pipeline.core.errors import PipelineError
from pipeline.core.params import read_params
from pipeline.tools import config, new_project

TEXT = (PROJECT / "params.yaml").read_text(encoding="utf-8")
SETTINGS = yaml.safe_load(TEXT)


@pytest.mark.parametrize(
    ("text", "value"), [("1e-05", 1e-5), ("1e3", 1000.0), ("no", "no"), ("010", 10)]
)
def test_values_are_read_as_dvc_reads_them(tmp_path: Path, text: str, value: object) -> None:
    from dvc.utils.serialize import load_yaml

    path = tmp_path / "params.yaml"
    path.write_text(f"a: {text}\n")
    assert read_params(path) == {"a": value} == load_yaml(str(path))


@pytest.mark.parametrize(
    "content",
    [
        *(b"a: 1\nb: 2\na: 3\n", b"a: b: c", b"a: !!python/name:os.system ''\n"),
        *(b"a: 2001-02-30\n", b"a: \xff\n", b"", b"- 1\n", None),
    ],
)
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "params.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PipelineError) as error:
        read_params(path)
    assert str(path) in str(error.value)
    assert not re.search(r"\n|with value|http", str(error.value))


def edited(key: str, *value: object) -> Any:
    """The committed parameters with `value` at `key`, or without that key."""
    params = yaml.safe_load(TEXT)
    *parents, name = key.split(".")
    section = functools.reduce(lambda tree, parent: tree.setdefault(parent, {}), parents, params)
    if value:
        section[name] = value[0]
    else:
        del section[name]
    return params


def errors(params: Any) -> list[str]:
    with pytest.raises(PipelineError) as error:
        config.check(params)
    return str(error.value).splitlines()


@pytest.mark.parametrize(
    ("section", "name", "key"),
    [
        ("test_time_augmentation", "cnn", "network"),
        ("temperatures", "fast", "recipe"),
        ("recipes", "fast", "recipe"),
        ("numerics", "own", "numerics"),
    ],
)
def test_what_a_variant_refers_to_must_be_there(section: str, name: str, key: str) -> None:
    variants = [each for each, body in SETTINGS["variants"].items() if body[key] == name]
    lines = errors(edited(f"{section}.{name}"))
    assert [line.split(": ")[1] for line in lines] == [
        f"variants.{each}.{key}" for each in variants
    ]
    assert all(f"a key of {section}" in line for line in lines)


# A key of the committed file, a wrong value, and the key of the message where it is another.
WRONG: list[tuple[Any, ...]] = [
    ("numerics", None),
    ("variants", {}),
    ("dataset.side", 3),
    ("dataset.train_images", 45010, "dataset"),
    ("dataset.validation_images", 5005),
    ("numerics.study.precision", "bfloat16", "numerics.study"),
    ("recipes.study.epochs", 0),
    ("recipes.study.epochs", 30.0),
    ("recipes.study.early_stopping", "no"),
    ("recipes.trial_sgd.learning_rate", float("inf")),
    ("recipes.trial_sgd.momentum", 0.9),
    ("recipes.fast.progressive_resizing", {"24": 5}),
    ("recipes.fast.progressive_resizing.px24", 0),
    ("recipes.fast.progressive_resizing.px24", 9, "recipes.fast"),
    ("recipes.fast.micro_batch_size", 2001, "recipes.fast"),
    ("recipes.fast.validation_batch_size", 100, "recipes.fast"),
    ("recipes.fast.early_stopping", 3, "recipes.fast"),
    ("recipes.fast.train_on", "train", "recipes.fast"),
    ("variants.baseline.widths", []),
    ("variants.baseline.widths", [16, 0], "variants.baseline.widths.1"),
    ("variants.baseline.augmentation.zoom", 0.1),
    ("variants.sprint.dropout", 0.5),
    ("variants.sprint.seed", 2**31),
    ("variants.deep.network", [1]),
    ("variants.final.augmentation.kind", "../config"),
    ("variants.a b", SETTINGS["variants"]["sgd"]),
    ("variants.Sgd", SETTINGS["variants"]["sgd"]),
    ("test_time_augmentation.airbench.horizontal_flip", "yes"),
    ("compare.confidence_level", 1),
    ("page.variant", 7),
    ("temperatures.fast", None),
    ("variants.baseline.widths", 6 * [1], "variants.baseline"),
    ("variants.best.widths", [64, 256, 256, 256, 256], "variants.best"),
    ("recipes.sprint.progressive_resizing", {"px33": 2}, "variants.sprint"),
    ("recipes.sprint.progressive_resizing", {"px8": 2}, "variants.sprint"),
]


@pytest.mark.parametrize("mistake", WRONG)
def test_a_wrong_value_gets_one_line_with_its_full_key(mistake: tuple[Any, ...]) -> None:
    key, value, *others = mistake
    (line,) = errors(edited(key, value))
    assert line.startswith(f"params.yaml: {others[0] if others else key}: ")


@pytest.mark.parametrize(
    ("key", "misspelt", "meant"),
    [
        ("dataset.kind", "cifar01", "cifar10"),
        ("inference.cpu_isa", "AVX22", "AVX2"),
        ("variants.sgd.optimizer", "sdg", "sgd"),
        ("variants.sgd.recipe", "trail_sgd", "trial_sgd"),
        ("variants.deep.network", "cn", "cnn"),
        ("page.variant", "fats", "fast"),
        ("page.compared_with", ["best", "finel"], "final"),
    ],
)
def test_a_misspelt_value_gets_the_known_ones(key: str, misspelt: object, meant: str) -> None:
    for line in errors(edited(key, misspelt)):  # a recipe is a key of two sections
        assert line.startswith(f"params.yaml: {key}: ")
        assert re.search(rf"\b{meant}\b.*found ", line)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [
        *(("compare", ""), ("dataset.kind", ""), ("variants.final.seed", "")),
        *(("variants.deep.optimizer", ""), ("variants.deep.augmentation.kind", "")),
        *(("predict", "predicts"), ("dataset.seed", "seeds"), ("recipes.fast.momentum", "momenta")),
        *(("test_time_augmentation.cnn.horizontal_flip", "mirrored"), ("variants.final.dense", "")),
    ],
)
def test_a_missing_or_misspelt_key_is_named(key: str, wrong: str) -> None:
    params, expected = edited(key), {key}
    parents = key.split(".")[:-1]
    if wrong:
        functools.reduce(operator.getitem, parents, params)[wrong] = 1
        expected.add(".".join([*parents, wrong]))
    assert {line.split(": ")[1] for line in errors(params)} == expected


def test_all_mistakes_are_reported_and_long_values_shortened() -> None:
    params = edited("recipes.study.epochs", 1000 * "x")
    params["recipes"]["study"] |= {"learning_rate": "x", "extra": 1}
    params["variants"]["fast"]["seed"] = -1
    lines = errors(params)
    keys = {line.split(": ")[1] for line in lines}
    study = ("epochs", "learning_rate", "extra")
    assert keys == {*(f"recipes.study.{name}" for name in study), "variants.fast.seed"}
    assert len(lines) == 4
    assert max(map(len, lines)) < 200


def photos_params() -> Any:
    params = new_project.from_template(edited("page.compared_with", ["best", "final"]))
    return params | {"page": params["page"] | {"variant": "best"}}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("backbones.efficientnet_lite2.batch_size", 1),
        ("backbones.efficientnet_lite2.weights", "efficientnet_lite9"),
        ("backbones.efficientnet_lite2.trained_stages", 2),
        ("variants.pretrained.data", "processed"),
        ("variants.best.data", "efficientnet_lite2"),
        ("variants.pretrained.augmentation.flip_vertical", 0.5),
        ("variants.pretrained.augmentation.rotation", 0.1),
        ("test_time_augmentation.transfer.shift", 1),
    ],
)
def test_features_are_for_transfer_and_only_flipped(key: str, value: Any) -> None:
    params = photos_params()
    *parents, last = key.split(".")
    functools.reduce(operator.getitem, parents, params)[last] = value
    (line,) = errors(params)
    assert line.startswith(f"params.yaml: {key}: ")


def test_the_committed_files_are_valid() -> None:
    config.check(yaml.safe_load(TEXT))
    config.check(photos_params())
