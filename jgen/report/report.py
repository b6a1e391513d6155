"""The report of a run: one page, written from the files of its folder alone."""

import math
from pathlib import Path

from jgen.host import terminal
from jgen.host.progress import epochs_text
from jgen.networks.listing import HEADER
from jgen.report import captions, comparison
from jgen.report.drawing import Curves, label, number_text
from jgen.report.figures import FIGURES, draw_figures
from jgen.report.page import Numbering, config_text, write_page
from jgen.report.stored import Stored
from jgen.run import scores as scores_lib
from jgen.run.config import flatten
from jgen.run.environment import UNKNOWN
from jgen.run.receipt import MEASURE

FILE = 'report.html'
MAX_LAYERS = 60           # rows of a network's table; all further parameters are summed in a last row


def write_report(folder: str | Path) -> Path:
  """Writes report.html of a run folder, and its figures as PNG and PDF; returns the page's path.

  Raises:
    UserError: the folder holds no run, or one of its files is damaged; the error names it.
  """
  stored = Stored.read(folder)
  if not stored.record.series:
    terminal.warn(f'{stored.folder} has logged no step yet: its report shows the config alone')
  drawn = draw_figures(stored.folder, ('png', 'pdf'))
  numbers = Numbering()
  return write_page(stored.folder / FILE, 'report.html', **_context(stored, {path.name for path in drawn}, numbers))


def _context(stored, drawn, numbers):
  """The values of the template, numbered in its order."""
  context = {
      'run': {'name': stored.name, 'abstract': _abstract(stored)},
      'what': numbers.table('The run', 'From the files of the run folder.', _facts(stored)),
      'changes': _changes(stored, numbers),
      'scores': _scores(stored, numbers),
      'samples': _samples(stored, drawn, numbers),
      'pictures': _pictures(stored, numbers),
      'curves': _curves(stored, drawn, numbers),
      'priors': _priors(stored, numbers), 'prior_scores': _prior_scores(stored, numbers),
      'doctor': _doctor(stored),
      'totals': _totals(stored, numbers), 'networks': _networks(stored, numbers),
      'receipts': _receipts(stored, numbers), 'reproduce': _reproduce(stored),
      'versions': numbers.table('Software', 'Versions at the last start.', _versions(stored)),
      'config': numbers.table('Config', 'Every key, as trained.', [
          (key, config_text(value)) for key, value in sorted(flatten(stored.config).items())], ('key', 'value'))}
  return {**context, 'contents': _contents(context)}


def _contents(context):
  """[(anchor, title)] of the sections with content."""
  sections = (('run', 'The run', True), ('scores', 'Scores', context['scores'].rows),
              ('samples', 'Samples', context['samples']), ('pictures', 'Pictures', context['pictures']),
              ('curves', 'Curves', context['curves']), ('priors', 'Priors', context['priors']),
              ('doctor', 'Signs of failure', context['doctor'] is not None),
              ('networks', 'Networks', context['networks']),
              ('receipts', 'How scores were measured', context['receipts'].rows),
              ('reproduce', 'How to reproduce it', True), ('config', 'Config', True))
  return [(anchor, title) for anchor, title, there in sections if there]


# ------------------------------------------------------------------------------------------- the run


def _abstract(stored):
  config, step = stored.config, stored.step
  state = 'finished' if step >= config['num_steps'] else f'{step / config["num_steps"]:.0%} of the way'
  model = stored.model.get('family', config['family'])
  return (f'A model of the family {model} on the data set {stored.spec.get("spec", {}).get("name", _data(config))}: '
          f'step {step:,} of {config["num_steps"]:,}, {state}.')


def _data(config):
  return config['data']['name'] if 'data' in config else 'unknown'


def _facts(stored):
  config, spec, starts = stored.config, stored.spec, stored.starts
  facts = [('Config file', stored.origin.get('config_file') or 'not stored'), ('Family', config['family']),
           ('Data', starts[-1].get('data', '') if starts else _data(config))]
  if spec:
    shape = ' x '.join(map(str, spec['spec']['image_shape']))
    facts += [('Images', f'{spec["num_train_images"]:,} to train on, {spec["num_test_images"]:,} to test with, '
                         f'{shape} (height, width, channels)')]
  facts += [('Steps', f'{stored.step:,} of {config["num_steps"]:,}{_epochs(stored)}'),
            ('Batch', f'{config["batch_size"]:,} images'), ('Seed', str(config['seed']))]
  if starts:
    last = starts[-1]
    facts += [('Hardware', _hardware(last)), ('Started', _starts(starts))]
  if 'speed/seconds' in stored.record.series:
    facts += [('Time', _time(stored.record.series))]
  return facts


def _epochs(stored):
  epochs = stored.epochs(stored.step)
  return '' if epochs is None else f', {epochs_text(epochs)}'


def _hardware(start):
  devices = start.get('devices', [])
  kind = start.get('device_kind') or (devices[0] if devices else 'unknown')
  parts = [f'{len(devices)} x {kind}', *([f'{start["processes"]} processes'] if start.get('processes', 1) > 1 else ()),
           *([start['cpu']] if start.get('cpu') else ()), start.get('platform', '')]
  return '; '.join(part for part in parts if part)


