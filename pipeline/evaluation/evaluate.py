"""Stage evaluate@variant: a trained model on the test set, which it never saw."""

from pipeline import runtime
from pipeline.core import files, paths
from pipeline.core.params import lookup, read_params, read_section
from pipeline.core.splits import read_class_names, read_split
from pipeline.evaluation.config import Evaluate, Inference, Predict, read_inference_config
from pipeline.evaluation.gallery import draw_gallery
from pipeline.evaluation.inference import load_model, predict_logits
from pipeline.evaluation.metrics import Predictions, compute_metrics
from pipeline.evaluation.tables import class_table, prediction_table, to_csv
from pipeline.evaluation.tflite import save_tflite


def main(arguments: list[str]) -> None:
    """Evaluate the variant `arguments[0]`: metrics, predictions, gallery and .tflite file."""
    (variant,) = arguments
    params = read_params()
    settings = read_section(params, "evaluate", Evaluate)
    inference = read_section(params, "inference", Inference)
    threshold = read_section(params, "predict", Predict).rejection_threshold
    network, recipe = (lookup(params, f"variants.{variant}.{key}") for key in ("network", "recipe"))
    config = read_inference_config(params, network, recipe)
    class_names, (images, one_hot) = read_class_names(), read_split("test")
    runtime.start(inference.cpu_isa)
    model = load_model(variant, len(class_names))
    labels = one_hot.argmax(axis=1)
    logits, logits_no_tta = predict_logits(
        model, images, batch_size=inference.batch_size, config=config, variant=variant
    )
    predictions = Predictions(labels, logits, logits_no_tta, settings.calibration_bins, threshold)
    metrics = compute_metrics(predictions, model.count_params())
    table = prediction_table(labels, predictions.probabilities, class_names)
    by_class = class_table(predictions.confusion, class_names)
    save_tflite(paths.tflite(variant), model, class_names)
    draw_gallery(paths.misclassified(variant), variant, images, table, settings.misclassified)
    files.write_text(paths.predictions(variant), to_csv(table))
    files.write_text(paths.classes(variant), to_csv(by_class))
    files.write_json(paths.metrics(variant), metrics.model_dump())
    print(f"{variant}: test accuracy {metrics.accuracy:.4f}, test loss {metrics.loss:.4f}")
