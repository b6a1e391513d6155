"""A run on disk: its folder, config, checkpoints, metrics and receipts."""
