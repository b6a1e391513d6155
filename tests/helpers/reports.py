"""What docs/reports.md says that a run folder holds."""

from pathlib import Path
import re

from jgen.report.drawing import Curves, LatentScatter
from jgen.report.figures import FIGURES

PAGE = Path(__file__).parent.parent.parent / 'docs/reports.md'


def promised():
  """{config: [a row's files, in backticks and text between]}."""
  sections = re.split(r'^### (\w+)$', PAGE.read_text('utf-8').partition('# Departures')[0], flags=re.MULTILINE)[1:]
  return {name: re.findall(r'^\| [^`|]*\| (.*`.*) \|$', text, re.MULTILINE)
          for name, text in zip(sections[::2], sections[1::2], strict=True)}


def broken(files, config, metrics):
  """Whether a run of the config, whose steps have such metrics, would lack what a row promises."""
  present = [all(made(name, config, metrics) for name in re.findall('`(.*?)`', part)) for part in files.split(' or ')]
  return not any(present)


def missing(files, folder, study, config, metrics):
  """What a row promises of a run and of its study that neither the run folder nor that of the study holds.

  Samples of priors lie elsewhere; what evaluators draw that the config lacks is not asked for.
  """
  def exists(name):
    return any(study.glob(name.removeprefix('STUDY/')) if name.startswith('STUDY/') else folder.glob(name))
  alternatives = [[name for name in re.findall('`(.*?)`', part) if not name.startswith('priors/')]
                  for part in files.split(' or ')]
  wanted = [[name for name in names if made(name, config, metrics)] for names in alternatives]
  left = [[name for name in names if not exists(name)] for names in alternatives if names]
  if len(alternatives) == 1:
    return [name for name in wanted[0] if not exists(name)]
  return min(left, key=len) if any(wanted) else []


def made(name, config, metrics):
  """Whether a run of the config makes the file."""
  if name.startswith('STUDY/'):
    name = name.removeprefix('STUDY/figures/')
    return bool(config.study.variations) and (
        name == 'samples.png' or name.startswith('evaluation_') and made(f'evaluation/{name[11:]}', config, metrics)
        or made(f'figures/{name}', config, metrics))
  folder, _, file = name.partition('/')
  if folder == 'figures':
    row, = (row for row in FIGURES if row.file == file)
    return any(column in metrics or column.split('/')[0] in config.evaluators for column in columns(row))
  if folder == 'evaluation':
    drawn_by = {'best_and_worst_samples': 'critic_outputs'}   # a picture named otherwise than its evaluator
    picture = file.removesuffix('.png').split('_step_')[0].removesuffix('_*')
    return drawn_by.get(picture, picture) in config.evaluators
  return folder == 'samples' or folder == 'priors' and 'priors' in config


def columns(row):
  """Names of the numbers that a figure is drawn from."""
  if isinstance(row, Curves):
    return row.columns
  return ['tsne/x' if isinstance(row, LatentScatter) else f'{row.evaluator}/']
