"""Trains, draws and measures what a config describes: python launch.py --help"""

from jgen.commands.main import console

if __name__ == '__main__':
  console()
