"""The Inception-v3 of the FID, and readers for its published weights."""
