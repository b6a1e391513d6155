"""The figures of a run: one row of the table each, drawn from the files that the run has stored."""

from pathlib import Path

from jgen.files import replacing
from jgen.report.drawing import ClassBars, Curves, draw_figure
from jgen.report.records import read_record

FIGURES = (
    Curves('losses.png', 'Losses', 'loss (in the units of the objective)', ('critic/loss', 'generator/loss')),
    Curves('adversarial_loss.png', "The critic's loss without the penalty",
           'loss (in the units of the objective)', ('critic/adversarial',)),
    Curves('wasserstein_estimate.png', 'Wasserstein estimate', "E D(real) - E D(fake) (critic's units)",
           ('critic/wasserstein_estimate',)),
    Curves('gradient_penalty.png', 'Gradient penalty, unweighted', 'mean of (|gradient| - 1)² (no unit)',
           ('critic/penalty',)),
    Curves('critic_slope.png', 'Slope of the critic between real and generated images',
           'mean |gradient| (per unit of image distance)', ('critic/slope',),
           reference=1., reference_label='1: what the penalty pulls towards'),
    Curves('first_layer_gradient.png', "Gradient of the critic's first layer: does it vanish?",
           'norm of the gradient (per unit of weight)', ('critic/first_layer_gradient_norm',), log=True),
    Curves('gradient_norms.png', 'Gradients of all weights', 'norm of the gradient (per unit of weight)',
           ('critic/gradient_norm', 'generator/gradient_norm'), log=True),
    Curves('critic_outputs.png', "The critic's outputs", "mean output (critic's units)",
           ('critic/real_logit', 'critic/fake_logit')),
    Curves('critic_accuracy.png', "The critic's accuracy", 'share of images told right',
           ('critic/real_accuracy', 'critic/fake_accuracy'), limits=(0, 1)),
    Curves('class_consistency.png', 'Class consistency', 'share of images given the class asked for',
           ('class_consistency/accuracy',), limits=(0, 1),
           reference='class_consistency/classifier_accuracy',
           reference_label='the classifier on held-out real images'),
    ClassBars('class_consistency_by_class.png', 'Class consistency by class',
              'share of images given their class', 'class_consistency',
              entry='per_class', entry_label='generated images',
              reference='classifier_per_class', reference_label='held-out real images', names='class_names'),
)


def draw_figures(workdir):
  """Writes `workdir/figures/*.png`, the rows of FIGURES that the run has stored numbers for; their paths.

  Raises UserError, naming the file, where what is stored is damaged.
  """
  record = read_record(workdir)
  paths = []
  for row in FIGURES:
    if row.has_data(record):
      path = Path(workdir) / 'figures' / row.file
      with replacing(path) as temporary:
        draw_figure(row, record).savefig(temporary, format='png')
      paths.append(path)
  return paths
