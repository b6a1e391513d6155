"""Evaluators whose result is a picture: reconstructions, traversals, interpolations, grids."""
