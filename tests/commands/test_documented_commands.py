"""Commands in README.md, docs/ and the configs: each key is known, each data set has its splits."""

from pathlib import Path
import re
import shlex

from helpers import published
import pytest

from jgen import data
from jgen.commands import main
from jgen.training.config import check

ROOT = Path(__file__).parent.parent.parent
TEXTS = [ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md'), *(ROOT / 'configs').glob('*.py')]


def commands():
  """Every command line of launch.py that names its config, or takes the usual one, with the file it stands in."""
  for path in TEXTS:
    text = re.sub(r'\\\n\s*', '', path.read_text(encoding='utf-8'))
    for found in re.finditer(r'^.*python launch\.py ?(.*)$', text, re.MULTILINE):
      arguments = shlex.split(found[1].partition('`')[0], comments=True)
      if '--workdir=runs/NAME' not in arguments and 'compare' not in found[1]:
        yield pytest.param(arguments, id=f'{path.name}: {" ".join(arguments)}')


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  folder = tmp_path_factory.mktemp('published')
  return {name: write(folder / name) for name, write in published.WRITERS.items()}


def test_every_command_on_a_run_has_the_flags_that_its_mode_reads():
  given = [main.parse(arguments) for each in commands() for arguments in each.values
           if main.mode_of(arguments) in main.OF_RUNS and '--help' not in arguments]
  assert len(given) > 5 and all(each.options for each in given)


@pytest.mark.parametrize('arguments', list(commands()))
def test_every_command_names_keys_and_splits_that_are(arguments, files):
  config = None if '--help' in arguments else main.parse(arguments).config
  if config is None:
    return
  if config.data.name == 'NAME' or config.data.label_file:
    return                              # the reader's own, or a list that is not here
  check(config)
  config.data.dir = str(files.get(config.data.name, ''))
  spec = data.describe(config.data)
  if config.data.test_splits:
    config.data.splits = config.data.test_splits
    data.describe(config.data)
  trains = not any(argument.startswith('--mode') for argument in arguments)
  assert not (trains and config.model.get('conditional')) or spec.num_classes


def test_each_page_that_tells_of_a_critic_is_found_by_the_word_discriminator():
  pages = {path.name: path.read_text('utf-8') for path in (ROOT / 'README.md', *(ROOT / 'docs').rglob('*.md'))}
  prose = {name: re.sub(r'```.*?```|`[^`]*`', '', text, flags=re.DOTALL) for name, text in pages.items()}
  telling = [name for name, text in prose.items() if re.search(r"\bcritic('s)?\b", text)]
  assert 'gan.md' in telling and [name for name in telling if 'discriminator' not in pages[name]] == []
