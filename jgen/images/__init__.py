"""Images: pixels and floats, grids of images, and the fonts of their names."""
