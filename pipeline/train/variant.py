"""What a variant is: the settings that all have, and what its network adds to them.

No TensorFlow here, so that the whole of params.yaml is checked within two seconds.
"""

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pydantic

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.train import augment

NETWORKS = Path("pipeline/networks")

Fraction = Annotated[float, pydantic.Field(ge=0, lt=1)]
Amount = Annotated[float, pydantic.Field(gt=0, le=1)]
# Two widths of 4,096 are 150 million weights: a zero too many should not end in "out of memory".
Width = Annotated[int, pydantic.Field(gt=0, le=4096)]
Widths = Annotated[
    tuple[Width, ...],
    pydantic.BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
    pydantic.Field(min_length=1),
]
Augmentation = Annotated[str, params_file.one_of(augment.KEYS)]


class Variant(params_file.Section):
    """What every variant says. A network's file adds its own settings and the methods below."""

    recipe: str
    arithmetic: str
    network: str
    seed: params_file.Seed  # of the weights, the order of the images and their augmentation
    augmentation: dict[Augmentation, Amount]

    def least_side(self, side: int) -> int:
        """The smallest images, in pixels a side, on which it trains where whole ones have `side`.

        More than `side` where the network does not fit even those.
        """
        raise NotImplementedError

    def build(self, *, shape: tuple[int, int, int], classes: int, training: bool) -> Any:
        """The untrained Keras model, its weights drawn from Keras's global seed.

        Input float32 (N, *shape) in [0, 1], output float32 (N, classes) probabilities. The one for
        `training` has the weights of the other, in the same order; only the other is saved, and
        must load without code of ours.
        """
        raise NotImplementedError

    def start(self, model: Any, images: Any) -> None:
        """Give the `model` for training what it takes from the training `images` (N, *shape).

        They are an array or a tensor.
        """


def networks() -> list[str]:
    """The names of all networks: those of the files in pipeline/networks."""
    folder = Path(__file__).parent.parent / NETWORKS.name
    return sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")


def network(name: str) -> type[Variant]:
    """The class `Network` of the file of that name; PipelineError when there is none."""
    if name not in networks():
        raise PipelineError(
            f"expected one of {', '.join(networks())} as a network, found '{name}'; correct it in "
            f"{params_file.PARAMS_FILE}, or write {NETWORKS}/{name}.py"
        )
    found: type[Variant] = importlib.import_module(f"pipeline.networks.{name}").Network
    return found


def read(params: Mapping[str, Any], name: str) -> Variant:
    """`variants.NAME` by the schema of its network; PipelineError when it is missing or wrong.

    Imports no network but its own, so that a training depends on none but its own.
    """
    named = params_file.at(params, f"variants.{name}.network")
    return params_file.section(params, f"variants.{name}", network(str(named)))
