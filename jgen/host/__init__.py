"""The process and the machine it runs on: terminal, signals, locks, JAX's start, several processes."""
