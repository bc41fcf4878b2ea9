"""Winograd's convolution: a third to a fifth of the multiplications, in the same float32.

Tiles of an image and a kernel are each evaluated, as polynomials are, at a few points; there a
convolution is a product, point by point, so that it becomes one matrix product a point; and the
outputs are interpolated from these. Sources: Lavin and Gray, arXiv 1509.09308; the points follow
Barabasz et al., arXiv 1803.10986.
"""

import functools
from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf
from keras import layers

from pipeline.train.micro_batches import shared

TAPS = 3  # pixels a side of a kernel
# Pixels a side of a tile, at most. Eight need the fewest multiplications for the sides that occur
# (15, 13, 11, 7), and err by less than 1e-4 of the values, where bfloat16 errs by some 4e-3.
LARGEST = 8
# Where polynomials are evaluated, the first m + 1 for tiles of m pixels, beside infinity: small
# ratios, both signs and inverses, whose powers differ least in size.
_POINTS = tuple(map(Fraction, ("0", "1", "-1", "2", "-2", "1/2", "-1/2", "-1/4", "4")))


class Convolution(layers.Conv2D):
    """Keras's 3x3 convolution with padding and without bias, on square images.

    In other numbers than float32, of which the sums over points would leave little, it is Keras's.
    """

    def call(self, inputs: Any) -> Any:
        """`inputs` (N, S, S, C) convolved, (N, S, S, filters)."""
        if self.compute_dtype != "float32":
            return super().call(inputs)

        def convolved(images: Any, kernel: Any) -> tuple[Any, Any]:
            # Kept for the way back, so once for all micro-batches: of eight, 0.2 GiB of `best`.
            kernels = shared(self, lambda: _at_points(kernel, tf.shape(images)[1]))
            outputs, seen = _forwards(images, kernels)
            return outputs, lambda upstream: _backwards(upstream, seen, kernels)

        return tf.custom_gradient(convolved)(inputs, tf.convert_to_tensor(self.kernel))


def _at_points(kernel: Any, side: Any) -> Any:
    """`kernel` (3, 3, C, F) at P x P points, (P * P, C, F), for images of `side` pixels a side."""
    taps = tf.matmul(_plan(side).taps, tf.reshape(kernel, (TAPS**2, -1)))
    return tf.reshape(taps, (-1, *kernel.shape[2:]))


def _once(function: Callable[..., Any]) -> Callable[..., Any]:
    """A graph of its own that stands once in that of a training, called for each micro-batch.

    With a copy for each, drawing the graph of `sprint` would take 15 s longer.
    """
    drawn: Callable[..., Any] = tf.function(
        function, autograph=False, experimental_attributes={"_noinline": True}
    )
    return drawn


@_once
def _forwards(images: Any, kernels: Any) -> tuple[Any, Any]:
    """The outputs of `images` (N, S, S, C), and the images at the points."""
    plan = _plan(tf.shape(images)[1])
    seen = _evaluated(images, plan.reads, plan.tiles)
    count = tf.shape(images)[0]
    return _interpolated(tf.matmul(seen, kernels), plan.writes, plan.tiles, count), seen


@_once
def _backwards(upstream: Any, seen: Any, kernels: Any) -> tuple[Any, Any]:
    """The gradients towards the images and towards the kernel."""
    plan = _plan(tf.shape(upstream)[1])
    spread = _evaluated(upstream, plan.writes, plan.tiles)
    back = tf.matmul(spread, kernels, transpose_b=True)
    images = _interpolated(back, plan.reads, plan.tiles, tf.shape(upstream)[0])
    towards = tf.reshape(tf.matmul(seen, spread, transpose_a=True), (tf.shape(plan.taps)[0], -1))
    taps = tf.matmul(plan.taps, towards, transpose_a=True)
    return images, tf.reshape(taps, (TAPS, TAPS, *kernels.shape[1:]))


def _evaluated(images: Any, matrix: Any, tiles: Any) -> Any:
    """Tiles of `images` (N, S, S, C) at P x P points, (P * P, tiles * tiles * N, C).

    `matrix` (P * tiles, S) evaluates the tiles of a row of pixels.
    """
    count, side, channels = tf.shape(images)[0], tf.shape(images)[1], images.shape[3]
    # With the images inside, what goes down and across is a matrix product over long rows.
    pixels = tf.reshape(tf.transpose(images, (1, 2, 0, 3)), (side, -1))
    rows = tf.reshape(tf.matmul(matrix, pixels), (-1, tiles, side, count * channels))
    # Tiles behind, so that the values of a point end side by side.
    rows = tf.reshape(tf.transpose(rows, (0, 2, 1, 3)), (-1, side, tiles * count * channels))
    points = tf.shape(rows)[0]
    return tf.reshape(tf.matmul(matrix, rows), (points * points, tiles * tiles * count, channels))


