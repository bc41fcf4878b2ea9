"""Variants: the sections of params.yaml that a training depends on, typed. Imports no TensorFlow,
so that params.yaml is checked within two seconds.

Networks, optimizers and augmentations are files of their own, as the cache key of a variant's
training holds only the files that the variant names (dvc.yaml).
"""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import pydantic

from pipeline.core.params import ConfigModel, Seed, lookup, one_of, read_section
from pipeline.runtime import CpuIsa, Device
from pipeline.training.augmentation import BaseAugmentation
from pipeline.training.recipe import BaseRecipe

# Two widths of 4,096 are 150 million weights: a zero too many should not end in "out of memory".
Width = Annotated[int, pydantic.Field(gt=0, le=4096)]
Widths = Annotated[
    tuple[Width, ...],
    pydantic.BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
    pydantic.Field(min_length=1),
]

_BFLOAT16_ISAS = ("AVX512_CORE", "AVX512_CORE_BF16", "DEFAULT")


class BaseNetwork(ConfigModel):
    """The block of a variant. A file of pipeline/networks has a class `Network` that adds the
    network's own settings and implements the methods."""

    recipe: str
    numerics: str
    seed: Seed  # of the weights, the order of the images and their augmentation
    data: str  # processed, or the backbone whose features it gets
    network: str
    optimizer: str
    augmentation: dict[str, Any]

    def min_image_size(self, size: int) -> int:
        """The smallest images, in pixels a side, on which it trains where full-size ones have
        `size`; more than `size` where the network does not fit even those."""
        raise NotImplementedError

    def build(self, *, shape: tuple[int, int, int], classes: int, training: bool) -> Any:
        """The untrained Keras model, its weights drawn from Keras's global seed.

        Input float32 (N, *shape) in [0, 1], output float32 (N, classes) probabilities. The one for
        `training` has the same weights in the same order, from faster layers; only the other is
        saved, and must load without code of this project.
        """
        raise NotImplementedError

    def init_from_data(self, model: Any, images: Any) -> None:
        """Initialize the weights of `model` that depend on the training `images` (N, *shape)."""


class Numerics(ConfigModel):
    """What decides rounding and speed beside the recipe, for all variants that name it."""

    precision: Literal["float32", "bfloat16"]  # of convolutions; weights are always float32
    cpu_isa: CpuIsa
    device: Device

    @pydantic.model_validator(mode="after")
    def _check_instruction_set(self) -> Self:
        if (
            self.precision == "bfloat16"
            and self.device == "cpu"
            and self.cpu_isa not in _BFLOAT16_ISAS
        ):
            raise ValueError(
                f"cpu_isa to be {', '.join(_BFLOAT16_ISAS[:-1])} or {_BFLOAT16_ISAS[-1]} where "
                "precision is bfloat16, which oneDNN supports by no others"
            )
        return self


@dataclass(frozen=True)
class TrainingConfig:
    """All settings of one training."""

    name: str
    network: BaseNetwork
    augmentation: BaseAugmentation
    recipe: BaseRecipe
    numerics: Numerics

    @property
    def sections(self) -> tuple[ConfigModel, ...]:
        """The sections of params.yaml."""
        return self.network, self.augmentation, self.recipe, self.numerics


def list_files(folder: str) -> list[str]:
    """The names of the files in that `folder` of pipeline/, such as networks."""
    paths = (Path(__file__).parent.parent / folder).glob("*.py")
    return sorted(path.stem for path in paths if path.stem != "__init__")


def read_training_config(params: Mapping[str, Any], name: str) -> TrainingConfig:
    """The settings of the variant `name`; PipelineError with a line for each wrong value.

    Imports only the files that the variant names, so that its training depends on no others.
    """
    key = f"variants.{name}"
    network = read_section(params, key, _load(params, f"{key}.network", "networks").Network)
    optimizers = _load(params, f"{key}.optimizer", "optimizers")
    augmentations = _load(params, f"{key}.augmentation.kind", "augmentations")
    return TrainingConfig(
        name,
        network,
        read_section(params, f"{key}.augmentation", augmentations.Augmentation),
        read_section(params, f"recipes.{network.recipe}", optimizers.Recipe),
        read_section(params, f"numerics.{network.numerics}", Numerics),
    )


def _load(params: Mapping[str, Any], key: str, folder: str) -> Any:
    """The module in `folder` that the value at `key` names."""
    lookup(params, key)
    name = read_section(params, key, Annotated[str, one_of(list_files(folder))])
    return importlib.import_module(f"pipeline.{folder}.{name}")