def _starts(starts):
  times = [f'{start["time"].replace("T", " ")[:16]} UTC at step {start["step"]:,}' for start in starts]
  return '; '.join(times if len(times) <= 4 else [*times[:2], f'{len(times) - 3} more', times[-1]])


def _time(series):
  seconds = series['speed/seconds'][1][-1]
  speed = series['speed/images_per_second'][1]
  hours, minutes = int(seconds // 3_600), int(seconds % 3_600 // 60)
  spent = f'{hours} h {minutes} min' if hours else f'{minutes} min {int(seconds % 60)} s'
  finite = speed[[math.isfinite(value) for value in speed]]
  return spent + (f', {number_text(float(sorted(finite)[len(finite) // 2]))} images per second (median)'
                  if len(finite) else '')


def _changes(stored, numbers):
  file, changes = stored.origin.get('config_file'), stored.origin.get('changes')
  if not changes:
    text = f'All keys agree with {file}.' if changes == {} else 'The differences from the config file are not stored.'
    return numbers.note(text)
  return numbers.table('Differences from the config file', f'Keys that differ from {file}.', [
      (key, config_text(before), config_text(after)) for key, (before, after) in changes.items()],
                       ('key', 'in the file', 'here'))


# ------------------------------------------------------------------------------------------- scores


def _scores(stored, numbers):
  """The last value of every score, and the best one if the score can be ranked."""
  history: dict[str, dict[int, scores_lib.Score]] = {}
  for evaluation in stored.evaluations:
    for name, score in evaluation.scores().items():
      if not scores_lib.is_setting(name):
        history.setdefault(name, {})[evaluation.step] = score
  rows = []
  for name, steps in sorted(history.items(), key=lambda item: not item[1][max(item[1])].better):
    last = max(steps)
    unit = _unit(steps[last])
    rows.append((f'{name} ({unit})' if unit else name, _value(steps[last]), f'{last:,}', *_best(steps)))
  return numbers.table(
      'Scores', 'The last value of each score, with its standard error if known, and the best value of the '
      'run if the score can be ranked.', rows, ('score', 'last', 'at step', 'best', 'at step'), numeric=True)


def _value(score):
  error = '' if score.standard_error is None else f' ± {score.standard_error:.2g}'
  return number_text(score.value) + error


def _best(steps):
  best = scores_lib.best({step: score.value for step, score in steps.items()}, steps[max(steps)].better)
  return ('', '') if best is None or len(steps) < 2 else (number_text(steps[best].value), f'{best:,}')


def _unit(score):
  return ', '.join(filter(None, (score.unit, score.better and f'{score.better} is better')))


def _receipts(stored, numbers):
  """How the last evaluation of each evaluator measured."""
  rows = [(evaluation.evaluator, _receipt(evaluation)) for evaluation in {
      evaluation.evaluator: evaluation for evaluation in stored.evaluations}.values()]
  return numbers.table('Receipts', 'How each evaluator measured: scores of two runs can be ranked if these agree. '
                                   'Hashes are shortened; the files in evaluation/ contain them in full.', rows)


def _receipt(evaluation):
  about, receipt = evaluation.about, evaluation.receipt
  fields = [f'{field}: {_short(field, receipt[field])}' for field in MEASURE
            if field != 'settings' and receipt.get(field)]
  settings = [f'{key}={config_text(value)}' for key, value in about.get('settings', {}).items()]
  data = [f'{name}: {about[key]}' for key, name in (('data', 'training images'), ('test_data', 'test images'))
          if about.get(key)]
  path = f'evaluation/{evaluation.evaluator}_step_{evaluation.step:08d}.json'
  return '; '.join([*fields, *settings, *data, f'seed: {about.get("seed")}', f'step: {evaluation.step:,}', path])


def _short(field, value):
  return f'{value[:12]}…' if field.endswith('sha256') and isinstance(value, str) else config_text(value)


# ------------------------------------------------------------------------------------------- figures


def _samples(stored, drawn, numbers):
  """The last samples, and samples over the course of training."""
  pictures, last = [], stored.pictures()
  if 'samples' in last:
    step, path = last['samples']
    title, caption = captions.SAMPLES
    note = stored.model.get('samples_note', '')
    classes = stored.spec.get('spec', {}).get('label_names') if stored.spec else None
    caption = ' '.join(filter(None, (caption.format(step=step), note and f'{note.capitalize()}.')))
    pictures.append(numbers.picture(path, title, caption, f'Grid of samples after step {step:,}'
                                    + (f' of the classes {", ".join(classes[:20])}' if classes else ''),
                                    stored.folder))
  if 'filmstrip.png' in drawn:
    pictures.append(numbers.picture(
        stored.folder / 'figures/filmstrip.png', 'Samples over the course of training',
        'Samples from the same latents at increasing steps, including the first and the last. '
        'figures/samples.gif shows them as a film.', 'Grids of samples at increasing training steps', stored.folder))
  return pictures


def _pictures(stored, numbers):
  """The last picture of each kind that evaluations drew."""
  pictures = []
  for name, (step, path) in sorted(stored.pictures().items()):
    if name != 'samples':
      title, caption = captions.of_picture(name)
      pictures.append(numbers.picture(path, title, f'{caption} After step {step:,}.', f'{title}, after step {step:,}',
                                      stored.folder))
  return pictures


def _curves(stored, drawn, numbers):
  pictures = []
  for row in FIGURES:
    if row.file in drawn:
      pictures.append(numbers.picture(stored.folder / 'figures' / row.file, row.title, row.caption,
                                      _alt(row, stored.record), stored.folder))
  return pictures


def _alt(row, record):
  """A text description of a figure: its curves and their last values."""
  if not isinstance(row, Curves):
    return row.title
  ends = [f'{label(name)} {number_text(float(record.series[name][1][-1]))}' for name in row.shown(record.series)]
  return f'{row.title}: curves over training steps, at the end {", ".join(ends[:12])}'


def _priors(stored, numbers):
  """Samples and curves of the priors that were fitted to this VQ-VAE, as drawn by --mode=prior."""
  folder, pictures = stored.folder / 'priors', []
  if (folder / 'samples.png').exists():
    pictures.append(numbers.picture(folder / 'samples.png', *captions.PRIORS, folder=stored.folder))
  return pictures + [numbers.picture(folder / 'figures' / row.file, row.title, f'{row.caption} One colour per prior.',
                                     f'{row.title}: curves of the priors over training steps', stored.folder)
                     for row in FIGURES if (folder / 'figures' / row.file).exists()]


def _prior_scores(stored, numbers):
  folder = stored.folder / 'priors'
  return comparison.score_tables(numbers, comparison.read_study(folder)) if (folder / comparison.INDEX).exists() else []


# ------------------------------------------------------------------------------------------- doctor, networks, versions


def _doctor(stored):
  if stored.findings is None or not any(name.startswith('critic/') for name in stored.record.series):
    return None
  return [{'step': f'{int(row["step"]):,}', 'over': row['event'] == 'ends', 'advice': row['advice'],
           'text': _finding(row)} for row in stored.findings]


def _finding(row):
  if row['event'] == 'ends':
    return f'{row["sign"]} is over'
  return f'{row["sign"]}: {number_text(float(row["value"]))}, limit {number_text(float(row["threshold"]))}'


def _networks(stored, numbers):
  """One table per network with its layers; for runs of earlier versions, each parameter's shape and size."""
  rows = stored.model.get('layers', [])
  if rows:
    return [_layers(name, [row for row in rows if row[0].startswith(f'{name}/')], numbers)
            for name in dict.fromkeys(row[0].partition('/')[0] for row in rows)]
  tables = []
  for name, parameters in stored.model.get('networks', {}).items():
    sizes = {path: math.prod(shape) for path, shape in parameters.items()}
    rows = [(path, ' x '.join(map(str, parameters[path])) or 'scalar', f'{size:,}') for path, size in sizes.items()]
    if len(rows) > MAX_LAYERS:
      further = [*sizes.values()][MAX_LAYERS:]
      rows = [*rows[:MAX_LAYERS], (f'{len(further)} more', '', f'{sum(further):,}')]
    tables.append(numbers.table(f'Parameters of the {name}', f'{sum(sizes.values()):,} in all.', rows,
                                ('parameter', 'shape', 'numbers'), numeric=True))
  return tables


def _layers(name, rows, numbers):
  """The table of a network's layers, without empty columns."""
  columns = [column for column in range(len(HEADER)) if any(row[column] for row in rows)]
  return numbers.table(
      f'Layers of the {name}', 'In the order of the data. Outputs are height x width x channels of one image; '
      'parameters include those of the normalisation.',
      [[row[column].removeprefix(f'{name}/') for column in columns] for row in rows], [HEADER[i] for i in columns])


def _totals(stored, numbers):
  totals = {name: sum(map(math.prod, parameters.values()))
            for name, parameters in stored.model.get('networks', {}).items()}
  return numbers.table('Parameters by network', f'{sum(totals.values()):,} in all.',
                       [(name, f'{total:,}') for name, total in totals.items()])


def _reproduce(stored):
  last = stored.starts[-1] if stored.starts else {}
  git = last.get('git') if last.get('git') != UNKNOWN else ''
  code = ['git clone REPOSITORY jgen && cd jgen', *([f'git checkout {git}'] if git else ()), 'pip install -e .']
  command = stored.origin.get('command') or (terminal.command_line(['python', *last['command']]) if last else '')
  changed = ' The working tree had uncommitted changes.' if last.get('git_changes') is True else ''
  return {'text': 'Every random number and every batch is a function of the seed and the step, so the same commands on '
                  f'the same hardware and versions give the same run.{changed}',
          'commands': '\n'.join([*code, *filter(None, [command])])}


def _versions(stored):
  last = stored.starts[-1] if stored.starts else {}
  return [('python', last.get('python', 'not stored')), *last.get('packages', {}).items(),
          *([('git commit', last['git'])] if last.get('git') else ())]
