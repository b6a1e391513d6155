"""Runs that draw few of their figures: each takes a third of a second, and tests/report/ draws them all."""

from jgen.report import comparison, figures, report

FEW = ('losses.png', 'proxy_fid.png',
       'elbo.png', 'mse.png', 'kl.png', 'kl_per_latent.png', 'active_units.png', 'tsne.png')


def draw_only(patch, names):
  """Until a pytest.MonkeyPatch is undone, runs, reports and comparisons draw these figures alone."""
  rows = tuple(row for row in figures.FIGURES if row.file in names)
  for module in (figures, report, comparison):
    patch.setattr(module, 'FIGURES', rows)
