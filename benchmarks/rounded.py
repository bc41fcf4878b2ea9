"""What rounding the page's network to 16 bits changes: `python benchmarks/rounded.py`.

Needs the trained model of page.variant, the test set and reports/index.html.
"""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent.parent))
from pipeline import runtime
from pipeline.base import params_file
from pipeline.data import splits
from pipeline.evaluate import manner, scores, trained
from pipeline.predict import carried


def main() -> None:
    """Print how many answers differ, and by how much the probabilities do at most."""
    params = params_file.read()
    settings = params_file.section(params, "runtime", runtime.Runtime)
    found = carried.read()
    if found is None:
        raise SystemExit("reports/index.html: expected a page with a network; run `dvc repro page`")
    images, one_hot = splits.read("test")
    labels = one_hot.argmax(axis=1)
    runtime.start(settings.cpu_isa)
    said = []
    for model in (trained.load(found.variant), carried.model(found)):
        logits, _ = trained.answers(
            model,
            images,
            batch_size=settings.inference_batch_size,
            variant=found.variant,
            manner=manner.read(params, found.variant, model.name),
        )
        said.append(scores.softmax(logits))
    before, after = said
    differ = (before.argmax(axis=1) != after.argmax(axis=1)).sum()
    right = [scores.accuracy(labels, answers) for answers in said]
    print(
        f"{found.variant}: {differ} of {len(images):,} answers differ, accuracy {right[0]:.4f} "
        f"before and {right[1]:.4f} after, probabilities by {np.abs(before - after).max():.4f} at "
        "most"
    )


if __name__ == "__main__":
    main()
