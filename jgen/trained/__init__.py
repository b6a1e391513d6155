"""Use of a trained run: sampling, encoding and decoding, without the training data."""
