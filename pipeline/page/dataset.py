"""What the page and the card say of the data set: a branch for each kind."""

from pathlib import Path
from typing import NamedTuple

from pipeline.comparison.tables import escape_markdown
from pipeline.datasets.config import Cifar10Config, DatasetConfig

FRAMED = {"centre": "the centre square of each", "whole": "each whole, with white beside it,"}


class About(NamedTuple):
    """Its `name` as it is, whose it is, and sentences in Markdown on what it holds.

    `hub` is its name at Hugging Face and `licence` that of a network trained on it, in the terms of
    the card's head; None where there is none, or it is for others to say.
    """

    name: str
    hub: str | None
    licence: str | None
    training: str
    tested_on: str
    terms: str


def about(dataset: DatasetConfig) -> About:
    """What is said of `dataset`."""
    if isinstance(dataset, Cifar10Config):
        return About(
            name="CIFAR-10",
            hub="uoft-cs/cifar10",
            licence="mit",
            training="CIFAR-10 (Krizhevsky, 2009): 50,000 images to train on, of which `dataset` "
            "below takes some for validation, and\n10,000 to test; ten classes of equal size.",
            tested_on="CIFAR-10's own test set alone, whose images are small and show one\n"
            "object each",
            terms="MIT, as the code. CIFAR-10 has no licence of its own; its author asks to cite "
            "Krizhevsky, *Learning Multiple\nLayers of Features from Tiny Images*, 2009.",
        )
    name = Path(dataset.folder).name
    return About(
        name=name,
        hub=None,
        licence=None,
        training=f"The photos in {escape_markdown(dataset.folder)}, "
        f"{FRAMED[dataset.framing]} scaled to {dataset.side} by {dataset.side} pixels.\n"
        "How they are divided, `dataset` below says.",
        tested_on=f"the test photos of {escape_markdown(name)} alone",
        terms="The code is under MIT. Whose the photos are, and what may be done with them and "
        "with a network\nthat has seen them, is not known here: say so before you share it.",
    )
