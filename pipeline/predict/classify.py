"""Which class is in a photo. From Python, in the project's top folder:

from pipeline.predict import classify

answer = classify.photos(["photo.jpg"])  # by the best variant, or variant="final"
print(answer.variant, answer.predictions[0].top(3))  # best [('horse', 0.999), ...]
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.base import params_file
from pipeline.data import settings
from pipeline.data.settings import Framing
from pipeline.evaluate import scores
from pipeline.evaluate.settings import Predict
from pipeline.predict import answer, choice, image_files, measured, networks
from pipeline.predict.networks import Network
from pipeline.tools import lockfile


@dataclass(frozen=True)
class Asked:
    """A variant and how it is asked; `accuracy` is None when it was never evaluated."""

    variant: str
    accuracy: float | None
    network: Network
    framing: Framing
    unlikely: float

    def photos(self, names: Sequence[str]) -> answer.Answer:
        """Classify the image files `names`; `-` is standard input.

        Raises PipelineError when an image is missing or damaged, before TensorFlow is started, or
        when the network is damaged.
        """
        images = image_files.load(names, side=self.network.side, framing=self.framing)
        rows = zip(names, images, scores.softmax(self.network.ask(images)), strict=True)
        predictions = [answer.Prediction(*row, self.network.classes, self.unlikely) for row in rows]
        file = self.network.file.as_posix()
        return answer.Answer(self.variant, self.accuracy, file, predictions)


def photos(names: Sequence[str], *, variant: str | None = None) -> answer.Answer:
    """Classify the image files `names` by `variant`, or by the best of the models present.

    As `Asked.photos`; what `ready` raises, too.
    """
    return ready(variant).photos(names)


def ready(variant: str | None) -> Asked:
    """`variant`, or the best of the models present, to be asked.

    Where none is, as in a fresh clone, the one in reports/index.html. The work is done in batches
    of `runtime.inference_batch_size`. Raises PipelineError when a model, its metrics or the names
    of its classes are missing or damaged.
    """
    params = params_file.read()
    framing = settings.read(params).framing
    unlikely = params_file.section(params, "predict", Predict).unlikely
    known = list(params_file.section(params, "variants", dict[str, Any]))
    page, runs = choice.in_page(variant, known), lockfile.read_lock()
    if page:
        network = networks.of_page(page, params)
        return Asked(page.variant, page.accuracy, network, framing, unlikely)
    chosen = choice.choose(variant, known=known, runs=runs)
    accuracy = measured.test_accuracy(chosen, runs)
    network = networks.of_variant(chosen, params, runs)
    return Asked(chosen, accuracy, network, framing, unlikely)
