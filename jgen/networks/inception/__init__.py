"""The Inception-v3 of the FID, and the readers of its published weights."""
