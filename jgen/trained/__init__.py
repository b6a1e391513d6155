"""A trained run for its user: images, labels, latents and codes in and out, without the training data."""
