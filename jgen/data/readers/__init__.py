"""One file per data set: the published files as uint8 images."""
