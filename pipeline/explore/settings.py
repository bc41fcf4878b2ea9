"""The settings of explore."""

from pipeline.base.params_file import Section, Seed


class Explore(Section):
    """`seed` decides which training images the sample figure shows."""

    seed: Seed
