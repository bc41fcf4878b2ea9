"""Stage evaluate@variant: a trained model on the test set, which it never saw."""

from functools import partial

import numpy as np
import pandas as pd

from pipeline import runtime
from pipeline.core import files, paths
from pipeline.core.params import lookup, read_params, read_section
from pipeline.core.splits import read_class_names, read_split
from pipeline.evaluation.config import Inference, Predict, read_inference_config
from pipeline.evaluation.inference import calibrate, head_of, load_model, predict_logits
from pipeline.evaluation.metrics import CSV, Predictions, class_scores, compute_metrics
from pipeline.evaluation.tflite import save_tflite


def main(arguments: list[str]) -> None:
    """Evaluate the variant `arguments[0]`; where its temperature is null, first fit that."""
    (variant,) = arguments
    params = read_params()
    inference = read_section(params, "inference", Inference)
    config = read_inference_config(params, variant)
    data = lookup(params, f"variants.{variant}.data")
    class_names, (images, one_hot) = read_class_names(), read_split("test", data=data)
    runtime.start(inference.cpu_isa)
    model = load_model(variant, len(class_names))
    tested = model if data == "processed" else head_of(model, images.shape[1:])
    predict = partial(predict_logits, tested, batch_size=inference.batch_size)
    if lookup(params, f"temperatures.{lookup(params, f'variants.{variant}.recipe')}") is None:
        rejection_rate = read_section(params, "predict", Predict).rejection_rate
        config = calibrate(predict, read_split("validation", data=data), config, rejection_rate)
    labels, logits = one_hot.argmax(axis=1), predict(images, config=config)
    predictions = Predictions(labels, *logits, config.rejection_threshold, config.temperature)
    metrics = compute_metrics(predictions, model.count_params())
    by_class = pd.DataFrame({"class": class_names, **class_scores(predictions.confusion)})
    names, predicted = np.array(class_names), predictions.probabilities.argmax(axis=1)
    table = pd.DataFrame({"actual": names[labels], "predicted": names[predicted]})
    table["confidence"] = predictions.probabilities.max(axis=1)
    save_tflite(paths.tflite(variant), model, class_names, config, allow_custom_ops=True)
    files.write_text(paths.predictions(variant), table.to_csv(**CSV))
    files.write_text(paths.classes(variant), by_class.to_csv(**CSV))
    files.write_json(paths.metrics(variant), metrics.model_dump())
    print(f"{variant}: test accuracy {metrics.accuracy:.4f}, test loss {metrics.loss:.4f}")