def _interpolated(values: Any, matrix: Any, tiles: Any, count: Any) -> Any:
    """The transpose of `_evaluated`: images (`count`, S, S, C) of `values` at points."""
    side, channels = tf.shape(matrix)[1], values.shape[2]
    points = tf.shape(matrix)[0] // tiles
    columns = tf.reshape(values, (points, points * tiles, tiles * count * channels))
    columns = tf.matmul(matrix, columns, transpose_a=True)
    columns = tf.reshape(columns, (points, side, tiles, count * channels))
    columns = tf.reshape(tf.transpose(columns, (0, 2, 1, 3)), (points * tiles, -1))
    pixels = tf.matmul(matrix, columns, transpose_a=True)
    return tf.transpose(tf.reshape(pixels, (side, side, count, channels)), (2, 0, 1, 3))


class _Plan(NamedTuple):
    """How images of S pixels a side are cut, and by which matrices they are worked on."""

    tiles: Any  # a side
    reads: Any  # (P * tiles, S), each tile with a pixel beyond either end
    writes: Any  # (P * tiles, S), its transpose puts tiles together
    taps: Any  # (P * P, 9)


def _plan(side: Any) -> _Plan:
    """For images of `side` pixels a side, a tensor, as sides may change while it trains."""
    tiles = (side + LARGEST - 1) // LARGEST
    size = (side + tiles - 1) // tiles
    points = size + TAPS - 1
    reads, writes, taps = (tf.gather(table, size)[:points] for table in _tables())
    pixel = tf.range(side) - size * tf.range(tiles)[:, None]  # in each tile
    kernels = taps[:, None, :, None] * taps[None, :, None, :]

    def placed(table: Any, first: int) -> Any:
        # The columns on either side of a table are zeros, for pixels of other tiles.
        found = tf.clip_by_value(pixel + first, 0, tf.shape(table)[1] - 1)
        return tf.reshape(tf.gather(table, found, axis=1), (points * tiles, side))

    return _Plan(
        tiles, placed(reads, 2), placed(writes, 1), tf.reshape(kernels, (points**2, TAPS**2))
    )


@functools.cache
def _tables() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """What _matrices gives by the size of a tile, float32, zeros around where a size has less."""
    most = LARGEST + TAPS - 1
    reads, writes, taps = (
        np.zeros((LARGEST + 1, most, columns), np.float32) for columns in (most + 2, most, TAPS)
    )
    for size in range(1, LARGEST + 1):
        points = size + TAPS - 1
        read, write, tap = _matrices(size)
        reads[size, :points, 1 : points + 1] = read
        writes[size, :points, 1 : size + 1] = write
        taps[size, :points] = tap
    return reads, writes, taps


def _matrices(size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """B^T (P, P), A (P, `size`) and G (P, 3) of Lavin and Gray for tiles of `size`, float64.

    P is `size` + 2. By fractions, as a machine's linear algebra has its own last bits; rows are
    scaled by powers of two, so that pixels and gradients keep their size.
    """
    points = size + TAPS - 1
    reads = np.array(_inverse(_powers(points, points)), dtype=np.float64).T
    writes, taps = (np.array(_powers(points, n), dtype=np.float64) for n in (size, TAPS))
    for matrix in (reads, writes):
        scales = np.ldexp(1.0, np.frexp(np.abs(matrix).max(axis=1, keepdims=True))[1])
        matrix /= scales
        taps *= scales
    return reads, writes, taps


def _powers(points: int, terms: int) -> list[list[Fraction]]:
    """The first `terms` powers of each point; infinity, the last, sees the highest alone."""
    finite = [[point**power for power in range(terms)] for point in _POINTS[: points - 1]]
    return [*finite, [Fraction(power == terms - 1) for power in range(terms)]]


def _inverse(matrix: list[list[Fraction]]) -> list[list[Fraction]]:
    """By Gauss and Jordan, exactly."""
    size = len(matrix)
    rows = [[*row, *(Fraction(i == k) for k in range(size))] for i, row in enumerate(matrix)]
    for column in range(size):
        pivot = next(row for row in range(column, size) if rows[row][column])
        rows[column], rows[pivot] = rows[pivot], rows[column]
        rows[column] = [value / rows[column][column] for value in rows[column]]
        for other in range(size):
            if other != column:
                factor = rows[other][column]
                pairs = zip(rows[other], rows[column], strict=True)
                rows[other] = [value - factor * own for value, own in pairs]
    return [row[size:] for row in rows]
