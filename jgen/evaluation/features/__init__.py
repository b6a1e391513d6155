"""Scores of feature vectors: Frechet and kernel distance, precision and recall, Inception score."""
