"""params.yaml as one model: `python -m pipeline.tools.config` names every mistake in it.

Checked before every stage and by make. A stage reads its own sections through
pipeline/base/params_file.py, so that it does not depend on the settings of others.
"""

import re
import sys
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Union

from pipeline.tools import activation

try:
    import pydantic

    from pipeline.base import params_file
    from pipeline.base.errors import PipelineError
    from pipeline.base.mistakes import nearest
    from pipeline.comparison.settings import Compare
    from pipeline.datasets.config import DatasetConfig
    from pipeline.datasets.fetch import Fetch
    from pipeline.evaluate.manner import Temperature
    from pipeline.evaluate.settings import Evaluate, Predict
    from pipeline.evaluate.views import Views
    from pipeline.explore.explore import Explore
    from pipeline.page.settings import Page
    from pipeline.runtime import Runtime
    from pipeline.train import variant
    from pipeline.train.arithmetic import Arithmetic
    from pipeline.train.recipe import AnyRecipe
except ModuleNotFoundError as error:
    sys.exit(f"config: {error}: {activation.REMEDY}")

LONGEST_LINE = 600  # characters of a message
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]{0,99}")


def _checked_name(name: str) -> str:
    """The name becomes part of stage names, file names and DVC's dotted keys."""
    if not _NAME.fullmatch(name):
        raise ValueError("a name of up to 100 letters, digits, '_' and '-', a letter first")
    return name


def _distinct_names(group: dict[str, Any]) -> dict[str, Any]:
    """File systems that ignore case take two such names for one file."""
    lower = [name.lower() for name in group]
    if twice := [name for name in group if lower.count(name.lower()) > 1]:
        raise ValueError(f"names that differ in more than case, not {' and '.join(twice)}")
    return group


Name = Annotated[str, pydantic.AfterValidator(_checked_name)]
Named = (pydantic.Field(min_length=1), pydantic.AfterValidator(_distinct_names))


def params_model(*, fetch: bool) -> type[params_file.Section]:
    """The model of params.yaml, with the networks of pipeline/networks.

    Without `fetch` the section of that name is not needed, as for photos.
    """
    names = variant.networks()
    network: Any = Union[tuple(map(variant.network, names))]  # noqa: UP007
    if len(names) > 1:
        network = Annotated[network, pydantic.Field(discriminator="network")]

    class Params(params_file.Section):
        dataset: DatasetConfig
        explore: Explore
        runtime: Runtime
        arithmetic: Annotated[dict[Name, Arithmetic], *Named]
        recipes: Annotated[dict[Name, AnyRecipe], *Named]
        variants: Annotated[dict[Name, network], *Named]
        views: dict[Annotated[str, params_file.one_of(names)], Views]
        temperatures: dict[str, Temperature]
        predict: Predict
        evaluate: Evaluate
        compare: Compare
        page: Page

    class ParamsWithFetch(Params):
        fetch: Fetch

    return ParamsWithFetch if fetch else Params


def check(params: Mapping[str, Any]) -> None:
    """Raise PipelineError with a line for every mistake in `params`.

    References between sections are checked after every section is valid.
    """
    dataset = params.get("dataset")
    is_photos = isinstance(dataset, Mapping) and dataset.get("kind") == "photos"
    try:
        model = params_model(fetch="fetch" in params or not is_photos)
        mistakes = list(_wrong_references(params_file.section(params, "", model)))
    except PipelineError as error:
        mistakes = str(error).splitlines()
    if mistakes:
        raise PipelineError("\n".join(map(_shortened, mistakes)))


def _wrong_references(config: Any) -> Iterator[str]:
    """A line for each name that no section has, and each network that a recipe does not fit."""
    yield from _unknown_name("page.variant", config.page.variant, config.variants)
    for name in config.temperatures:
        yield from _unknown_name(f"temperatures.{name}", name, config.recipes)
    for name, network in config.variants.items():
        key = f"variants.{name}"
        unknown = [
            *_unknown_name(f"{key}.recipe", network.recipe, config.recipes),
            *_unknown_name(f"{key}.arithmetic", network.arithmetic, config.arithmetic),
        ]
        recipe = config.recipes.get(network.recipe)
        yield from unknown or _unfit_network(key, network, recipe, config.dataset.side)


def _unknown_name(key: str, name: str, known: Mapping[str, Any]) -> Iterator[str]:
    if name not in known:
        yield (
            f"{params_file.PARAMS_FILE}: {key}: expected one of {', '.join(known)}, found "
            f"{name!r}{nearest(name, known)}"
        )


def _unfit_network(key: str, network: Any, recipe: Any, side: int) -> Iterator[str]:
    """A line unless the images of every epoch fit `network`, in pixels a side."""
    sides, smallest = recipe.sides(side), network.least_side(side)
    start = f"{params_file.PARAMS_FILE}: {key}: expected "
    if smallest > side:
        yield (
            f"{start}a network for images of {side} pixels a side, found one that needs at least "
            f"{smallest}; take fewer widths, or a larger dataset.side"
        )
    elif min(sides) < smallest or max(sides) > side:
        yield (
            f"{start}images of at least {smallest} and at most {side} pixels a side in every "
            f"epoch, found {min(sides)} to {max(sides)}; change recipes.{network.recipe}.growth "
            "({}: always whole images)"
        )


def _shortened(line: str) -> str:
    """`line` without its middle where it is too long; the key and the expectation remain."""
    half = LONGEST_LINE // 2
    return line if len(line) <= LONGEST_LINE else f"{line[:half]} ... {line[-half:]}"


if __name__ == "__main__":
    try:
        check(params_file.read())
    except PipelineError as error:
        sys.exit(str(error))
