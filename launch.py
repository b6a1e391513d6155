"""Trains, samples and evaluates the model of a config: python launch.py --help"""

from jgen.commands.main import console

if __name__ == '__main__':
  console()
