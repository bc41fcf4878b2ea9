"""What stands in the graphs that TensorFlow draws."""

from collections.abc import Iterator
from typing import Any


def parts(graph: Any) -> Iterator[Any]:
    """The nodes of a GraphDef itself, then those of each function that it may call."""
    yield graph.node
    for function in graph.library.function:
        yield function.node_def
