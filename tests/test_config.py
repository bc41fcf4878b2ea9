"""params.yaml is read strictly: every kind of mistake is named by its full key."""

from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic
import pytest
from conftest import PROJECT

from pipeline.base import params_file
from pipeline.base.errors import PipelineError


class Inner(params_file.Section):
    depth: pydantic.PositiveInt


class Sample(params_file.Section):
    count: pydantic.PositiveInt
    even: Annotated[int, pydantic.Field(ge=0, le=100, multiple_of=10)]
    rate: pydantic.PositiveFloat
    share: Annotated[float, pydantic.Field(ge=0, lt=1)]
    name: str
    on: bool
    mode: Literal["adam", "sgd"]
    patience: pydantic.PositiveInt | None
    widths: Annotated[list[pydantic.PositiveInt], pydantic.Field(min_length=1, max_length=3)]
    amounts: dict[Literal["flip", "zoom"], float]
    inner: Inner


GOOD: dict[str, Any] = {
    "count": 3,
    "even": 20,
    "rate": 0.1,
    "share": 0.5,
    "name": "x",
    "on": True,
    "mode": "adam",
    "patience": None,
    "widths": [16, 32],
    "amounts": {"flip": 0.5},
    "inner": {"depth": 1},
}


def parse(**changes: object) -> Sample:
    return params_file.section({"top": {"part": {**GOOD, **changes}}}, "top.part", Sample)


def message(**changes: object) -> str:
    with pytest.raises(PipelineError) as caught:
        parse(**changes)
    return str(caught.value)


def test_good_values_are_typed_and_frozen() -> None:
    sample = parse()
    assert sample.inner == Inner(depth=1)
    assert sample.patience is None
    assert parse(rate=1).rate == 1.0
    with pytest.raises(pydantic.ValidationError):
        sample.count = 4


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("count", 0, "expected a number above 0, found 0"),
        ("count", 2.0, "expected a whole number, found 2.0"),
        ("count", 2.5, "expected a whole number, found 2.5"),
        ("count", "3", 'expected a whole number, found "3"'),
        ("count", True, "expected a whole number, found true"),
        ("count", None, "expected a whole number, found null"),
        ("count", float("nan"), "expected a whole number, found NaN"),
        ("even", -10, "expected a number of at least 0, found -10"),
        ("even", 110, "expected a number of at most 100, found 110"),
        ("even", 15, "expected a multiple of 10, found 15"),
        ("rate", "1e-3", 'expected a number, found "1e-3"'),
        ("rate", False, "expected a number, found false"),
        ("rate", 0, "expected a number above 0, found 0"),
        ("rate", float("nan"), "expected a finite number, found NaN"),
        ("rate", float("inf"), "expected a finite number, found Infinity"),
        ("share", 1, "expected a number below 1, found 1"),
        ("name", 7, "expected text, found 7"),
        ("on", 1, "expected true or false, found 1"),
        ("on", "yes", 'expected true or false, found "yes"'),
        ("mode", "adan", "expected 'adam' or 'sgd', found \"adan\"; did you mean 'adam'?"),
        ("mode", 3, "expected 'adam' or 'sgd', found 3"),
        ("patience", "no", 'expected a whole number, or null, found "no"'),
        ("patience", 0, "expected a number above 0, or null, found 0"),
        ("widths", 16, "expected a list, found 16"),
        ("widths", [], "expected at least 1 item(s), found []"),
        ("widths", [1, 2, 3, 4], "expected at most 3 item(s), found [1, 2, 3, 4]"),
        ("amounts", [], "expected a mapping, found []"),
        ("inner", 3, "expected a mapping with the keys depth, found 3"),
    ],
)
def test_a_wrong_value_is_named_with_what_was_expected(key: str, value: object, text: str) -> None:
    assert message(**{key: value}) == f"params.yaml: top.part.{key}: {text}"


@pytest.mark.parametrize(
    ("key", "value", "text"),
    [
        ("widths", [16, "x"], 'widths.1: expected a whole number, found "x"'),
        ("widths", [0], "widths.0: expected a number above 0, found 0"),
        ("amounts", {"flip": "much"}, 'amounts.flip: expected a number, found "much"'),
        (
            "amounts",
            {"zom": 1},
            "amounts.zom: unknown key; expected 'flip' or 'zoom'; did you mean 'zoom'?",
        ),
        (
            "inner",
            {"depth": 1, "deptj": 2},
            "inner.deptj: unknown key; expected depth; did you mean 'depth'?",
        ),
        ("inner", {}, "inner.depth: missing key; add it (the keys here are depth)"),
    ],
)
def test_mistakes_inside_a_value_carry_the_whole_path(key: str, value: object, text: str) -> None:
    assert message(**{key: value}) == f"params.yaml: top.part.{text}"


