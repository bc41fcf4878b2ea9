"""Winograd's convolution: a third to a fifth of the multiplications, in the same float32.

Image tiles and kernels are evaluated as polynomials at a few points, where a convolution is an
elementwise product, so that it becomes one matrix product per point; the outputs are interpolated
from these. Sources: Lavin and Gray, arXiv 1509.09308; the points follow
Barabasz et al., arXiv 1803.10986.
"""

import functools
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from keras import layers

from pipeline.training.gradient_accumulation import cached

TAPS = 3  # pixels a side of a kernel
# Pixels a side of a tile, at most. Eight need the fewest multiplications for the sides that occur
# (15, 13, 11, 7), and err by less than 1e-4 of the values, where bfloat16 errs by some 4e-3.
MAX_TILE = 8
# Evaluation points, the first m + 1 for tiles of m pixels, beside infinity: small ratios of both
# signs and their inverses, whose powers differ least in size.
_POINTS = tuple(map(Fraction, ("0", "1", "-1", "2", "-2", "1/2", "-1/2", "-1/4", "4")))


class Convolution(layers.Conv2D):
    """Keras's 3x3 convolution with padding and without bias, on square images.

    Falls back to Keras outside float32: the transform loses too much precision.
    """

    def call(self, inputs: Any) -> Any:
        """`inputs` (N, S, S, C) convolved, (N, S, S, filters)."""
        if self.compute_dtype != "float32":
            return super().call(inputs)

        def convolved(images: Any, kernel: Any) -> tuple[Any, Any]:
            # Cached for the backward pass, once for all micro-batches: 0.2 GiB less in `best`.
            kernels = cached(self, lambda: _evaluate_kernel(kernel, tf.shape(images)[1]))
            outputs, evaluated = _forward(images, kernels)
            return outputs, lambda upstream: _backward(upstream, evaluated, kernels)

        return tf.custom_gradient(convolved)(inputs, tf.convert_to_tensor(self.kernel))


def _evaluate_kernel(kernel: Any, side: Any) -> Any:
    """`kernel` (3, 3, C, F) at P x P points, (P * P, C, F), for images of `side` pixels a side."""
    taps = tf.matmul(_plan(side).taps, tf.reshape(kernel, (TAPS**2, -1)))
    return tf.reshape(taps, (-1, *kernel.shape[2:]))


