"""Conversion between pixels and floats, grids of images, and fonts for their names."""
