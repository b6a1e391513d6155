"""One file per --mode: each has `run`, which launch.py calls."""
