"""Modules that import TensorFlow, on first use: `tensorflow_started` has to set it up before.

Not for a test module's own namespace, whose values pytest asks for attributes.
"""

from pipeline.runtime import Lazy

keras = Lazy("keras")
tf = Lazy("tensorflow")
fit = Lazy("pipeline.training.fit")
gradient_accumulation = Lazy("pipeline.training.gradient_accumulation")
input_pipeline = Lazy("pipeline.training.input_pipeline")
keras_file = Lazy("pipeline.training.keras_file")
layers = Lazy("pipeline.training.layers")
optimizer = Lazy("pipeline.training.optimizer")
winograd = Lazy("pipeline.training.winograd")
