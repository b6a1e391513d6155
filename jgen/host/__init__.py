"""The process and its machine: terminal, signals, locks, start of JAX, multi-process runs."""
