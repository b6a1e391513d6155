"""The files of a run: its folder, config, checkpoints, metrics and receipts."""