def _traced_once(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` as a subgraph that is traced once and called for each micro-batch.

    Inlined into each, tracing the graph of `sprint` would take 15 s longer.
    """
    traced: Callable[..., Any] = tf.function(
        function, autograph=False, experimental_attributes={"_noinline": True}
    )
    return traced


@_traced_once
def _forward(images: Any, kernels: Any) -> tuple[Any, Any]:
    """The outputs of `images` (N, S, S, C), and the images at the points."""
    plan = _plan(tf.shape(images)[1])
    evaluated = _evaluate(images, plan.inputs, plan.tiles)
    count = tf.shape(images)[0]
    return _interpolate(tf.matmul(evaluated, kernels), plan.outputs, plan.tiles, count), evaluated


@_traced_once
def _backward(upstream: Any, evaluated: Any, kernels: Any) -> tuple[Any, Any]:
    """The gradients with respect to the images and to the kernel."""
    plan = _plan(tf.shape(upstream)[1])
    gradient = _evaluate(upstream, plan.outputs, plan.tiles)
    back = tf.matmul(gradient, kernels, transpose_b=True)
    images = _interpolate(back, plan.inputs, plan.tiles, tf.shape(upstream)[0])
    products = tf.matmul(evaluated, gradient, transpose_a=True)
    taps = tf.matmul(
        plan.taps, tf.reshape(products, (tf.shape(plan.taps)[0], -1)), transpose_a=True
    )
    return images, tf.reshape(taps, (TAPS, TAPS, *kernels.shape[1:]))


def _evaluate(images: Any, matrix: Any, tiles: Any) -> Any:
    """Tiles of `images` (N, S, S, C) at P x P points, (P * P, tiles * tiles * N, C).

    `matrix` (P * tiles, S) evaluates the tiles of a row of pixels.
    """
    count, side, channels = tf.shape(images)[0], tf.shape(images)[1], images.shape[3]
    # Batch axis innermost: the transforms of both axes are matrix products over long rows.
    pixels = tf.reshape(tf.transpose(images, (1, 2, 0, 3)), (side, -1))
    rows = tf.reshape(tf.matmul(matrix, pixels), (-1, tiles, side, count * channels))
    # Tiles moved inwards, so that the values of a point end contiguous.
    rows = tf.reshape(tf.transpose(rows, (0, 2, 1, 3)), (-1, side, tiles * count * channels))
    points = tf.shape(rows)[0]
    return tf.reshape(tf.matmul(matrix, rows), (points * points, tiles * tiles * count, channels))


def _interpolate(values: Any, matrix: Any, tiles: Any, count: Any) -> Any:
    """The transpose of `_evaluate`: images (`count`, S, S, C) of `values` at points."""
    side, channels = tf.shape(matrix)[1], values.shape[2]
    points = tf.shape(matrix)[0] // tiles
    columns = tf.reshape(values, (points, points * tiles, tiles * count * channels))
    columns = tf.matmul(matrix, columns, transpose_a=True)
    columns = tf.reshape(columns, (points, side, tiles, count * channels))
    columns = tf.reshape(tf.transpose(columns, (0, 2, 1, 3)), (points * tiles, -1))
    pixels = tf.matmul(matrix, columns, transpose_a=True)
    return tf.transpose(tf.reshape(pixels, (side, side, count, channels)), (2, 0, 1, 3))


class _Plan(NamedTuple):
    """The tiling of images of S pixels a side, and the transform matrices."""

    tiles: Any  # per side
    inputs: Any  # (P * tiles, S), tiles that overlap by a pixel on either end
    outputs: Any  # (P * tiles, S), its transpose assembles the tiles
    taps: Any  # (P * P, 9)


def _plan(side: Any) -> _Plan:
    """The plan for images of `side` pixels a side, a tensor: progressive resizing changes it."""
    tiles = (side + MAX_TILE - 1) // MAX_TILE
    size = (side + tiles - 1) // tiles
    points = size + TAPS - 1
    inputs, outputs, taps = (tf.gather(table, size)[:points] for table in _tables())
    pixel = tf.range(side) - size * tf.range(tiles)[:, None]  # position in each tile
    kernels = taps[:, None, :, None] * taps[None, :, None, :]

    def place(table: Any, first: int) -> Any:
        # The outer columns of a table are zeros, for pixels of other tiles.
        column = tf.clip_by_value(pixel + first, 0, tf.shape(table)[1] - 1)
        return tf.reshape(tf.gather(table, column, axis=1), (points * tiles, side))

    return _Plan(
        tiles, place(inputs, 2), place(outputs, 1), tf.reshape(kernels, (points**2, TAPS**2))
    )


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The matrices of _transform_matrices by tile size, float32, zero-padded to one shape."""
    points_max = MAX_TILE + TAPS - 1
    inputs, outputs, taps = (
        np.zeros((MAX_TILE + 1, points_max, columns), np.float32)
        for columns in (points_max + 2, points_max, TAPS)
    )
    for size in range(1, MAX_TILE + 1):
        points = size + TAPS - 1
        input_, output, tap = _transform_matrices(size)
        inputs[size, :points, 1 : points + 1] = input_
        outputs[size, :points, 1 : size + 1] = output
        taps[size, :points] = tap
    return inputs, outputs, taps


def _transform_matrices(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """B^T (P, P), A (P, `size`) and G (P, 3) of Lavin and Gray for tiles of `size`, float64.

    P is `size` + 2. Exact fractions, as the last bits of linear algebra depend on the machine; rows
    are scaled by powers of two, so that pixels and gradients keep their magnitude.
    """
    points = size + TAPS - 1
    inputs = _interpolation(points).astype(np.float64)
    outputs, taps = (_powers(points, terms).astype(np.float64) for terms in (size, TAPS))
    for matrix in (inputs, outputs):
        scales = np.ldexp(1.0, np.frexp(np.abs(matrix).max(axis=1, keepdims=True))[1])
        matrix /= scales
        taps *= scales
    return inputs, outputs, taps


def _powers(points: int, terms: int) -> np.ndarray:
    """The first `terms` powers of each point; infinity, the last, has the highest alone."""
    finite = [[point**power for power in range(terms)] for point in _POINTS[: points - 1]]
    return np.array([*finite, [Fraction(power == terms - 1) for power in range(terms)]])


def _interpolation(points: int) -> np.ndarray:
    """The inverse of `_powers` (`points`, `points`), transposed.

    A polynomial is the sum of its values at the points times their Lagrange polynomials, and of its
    highest coefficient times the product of all x - point.
    """
    finite = np.array(_POINTS[: points - 1])
    rows = [
        [*(np.poly(others) / np.prod(point - others))[::-1], Fraction(0)]
        for point in finite
        for others in [finite[finite != point]]
    ]
    return np.array([*rows, np.poly(finite)[::-1]])
