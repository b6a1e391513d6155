"""How well each latent represents one factor of variation of the images, where the factors are known.

Five scores, a file each, are plain functions of
  codes float [N, Z], the posterior means of images, and
  factors int [N, F], the values 0, 1, ... of the factors they were drawn from; each takes two values at least.
All follow the protocols of disentanglement_lib (Locatello et al. 2019, https://arxiv.org/abs/1811.12359), and each
gives back its numbers in [0, 1], 1 for the best, with a line `..._protocol` that says how they were measured.
"""

from jgen.evaluation.disentanglement.evaluator import Disentanglement

__all__ = ['Disentanglement']