def test_an_unknown_key_is_named_with_the_nearest_known_one() -> None:
    text = message(widhts=[1])
    assert text.startswith("params.yaml: top.part.widhts: unknown key; expected count, even, ")
    assert text.endswith("; did you mean 'widths'?")
    assert "did you mean" not in message(qqqq=1)


def test_a_missing_key_is_named() -> None:
    without = {key: value for key, value in GOOD.items() if key != "rate"}
    with pytest.raises(PipelineError, match=r"top\.rate: missing key; add it \(the keys here are"):
        params_file.section({"top": without}, "top", Sample)


def test_every_mistake_gets_a_line() -> None:
    assert message(count=0, rate="x", extra=1).count("\nparams.yaml: top.part.") == 2


def test_long_values_are_cut() -> None:
    assert len(message(count="x" * 1000)) < 200


@pytest.mark.parametrize(
    ("key", "text"),
    [
        (
            "variants.fianl",
            "variants.fianl: not found; variants has base, final; did you mean 'final'?",
        ),
        ("variant", "variant: not found; the file has variants, one; did you mean 'variants'?"),
        ("one.two", "one.two: not found; one has no keys"),
    ],
)
def test_a_section_that_is_not_there_names_those_that_are(key: str, text: str) -> None:
    params = {"variants": {"base": {}, "final": {}}, "one": 1}
    with pytest.raises(PipelineError) as caught:
        params_file.section(params, key, Sample)
    assert str(caught.value) == f"params.yaml: {text}"


@pytest.mark.parametrize("value", [None, 3, [1], "text"])
def test_a_section_that_is_no_mapping_is_refused(value: object) -> None:
    with pytest.raises(
        PipelineError, match=r"params\.yaml: inner: expected a mapping with the keys"
    ):
        params_file.section({"inner": value}, "inner", Inner)


def write(folder: Path, text: str) -> Path:
    path = folder / "params.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_read_gives_plain_values(tmp_path: Path) -> None:
    text = "a: {b: [1, 2.5, null, true, x]}\nc: 1.0e-3\n"
    content = params_file.read(write(tmp_path, text))
    assert content == {"a": {"b": [1, 2.5, None, True, "x"]}, "c": 0.001}
    assert type(content) is type(content["a"]) is dict


@pytest.mark.parametrize(
    ("text", "value"), [("1e-05", 1e-5), ("1e3", 1000.0), ("no", "no"), ("010", 10)]
)
def test_read_agrees_with_dvc(tmp_path: Path, text: str, value: object) -> None:
    from dvc.utils.serialize import load_yaml

    path = write(tmp_path, f"a: {text}\n")
    assert params_file.read(path) == {"a": value} == load_yaml(str(path))


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: 1\nb: 2\na: 3\n", 3), ("a:\n  b: 1\n  b: 1\n", 3), ("a: {b: 1, c: 2, b: 3}\n", 1)],
)
def test_read_refuses_a_key_that_stands_twice(tmp_path: Path, text: str, line: int) -> None:
    with pytest.raises(PipelineError, match=rf"line {line}: found duplicate key .*; keep one"):
        params_file.read(write(tmp_path, text))


def test_the_same_key_in_two_mappings_is_fine(tmp_path: Path) -> None:
    assert params_file.read(write(tmp_path, "a: {x: 1}\nb: {x: 1}\n"))["b"] == {"x": 1}


@pytest.mark.parametrize(
    "text", ["a: [1", "a: b: c", "\t- a", "a: !!python/name:os.system ''\n", "a: 2001-02-30\n"]
)
def test_read_refuses_what_is_no_plain_yaml(tmp_path: Path, text: str) -> None:
    with pytest.raises(PipelineError, match=r"params\.yaml is not valid YAML: ") as caught:
        params_file.read(write(tmp_path, text))
    assert "\n" not in str(caught.value)


def test_read_refuses_bytes_that_are_no_utf8(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(b"a: \xff\n")
    with pytest.raises(PipelineError, match="not valid YAML"):
        params_file.read(tmp_path / "params.yaml")


@pytest.mark.parametrize(("text", "found"), [("", "null"), ("- 1\n", "[1]"), ("text\n", '"text"')])
def test_read_refuses_what_is_no_mapping(tmp_path: Path, text: str, found: str) -> None:
    with pytest.raises(PipelineError) as caught:
        params_file.read(write(tmp_path, text))
    assert str(caught.value).endswith(f"expected a mapping of sections, found {found}")


def test_read_names_a_missing_file_and_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(
        PipelineError, match=r"cannot read .*params\.yaml: No such file.*top folder"
    ):
        params_file.read(tmp_path / "params.yaml")


def test_the_project_s_own_file_is_read() -> None:
    content = params_file.read(PROJECT / "params.yaml")
    assert {"dataset", "explore", "variants"} <= set(content)
