"""Random changes of training images, and of what a critic sees."""
