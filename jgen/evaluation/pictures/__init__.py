"""Evaluators that draw pictures: reconstructions, traversals, interpolations, grids."""
