"""Stage evaluate@variant: a trained model on the test set, which it never saw."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from pipeline import runtime
from pipeline.core import files, paths
from pipeline.core.params import lookup, read_params, read_section
from pipeline.core.splits import read_class_names, read_split
from pipeline.evaluation.config import Inference, Predict, read_inference_config
from pipeline.evaluation.inference import calibrate, load_model, predict_logits
from pipeline.evaluation.metrics import CSV, Predictions, class_scores, compute_metrics
from pipeline.evaluation.tflite import save_tflite


def main(arguments: list[str]) -> None:
    """Evaluate the variant `arguments[0]`; where its temperature is null, first fit that."""
    (variant,) = arguments
    params = read_params()
    inference = read_section(params, "inference", Inference)
    config = read_inference_config(params, variant)
    class_names, (images, one_hot) = read_class_names(), read_split("test")
    runtime.start(inference.cpu_isa)
    model = load_model(variant, len(class_names))
    predict = partial(predict_logits, model, batch_size=inference.batch_size)
    if lookup(params, f"temperatures.{lookup(params, f'variants.{variant}.recipe')}") is None:
        rejection_rate = read_section(params, "predict", Predict).rejection_rate
        config = calibrate(predict, read_split("validation"), config, rejection_rate)
    labels, logits = one_hot.argmax(axis=1), predict(images, config=config)
    predictions = Predictions(labels, *logits, config.rejection_threshold, config.temperature)
    metrics = compute_metrics(predictions, model.count_params())
    by_class = pd.DataFrame({"class": class_names, **class_scores(predictions.confusion)})
    table = prediction_table(labels, predictions.probabilities, class_names)
    save_tflite(paths.tflite(variant), model, class_names, config, allow_custom_ops=True)
    files.write_text(paths.predictions(variant), table.to_csv(**CSV))
    files.write_text(paths.classes(variant), by_class.to_csv(**CSV))
    files.write_json(paths.metrics(variant), metrics.model_dump())
    print(f"{variant}: test accuracy {metrics.accuracy:.4f}, test loss {metrics.loss:.4f}")


def prediction_table(
    labels: np.ndarray, probabilities: np.ndarray, class_names: Sequence[str]
) -> pd.DataFrame:
    """A row per image: its true class, the most probable one, and the probability of the latter.

    `labels` are true class indices (N,), `probabilities` float (N, K).
    """
    names, predicted = np.array(class_names), probabilities.argmax(axis=1)
    columns = {"actual": names[labels], "predicted": names[predicted]}
    return pd.DataFrame({**columns, "confidence": probabilities.max(axis=1)})
