"""Every kind of mistake in params.yaml is named by its full key before any stage runs."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import workspace
from conftest import PROJECT

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.tools import schema

TEXT = (PROJECT / "params.yaml").read_text()

# What to replace in the committed file, and what the error must say.
MISTAKES = {
    "unknown section": ("explore:", "explorer:", r"explorer: .*did you mean 'explore'"),
    "missing section": ("compare:\n  confidence: 0.95", "", r"compare: missing key"),
    "unknown key": (
        "images_per_class:",
        "images_per_clas:",
        r"explore\.images_per_clas: unknown "
        r"key; .*did you mean 'images_per_class'",
    ),
    "missing key": ("  confidence: 0.95", "  {}", r"compare\.confidence: missing key"),
    "missing key of a recipe": (
        "    loss: categorical_crossentropy\n",
        "",
        r"recipes\.study\.loss: missing key",
    ),
    "text for a number": (
        "epochs: 30",
        "epochs: thirty",
        r"recipes\.study\.epochs: expected a "
        r'whole number, found "thirty"',
    ),
    "quoted number": ("epochs: 30", "epochs: '30'", r"recipes\.study\.epochs: expected a whole"),
    "fraction for a whole number": (
        "epochs: 30",
        "epochs: 30.5",
        r"recipes\.study\.epochs: "
        r"expected a whole number, found 30\.5",
    ),
    "true for a number": (
        "epochs: 30",
        "epochs: true",
        r"recipes\.study\.epochs: expected a whole",
    ),
    "nothing": ("epochs: 30", "epochs:", r"recipes\.study\.epochs: expected a whole .*found null"),
    "zero epochs": (
        "epochs: 30",
        "epochs: 0",
        r"recipes\.study\.epochs: expected a number above 0",
    ),
    "negative rate": (
        "learning_rate: 0.01",
        "learning_rate: -0.01",
        r"recipes\.trial_sgd\.learning_rate: expected a number above 0",
    ),
    "NaN": (
        "learning_rate: 0.01",
        "learning_rate: .nan",
        r"recipes\.trial_sgd\.learning_rate: "
        r"expected a finite number",
    ),
    "infinity": (
        "learning_rate: 0.01",
        "learning_rate: .inf",
        r"recipes\.trial_sgd\."
        r"learning_rate: expected a finite number",
    ),
    "dropout of one": (
        "dropout: 0.5",
        "dropout: 1.0",
        r"variants\.deep\.dropout: expected a number "
        r"below 1",
    ),
    "unknown optimizer": (
        "optimizer: sgd",
        "optimizer: sdg",
        r"recipes\.trial_sgd\.optimizer: "
        r"expected 'adam', 'sgd' or 'muon', found \"sdg\"; did you mean 'sgd'",
    ),
    "unknown loss": (
        "loss: categorical_crossentropy\n",
        "loss: mse\n",
        r"recipes\.study\.loss: expected 'categorical_crossentropy'",
    ),
    "unknown network": (
        "network: plain\n    widths: [16]",
        "network: plane\n    widths: [16]",
        r"variants\.baseline\.network: expected 'plain' or 'whitened', .*did you mean 'plain'",
    ),
    "list for a network": (
        "network: plain\n    widths: [16]",
        "network: [plain]\n    widths: [16]",
        r"variants\.baseline\.network: expected 'plain'",
    ),
    "unknown recipe": (
        "recipe: trial_sgd",
        "recipe: trail_sgd",
        r"variants\.sgd\.recipe: expected "
        r"one of study, .*found 'trail_sgd'; did you mean 'trial_sgd'",
    ),
    "unknown augmentation": (
        "{flip_vertical: 0.5, flip_horizontal",
        "{flip_vertikal: 0.5, flip_horizontal",
        r"variants\.final\.augmentation\.flip_vertikal: "
        r".*did you mean 'flip_vertical'",
    ),
    "augmentation without amount": (
        "{flip_vertical: 0.5, flip_horizontal",
        "{flip_vertical, flip_horizontal",
        r"variants\.final\.augmentation\."
        r"flip_vertical: expected a number, found null",
    ),
    "empty list": (
        "widths: [16]\n",
        "widths: []\n",
        r"variants\.baseline\.widths: expected at "
        r"least 1 item",
    ),
    "more poolings than pixels": (
        "widths: [16]\n",
        "widths: [1, 1, 1, 1, 1, 1]\n",
        r"variants\.baseline: expected a network for images of 32 .*needs 64; take fewer widths",
    ),
    "wrong item": (
        "widths: [16]\n",
        "widths: [16, 0]\n",
        r"variants\.baseline\.widths\.1: "
        r"expected a number above 0",
    ),
    "number for a list": (
        "widths: [16]\n",
        "widths: 16\n",
        r"variants\.baseline\.widths: expected "
        r"a list, found 16",
    ),
    "unknown mirror": (", official]", ", oficial]", r"fetch\.mirrors.*did you mean 'official'"),
    "no mirrors": ("[npm, huggingface, official]", "[]", r"fetch\.mirrors: expected"),
    "unknown instruction set": (
        "cpu_isa: AVX2",
        "cpu_isa: AVX22",
        r"runtime\.cpu_isa: .*did you "
        r"mean 'AVX2'",
    ),
    "more images than there are": (
        "train_images: 45000",
        "train_images: 45010",
        r"dataset: expected train_images and validation_images of at most 50,000 together",
    ),
    "uneven split": (
        "validation_images: 5000",
        "validation_images: 5005",
        r"dataset\.validation_images: expected a multiple of 10",
    ),
    "confidence of one": (
        "confidence: 0.95",
        "confidence: 1.0",
        r"compare\.confidence: expected a "
        r"number below 1",
    ),
    "name with a dot": ("  sgd:\n", "  sgd.fast:\n", r"variants\.sgd\.fast: expected a name of"),
    "name with a space": ("  sgd:\n", "  sgd fast:\n", r"variants\.sgd fast: expected a name of"),
    "one line for a bad name": (
        "  sgd:\n",
        "  sgd.fast:\n",
        r'^[^\n]*a letter first, found "sgd.fast"$',
    ),
    "same name but for case": (
        "  sgd:\n",
        "  Adam:\n",
        r"variants: .*case, not adam and Adam, found",
    ),
    "number as a name": ("  sgd:\n", "  1:\n", r"variants\.1: expected text, found 1"),
    "key twice": ("epochs: 30\n", "epochs: 30\n    epochs: 20\n", r"epochs.*keep one"),
    "variant twice": ("  sgd:\n", "  adam:\n", r'"adam".*keep one'),
    "list for a section": (
        "compare:\n  confidence: 0.95",
        "compare: [0.95]",
        r"compare: expected a mapping",
    ),
    "unknown kind of data set": (
        "kind: cifar10",
        "kind: cifar100",
        r"dataset\.kind: expected 'cifar10' or 'photos', found \"cifar100\"; .*'cifar10'",
    ),
    "no kind of data set": (
        "  kind: cifar10\n",
        "",
        r"dataset\.kind: missing key",
    ),
    "key of another kind of data set": (
        "  kind: cifar10\n",
        "  kind: cifar10\n  side: 32\n",
        r"dataset\.side: unknown key",
    ),
    "more images of a class than a strip holds": (
        "images_per_class: 8",
        "images_per_class: 21",
        r"explore\.images_per_class: expected a number of at most 20",
    ),
    "unknown weights of classes": (
        "class_weights: null       #",
        "class_weights: balancd    #",
        r"recipes\.study\.class_weights: expected 'balanced', or null, found.*mean 'balanced'",
    ),
    "growth beyond the images": (
        "px24: 5",
        "px33: 5",
        r"variants\.fast: .* 9 to 32 pixels .*found 32 to 33 by recipes\.fast\.growth",
    ),
    "growth from too little": (
        "px24: 5",
        "px8: 5",
        r"variants\.fast: .* 9 to 32 pixels .*found 8 to 32 by recipes\.fast\.growth",
    ),
    "growth without its unit": ("{px24: 5", "{24: 5", r"recipes\.fast\.growth.*24"),
    "growth of no epoch": ("px24: 5", "px24: 0", r"recipes\.fast\.growth\.px24: .*above 0"),
    "empty batches": ("batch_size: 2000", "batch_size: 0", r"recipes\.fast\.batch_size: .*above 0"),
    "key of another optimizer": (
        "    learning_rate: 0.01\n",
        "    learning_rate: 0.01\n    momentum: 0.9\n",
        r"recipes\.trial_sgd\.momentum: unknown key",
    ),
    "missing key of Muon": ("    momentum: 0.6\n", "", r"recipes\.fast\.momentum: missing key"),
    "no image to stop by": (
        "train_on: train_and_validation\n    validation_batch_size: null\n    early_stopping: null",
        "train_on: train_and_validation\n    validation_batch_size: null\n    early_stopping: 3",
        r"recipes\.fast: .*early_stopping to be null where train_on is train_and_validation",
    ),
    "no image to validate on": (
        "    validation_batch_size: null\n",
        "    validation_batch_size: 100\n",
        r"recipes\.fast: .*validation_batch_size and early_stopping to be null where train_on is",
    ),
    "validation without its batch size": (
        "train_on: train_and_validation\n",
        "train_on: train\n",
        r"recipes\.fast: .*validation_batch_size to be a number of images where train_on is train",
    ),
    "unknown part of the data": (
        "train_on: train ",
        "train_on: test ",
        r"recipes\.study\.train_on",
    ),
    "unknown precision": (
        "precision: float32  # or",
        "precision: float16  # or",
        r"arithmetic\.study\.precision: expected 'float32' or 'bfloat16'",
    ),
    "bfloat16 by instructions that have none": (
        "precision: float32  # or",
        "precision: bfloat16  # or",
        r"arithmetic\.study: expected cpu_isa to be AVX512_CORE, AVX512_CORE_BF16 or DEFAULT where",
    ),
    "unknown arithmetic": (
        "    arithmetic: own\n    seed: 2\n",
        "    arithmetic: won\n    seed: 2\n",
        r"variants\.fast_2\.arithmetic: expected one of study, own, found 'won'.*'own'",
    ),
    "blocks that leave no pixel of small images": (
        "widths: [64, 256, 256]",
        "widths: [64, 256, 256, 256, 256]",
        r"variants\.best: expected a network for images of 32 .*needs 33; take fewer widths",
    ),
    "key of another network": (
        "    normalization_momentum: 0.97  # a",
        "    dropout: 0.5  # a",
        r"variants\.sprint\.dropout: unknown key",
    ),
    "views of no network": (
        "  whitened:\n    m",
        "  whitend:\n    m",
        r"views\.whitend: .*'whitened'",
    ),
    "unknown key of views": (
        "    mirrored: true",
        "    mirored: true",
        r"views\.whitened\.mirored: un",
    ),
    "growth for whole images": (
        "    recipe: study\n",
        "    recipe: fast\n",
        r"variants\.baseline: expected a recipe whose images have 32 to 32 pixels a side",
    ),
    "more epochs than can be meant": (
        "epochs: 30",
        f"epochs: 1{400 * '0'}",
        r"recipes\.study\.epochs: expected a number of at most",
    ),
    "more micro-batches at once than can be meant": (
        "micro_batches_at_once: 2  #",
        f"micro_batches_at_once: {2**63}  #",
        r"micro_batches_at_once: expected a number of at most 64, found 9223372036854775808",
    ),
    "an amount above 1": (
        "{flip_vertical: 0.5, flip_horizontal",
        "{flip_vertical: 1.5, flip_horizontal",
        r"variants\.final\.augmentation\.flip_vertical: expected a number of at most 1, found 1\.5",
    ),
    "an amount of nothing": (
        "rotation: 0.1",
        "rotation: 0.0",
        r"variants\.improved\.augmentation\.rotation: expected a number above 0, found 0\.0",
    ),
    "unknown variant of the page": (
        "  variant: fast ",
        "  variant: fats ",
        r"page\.variant: expected one of baseline, .*found 'fats'; did you mean 'fast'",
    ),
    "broken YAML": ("widths: [16]\n", "widths: [16\n", r"not valid YAML"),
}


def changed(old: str, new: str) -> str:
    assert old in TEXT, f"params.yaml no longer holds {old!r}"
    return TEXT.replace(old, new, 1)


def check(folder: Path, text: str) -> None:
    path = folder / "params.yaml"
    path.write_text(text)
    schema.check(params_file.read(path))


def test_the_committed_file_is_right(tmp_path: Path) -> None:
    check(tmp_path, TEXT)


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_is_named(tmp_path: Path, mistake: str) -> None:
    old, new, message = MISTAKES[mistake]
    with pytest.raises(PipelineError, match=message):
        check(tmp_path, changed(old, new))


@pytest.mark.parametrize("group", ["recipes", "variants"])
@pytest.mark.parametrize("content", ["", "[]", "{}", "none"])
def test_group_must_name_something(tmp_path: Path, group: str, content: str) -> None:
    head, _, rest = TEXT.partition(f"\n{group}:\n")
    tail = rest[rest.index("\n\n") :] if "\n\n" in rest else ""
    with pytest.raises(
        PipelineError,
        match=rf"{group}: expected a mapping( of at least one name to its settings)?, found",
    ):
        check(tmp_path, f"{head}\n{group}: {content}\n{tail}")


def test_every_mistake_is_listed_at_once(tmp_path: Path) -> None:
    text = TEXT.replace("epochs: 30", "epochs: 0").replace("dropout: 0.5", "dropout: 2.0")
    with pytest.raises(PipelineError) as caught:
        check(tmp_path, text)
    assert len(str(caught.value).splitlines()) == 2


def test_a_mistake_anywhere_stops_every_stage_within_two_seconds(tmp_path: Path) -> None:
    folder = workspace.copy_project(tmp_path / "project")
    (folder / "params.yaml").write_text(changed("confidence: 0.95", "confidence: 95"))
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "pipeline", "fetch"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert time.monotonic() - started < 2
    assert done.returncode == 1
    assert done.stderr == (
        "pipeline fetch: params.yaml: compare.confidence: expected a number below 1, found 95\n"
    )
    assert not (folder / "data").exists()
