"""The network that answers, ready to be asked: by LiteRT where that can, else by Keras.

TensorFlow, whose import takes seconds, is started by the first question to Keras: till then all
that the user may have to mend has been looked at.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from pipeline import runtime
from pipeline.base import params_file
from pipeline.base.errors import PipelineError
from pipeline.evaluate import labelled, manner, trained
from pipeline.predict import carried, described, labels, litert, measured
from pipeline.report import places

Params = Mapping[str, Any]


class Network(NamedTuple):
    """What came from `file`, for square images of `side` pixels, of whose `classes` it tells.

    `ask` gives for images float32 (N, S, S, 3) what it says before the softmax, float64 (N, K).
    """

    file: Path
    side: int
    classes: tuple[str, ...]
    ask: Callable[[np.ndarray], np.ndarray]


def of_page(page: carried.Carried, params: Params) -> Network:
    """The network that the page carries; PipelineError when it, or the page, is damaged."""
    told, names = carried.told(page), carried.classes()

    def load() -> Any:
        model = carried.model(page)
        labels.expect(names, model.output_shape[-1], str(carried.PAGE), carried.REMEDY)
        return model

    ask = _keras(load, told, variant=page.variant, params=params)
    return Network(carried.PAGE, told.side, names, ask)


def of_variant(variant: str, params: Params, runs: measured.Runs) -> Network:
    """The network of `variant`; `runs` are those that dvc.lock records.

    Raises PipelineError when its files are missing or damaged, or not those that were recorded.
    """
    # A variant that is gone has a network, whose name LiteRT's file does not tell.
    known = variant in params_file.section(params, "variants", dict[str, Any])
    quick = _litert(variant, params, runs) if known else None
    if quick:
        return quick
    file, remedy = places.model(variant), f"run `dvc repro train@{variant}`"
    told = described.read(file, remedy)
    names = labels.read(variant, evaluated=measured.evaluated(variant, runs))

    def load() -> Any:
        model = trained.load(variant)
        again = f"run `dvc repro evaluate@{variant}`"
        labels.expect(names, model.output_shape[-1], str(file), again)
        return model

    return Network(file, told.side, names, _keras(load, told, variant=variant, params=params))


def _keras(
    load: Callable[[], Any], told: described.Described, *, variant: str, params: Params
) -> Callable[[np.ndarray], np.ndarray]:
    limits = params_file.section(params, "runtime", runtime.Runtime)
    how = manner.read(params, variant, told.name)
    size = limits.inference_batch_size

    def ask(images: np.ndarray) -> np.ndarray:
        runtime.start(limits.cpu_isa)
        found, _ = trained.answers(load(), images, batch_size=size, variant=variant, manner=how)
        return found

    return ask


def _litert(variant: str, params: Params, runs: measured.Runs) -> Network | None:
    """The network of `variant` where evaluate made one for LiteRT that LiteRT can compute."""
    file = measured.litert(variant, runs)
    network = _opened(file, places.model(variant)) if file else None
    if not file or not network:
        return None
    names = labelled.read(file)
    labels.expect(names, network.outputs, str(file), litert.REMEDY)
    how = manner.read(params, variant, params_file.at(params, f"variants.{variant}.network"))
    size = params_file.section(params, "runtime", runtime.Runtime).inference_batch_size

    def ask(images: np.ndarray) -> np.ndarray:
        return network.answers(images, batch_size=size, manner=how)

    return Network(file, network.side, names, ask)


def _opened(file: Path, model: Path) -> litert.Network | None:
    """None where Keras can compute what LiteRT cannot."""
    try:
        return litert.Network(file)
    except (ValueError, RuntimeError) as error:
        if model.exists():
            return None
        reason = " ".join(str(error).split())
        raise PipelineError(
            f"{file}: expected a network that LiteRT can compute, found another ({reason}); get "
            f"Keras's, `dvc pull {model}`, or {litert.REMEDY}"
        ) from error
