"""params.yaml of a new study: the project's, with a folder of photos and recipes of a fitting size.

Sections are taken as text, so that every comment comes along: from pipeline/tools/study_params.yaml
where it has one of the name, else from the project's params.yaml.
"""

import io
import math
import re
from collections.abc import Mapping
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.representer import RoundTripRepresenter

from pipeline.train import variant

# The photos to train and validate on, and their side, for which the values of study_params.yaml
# were chosen.
CHOSEN_ON, CHOSEN_SIDE = 3_409, 64
# With fewer a batch is halved until an epoch has so many steps, or the batch so many photos.
STEPS_AN_EPOCH, LEAST_BATCH = 8, 32
# As many steps as were chosen, as far as this many times the chosen epochs go.
FEWEST_TIMES, MOST_TIMES = 0.5, 4.0
LEFT_OUT = ("fetch",)  # nothing is downloaded
PAGE_VARIANT = "best"


class _Representer(RoundTripRepresenter):
    """Writes null, where ruamel.yaml would leave the place empty."""


_Representer.add_representer(
    type(None), lambda own, _: own.represent_scalar("tag:yaml.org,2002:null", "null")
)
_SECTION = re.compile(r"([a-z_]+):")


def text(project: str, template: str, counts: Mapping[str, int], *, side: int, seed: int) -> str:
    """The params.yaml of a study on images of `side` pixels, divided by `seed`.

    `project` and `template` are the contents of the two files, `counts` the photos of each split.
    """
    own, filled = sections(project), sections(_filled(template, counts, side=side, seed=seed))
    own["page"] = re.sub(r"(?m)^(  variant: )\S+", rf"\g<1>{PAGE_VARIANT}", own["page"])
    head = project[: project.index(next(iter(own.values())))].strip()
    kept = [name for name in own if name not in LEFT_OUT]
    return "\n\n".join([head, *(filled.get(name, own[name]) for name in kept)]) + "\n"


def sections(content: str) -> dict[str, str]:
    """The top-level sections of YAML by name, each with the lines of comment right above it."""
    found: dict[str, list[str]] = {}
    above: list[str] = []
    current = above
    for line in content.splitlines():
        if line.startswith("#"):
            above.append(line)
        elif named := _SECTION.match(line):
            current = found[named[1]] = [*above, line]
            above = []
        elif not line:
            above = []  # what stands apart belongs to no section
        else:
            current.append(line)
    return {name: "\n".join(lines) for name, lines in found.items()}


def _filled(template: str, counts: Mapping[str, int], *, side: int, seed: int) -> str:
    """`template` with the numbers for so many photos of `side` pixels."""
    yaml = YAML()  # keeps comments
    yaml.Representer = _Representer
    yaml.width = 200
    content = yaml.load(template)
    content["dataset"]["side"] = side
    content["dataset"]["seed"] = seed
    for name in content["variants"]:
        own = variant.read(content, name)
        recipe = content["recipes"][own.recipe]  # each is of one variant
        alone = recipe["train_on"] == "train"
        photos = counts["train"] + (0 if alone else counts["validation"])
        _fit(recipe, photos, side, own.least_side(side))
    written = io.StringIO()
    yaml.dump(content, written)
    told = f"{counts['train']:,} photos to train on, {counts['validation']:,} for validation"
    return written.getvalue().replace("{counts}", told)


def _fit(recipe: Any, photos: int, side: int, least: int) -> None:
    """Change `recipe` to suit so many `photos` of `side` pixels, and of `least` when they grow."""
    chosen = recipe["batch_size"]
    batch = batch_size(chosen, photos)
    times = math.ceil(CHOSEN_ON / chosen) / math.ceil(photos / batch)
    times = min(max(times, FEWEST_TIMES), MOST_TIMES)
    recipe["batch_size"] = batch
    # As many micro-batches less: batch normalisation needs some photos in each.
    recipe["micro_batches_at_once"] = max(1, recipe["micro_batches_at_once"] * batch // chosen)
    recipe["epochs"] = round(recipe["epochs"] * times)
    for key in ("bias_learning_rate", "head_learning_rate"):
        if key in recipe:  # of SGD, which takes smaller steps on fewer images
            recipe[key] = float(recipe[key] * batch / chosen)
    grown = CommentedMap(
        {
            f"px{scaled}": round(epochs * times)
            for key, epochs in recipe["growth"].items()
            if least <= (scaled := int(key[2:]) * side // CHOSEN_SIDE) < side
        }
    )
    grown.fa.set_flow_style()
    recipe["growth"] = grown


def batch_size(chosen: int, photos: int) -> int:
    """The `chosen` batch size, or less where so many `photos` would make too few steps."""
    batch = chosen
    while batch > LEAST_BATCH and photos < STEPS_AN_EPOCH * batch:
        batch //= 2
    return batch
