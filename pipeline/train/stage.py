"""Train one variant: `python -m pipeline train VARIANT` writes its model and its history.

A training that was killed goes on after its last finished epoch when it is started again.
"""

import time

import numpy as np

from pipeline import runtime
from pipeline.base import files, params_file
from pipeline.base.errors import PipelineError
from pipeline.data import splits
from pipeline.report import history, places
from pipeline.train import arithmetic, checkpoint, recipe, variant

# They import TensorFlow, which must be started first.
fit = runtime.Lazy("pipeline.train.fit")
tf = runtime.Lazy("tensorflow")
model_file = runtime.Lazy("pipeline.train.model_file")


def main(arguments: list[str]) -> float:
    """Train the variant named in `arguments`; writes its model and its history.

    Returns the seconds that killed runs of this training had put into it before this one.
    """
    if len(arguments) != 1:
        raise PipelineError("usage: python -m pipeline train VARIANT")
    started = time.monotonic()
    (name,) = arguments
    params = params_file.read()
    what = variant.read(params, name)
    how = recipe.read(params, what.recipe)
    numbers = arithmetic.read(params, what.arithmetic)
    training, held_out = _data(how)
    runtime.start(numbers.cpu_isa)

    unfinished = checkpoint.path(name)
    with checkpoint.claimed(unfinished):
        for output in (places.model(name), places.history(name)):
            files.expect_writable(output)  # half an hour later would be a bad time to learn it
        key = checkpoint.identity(
            (what, how, numbers), (*training, *(held_out or ())), checkpoint.declared(what.network)
        )
        # TensorFlow computes on copies; with ours kept, 50,000 images would take 0.6 GiB twice.
        training = splits.Split(*map(tf.constant, training))
        saved = checkpoint.load(unfinished, key)
        earlier = float(saved["seconds"]) if saved is not None else 0.0

        def save(state: checkpoint.State) -> None:
            seconds = np.array(earlier + time.monotonic() - started)
            checkpoint.save(unfinished, key, {**state, "seconds": seconds})

        model, figures = fit.fit(
            name, what, how, numbers.precision, training, held_out, saved, save
        )
        model_file.save(model, places.model(name))
        files.write_text(places.history(name), history.table(figures))
        unfinished.unlink(missing_ok=True)
    return earlier


def _data(how: recipe.Recipe) -> tuple[splits.Split, splits.Split | None]:
    """What is trained on, and what is held out, if anything, as the recipe says."""
    training = splits.read("train")
    validation = splits.read("validation", like=training)
    if how.train_on == "train":
        return training, validation
    images, labels = map(np.concatenate, zip(training, validation, strict=True))
    return splits.Split(images, labels), None
