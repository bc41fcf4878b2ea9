"""Write a study of your own: `make study DIR=../flowers PHOTOS=~/flowers`.

The photos are looked at first, by the code of stage preprocess, so that what is wrong with them is
told before anything is copied.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from ruamel.yaml import YAML

from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.data import settings
from pipeline.preprocess import folders
from pipeline.tools import room, schema, signals
from pipeline.tools.new_study import fitted, photos, places, written

TEMPLATE = Path(__file__).parent.parent / "study_params.yaml"


def main(arguments: list[str]) -> None:
    """Write the study that `arguments` name: DIR, PHOTOS and SIDE, as make has them."""
    folder, source, side = arguments
    project = Path.cwd()
    asked = places.checked(folder, source, side, project=project)
    found = folders.find(asked.photos)
    text, dataset = params(found, project=project, side=asked.side)
    print(f"study: {room.check(found, dataset)}", flush=True)
    written.write(asked, found, text, project=project)
    print(f"study: {asked.folder} is ready; the next step: cd {asked.folder} && make repro")


def params(
    found: Mapping[str, folders.Photos], *, project: Path, side: int
) -> tuple[str, settings.Photos]:
    """The params.yaml of a study of the photos `found`, checked, and its data set."""
    own = (project / params_file.PARAMS_FILE).read_text(encoding="utf-8")
    template = TEMPLATE.read_text(encoding="utf-8")
    known = YAML(typ="safe", pure=True)
    dataset = settings.Photos(**known.load(template)["dataset"])
    seed = photos.seed(found, dataset)
    text = fitted.text(own, template, room.expected(found, dataset), side=side, seed=seed)
    content = known.load(text)
    schema.check(content)
    return text, settings.Photos(**content["dataset"])


if __name__ == "__main__":
    signals.raise_exit_on_signals()
    try:
        main(sys.argv[1:])
    except PipelineError as error:
        sys.exit(f"study: {error}")
