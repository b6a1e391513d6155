"""Disentanglement: how well each latent represents one factor of variation, for images with known factors.

Five scores, a file each, are plain functions of
  codes float [N, Z], the posterior means of images, and
  factors int [N, F], the values 0, 1, ... of the factors of the images; each factor takes at least two values.
All follow the protocols of disentanglement_lib (Locatello et al. 2019, https://arxiv.org/abs/1811.12359), and each
returns its numbers in [0, 1], 1 is best, with a line `..._protocol` that describes the measurement.
"""

from jgen.evaluation.disentanglement.evaluator import Disentanglement

__all__ = ['Disentanglement']
