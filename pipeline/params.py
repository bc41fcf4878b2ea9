"""All of params.yaml, checked: `python -m pipeline.params` names every mistake, or says nothing.

The dispatcher asks for this before every stage, and make before it runs or plans anything; a stage
reads its own sections through pipeline.config, so that one stage's knob is no dependency of
another.
"""

import re
import sys
from collections.abc import Mapping
from typing import Any

from pipeline import config, settings
from pipeline.compare import Compare
from pipeline.errors import PipelineError
from pipeline.evaluate import Evaluate
from pipeline.explore import Explore
from pipeline.fetch import Fetch
from pipeline.preprocess import Preprocess
from pipeline.runtime import Runtime
from pipeline.views import Views

SECTIONS: dict[str, type[config.Section]] = {
    "fetch": Fetch,
    "preprocess": Preprocess,
    "explore": Explore,
    "runtime": Runtime,
    "evaluate": Evaluate,
    "compare": Compare,
}
ANY_SIZE = ("whitened",)  # networks that take images of any size
GROUPS = ("recipes", "variants", "views")

# A name becomes part of stage names, file names and DVC's dotted keys.
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
RESERVED = ("bench", "data", "runs")  # folders of reports/ beside those of the variants


def check(params: Mapping[str, Any]) -> None:
    """Raise PipelineError with a line for every mistake anywhere in `params`."""
    mistakes: list[str] = []

    def attempt(action: Any, *arguments: Any) -> None:
        try:
            action(*arguments)
        except PipelineError as error:
            # A recipe's mistakes come up again with each variant that uses it.
            mistakes.extend(line for line in str(error).splitlines() if line not in mistakes)

    for key in params:
        if key not in SECTIONS and key not in GROUPS:
            mistakes.append(str(config.unknown_name(str(key), (*SECTIONS, *GROUPS), "")))
    for key, schema in SECTIONS.items():
        attempt(config.section, params, key, schema)
    for group in GROUPS:
        attempt(_check_group, params, group)
    for name in filter(_is_name, _mapping(params, "recipes")):
        attempt(settings.recipe, params, name)
    for name in filter(_is_name, _mapping(params, "variants")):
        attempt(_check_variant, params, name)
    for name in settings.VARIANTS:
        attempt(config.section, params, f"views.{name}", Views)
    for name in _mapping(params, "views"):
        if name not in settings.VARIANTS:
            mistakes.append(str(config.unknown_name(str(name), settings.VARIANTS, "views")))
    if mistakes:
        raise PipelineError("\n".join(mistakes))


def _mapping(params: Mapping[str, Any], group: str) -> Mapping[Any, Any]:
    content = params.get(group)
    return content if isinstance(content, Mapping) else {}


def _is_name(name: Any) -> bool:
    return isinstance(name, str) and NAME.fullmatch(name) is not None


def _check_group(params: Mapping[str, Any], group: str) -> None:
    content = params.get(group)
    if not isinstance(content, Mapping) or not content:
        raise PipelineError(
            f"{config.PARAMS_FILE}: {group}: expected a mapping of at least one name to its "
            f"settings, found {content!r}"
        )
    folded = [str(name).lower() for name in content]
    for name in content:
        if str(name).lower() in RESERVED or folded.count(str(name).lower()) > 1:
            raise PipelineError(
                f"{config.PARAMS_FILE}: {group}.{name}: expected a name other than "
                f"{' and '.join(RESERVED)} and than all others whatever the case, as it names a "
                "folder; rename it"
            )
        if not _is_name(name):
            raise PipelineError(
                f"{config.PARAMS_FILE}: {group}.{name}: expected a name of letters, digits, "
                f"'_' and '-' that starts with a letter, found {name!r}; rename it"
            )


def _check_variant(params: Mapping[str, Any], name: str) -> None:
    variant = settings.variant(params, name)
    recipe = variant.recipe
    recipes = _mapping(params, "recipes")
    if recipe not in recipes:
        raise PipelineError(
            f"{config.PARAMS_FILE}: variants.{name}.recipe: expected one of "
            f"{', '.join(map(str, recipes))}, found {recipe!r}"
            f"{config.nearest(recipe, map(str, recipes))}"
        )
    if variant.network not in ANY_SIZE and len(set(settings.recipe(params, recipe).sides)) > 1:
        raise PipelineError(
            f"{config.PARAMS_FILE}: variants.{name}: expected a recipe without growth, as the "
            f"network {variant.network} takes whole images alone, found recipes.{recipe}.growth; "
            "empty it ({}), or name another recipe or network"
        )


if __name__ == "__main__":
    try:
        check(config.read())
    except PipelineError as error:
        sys.exit(str(error))
