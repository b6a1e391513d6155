"""--mode=train: trains a config in a run folder and prints a final summary."""

from jgen.training import runner

run = runner.run
