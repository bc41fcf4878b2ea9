"""The temperature of a recipe: `python benchmarks/calibrate.py VARIANT`.

Trains the variant on the training images, asks it about those of validation, and prints what to
write into `temperatures` of params.yaml: by which temperature the probabilities predict best. Then,
how the settings by which predict and evaluate ask would do on these images. A training of all
images cannot be asked about any that it has not seen, but is of the same kind.
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import held_out
import numpy as np
import pandas as pd
from scipy import optimize

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline.base import files, params_file
from pipeline.evaluate import manner, scores, trained
from pipeline.evaluate.manner import Manner
from pipeline.evaluate.views import Views

FOLDER = Path("reports/bench/calibration")
BOUNDS = (0.05, 20.0)  # of temperatures tried; 1 changes nothing
SURE = (0.8, 0.85, 0.9, 0.95, 0.98, 1.0)
UNLIKELY = (0.3, 0.4, 0.5, 0.6)


class Held(NamedTuple):
    """What a network gives for held-out images before the softmax, float64 (N, K), of which `views`
    shows `whole` them in all its views; `labels` are the true classes (N,)."""

    labels: np.ndarray
    alone: np.ndarray
    whole: np.ndarray
    views: Views

    def asked(self, sure: float, temperature: float) -> tuple[np.ndarray, float]:
        """What it says where one view is enough from the probability `sure` on, divided by the
        temperature, and for which share of the images that is."""
        first = scores.softmax(self.alone / temperature).max(axis=1)
        enough = first >= sure if self.views.several else np.ones(len(first), bool)
        chosen = np.where(enough[:, None], self.alone, self.whole)
        return chosen / temperature, float(enough.mean())


def fitted(held: Held, sure: float) -> float:
    """The temperature of the lowest cross-entropy: Guo et al., 2017, section 4.2."""

    def loss(logarithm: float) -> float:
        logits, _ = held.asked(sure, np.exp(logarithm))
        return scores.cross_entropy(held.labels, logits)

    # Bounded to the logarithms, in which a factor counts as much up as down.
    found = optimize.minimize_scalar(loss, bounds=tuple(np.log(BOUNDS)), method="bounded")
    return float(np.exp(found.x))


def table(held: Held, bins: int) -> pd.DataFrame:
    """How each setting of `sure`, with its own temperature, does; looks are views an image."""
    rows = []
    looks = (2 if held.views.mirrored else 1) * (3 if held.views.shift else 1)
    for sure in SURE:
        temperature = fitted(held, sure)
        logits, enough = held.asked(sure, temperature)
        said = scores.softmax(logits)
        before = scores.softmax(logits * temperature)
        rows.append(
            {
                "sure": sure,
                "temperature": round(temperature, 3),
                "looks": round(enough + (1 - enough) * looks, 3),
                "accuracy": scores.accuracy(held.labels, logits),
                "calibration error": round(scores.calibration_error(held.labels, said, bins), 4),
                "at temperature 1": round(scores.calibration_error(held.labels, before, bins), 4),
                **{
                    f"below {low}": round(float((said.max(axis=1) < low).mean()), 4)
                    for low in UNLIKELY
                },
            }
        )
    return pd.DataFrame(rows)


def ask(params: Mapping[str, Any], name: str) -> Held:
    """Train variant `name` and ask it about the held-out images."""
    found = held_out.train(params, name)
    from pipeline.evaluate import portable

    model = portable.portable(found.model)
    views = manner.read(params, name, model.name).views
    whole, alone = trained.answers(
        model,
        found.images,
        batch_size=params["runtime"]["inference_batch_size"],
        variant=name,
        manner=Manner(views.model_copy(update={"sure": 1.0}), 1.0),
    )
    return Held(found.labels, alone, whole, views)


def main(name: str) -> None:
    params = params_file.read()
    held = ask(params, name)
    text = table(held, params["evaluate"]["calibration_bins"]).to_markdown(index=False)
    files.write_text(FOLDER / f"{name}.md", text)
    recipe = params["variants"][name]["recipe"]
    print(f"{text}\n\ntemperatures: {{{recipe}: {fitted(held, held.views.sure):.3f}}}")


if __name__ == "__main__":
    main(sys.argv[1])
