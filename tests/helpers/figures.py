"""Runs that draw few and small figures: each takes a third of a second, and tests/report/ draws all as they are."""

from jgen.host.files import replacing
from jgen.report import comparison, figures, report

FEW = ('losses.png', 'proxy_fid.png',
       'elbo.png', 'mse.png', 'kl.png', 'kl_per_latent.png', 'active_units.png', 'tsne.png')


def save_small(figure, path, formats):
  """Writes a figure of few pixels, without a layout."""
  figure.set_layout_engine(None)
  for kind in formats:
    with replacing(path.with_suffix(f'.{kind}')) as temporary:
      figure.savefig(temporary, format=kind, dpi=40)


def draw_only(patch, names):
  """Until a pytest.MonkeyPatch is undone, runs, reports and comparisons draw these figures alone, and small."""
  for module in (figures, comparison):
    patch.setattr(module, 'save_figure', save_small)
  rows = tuple(row for row in figures.FIGURES if row.file in names)
  for module in (figures, report, comparison):
    patch.setattr(module, 'FIGURES', rows)
