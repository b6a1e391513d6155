"""The figures of a run: one row of the table each, drawn from the files that the run has stored."""

from pathlib import Path

from jgen.files import replacing
from jgen.report.drawing import ClassBars, Curves, LatentScatter, SortedBars, draw_figure
from jgen.report.records import read_record

# Of a VAE, 'vae/...' is of training batches and 'ledger/...' of the test images.
FIGURES = (
    Curves('elbo.png', 'Variational lower bound (vae: training batches, ledger: test images)', 'nats per image',
           ('vae/elbo', 'ledger/elbo', 'ledger/importance_bound')),
    Curves('mse.png', 'Error of reconstructions (vae: training batches, ledger: test images)',
           'squared error per pixel (images in [-1, 1])', ('vae/mse', 'ledger/mse_sampled', 'ledger/mse')),
    Curves('kl.png', 'KL of the latents from the prior (vae: training batches, ledger: test images)',
           'nats per image', ('vae/kl', 'ledger/kl')),
    SortedBars('kl_per_latent.png', 'KL of each latent from the prior, on test images', 'nats',
               'latents, the one with the largest KL first', 'ledger', 'kl_per_latent'),
    Curves('active_units.png', 'Latents in use (vae: training batches, ledger: test images)',
           'latents whose mean varies by more than 0.01', ('vae/active_units', 'ledger/active_units')),
    Curves('vae_loss.png', "The VAE's objective and its two terms (vae: training, ledger: test)",
           'loss (in the units of the objective)',
           ('vae/loss', 'vae/reconstruction', 'vae/regularization', 'ledger/loss')),
    Curves('reconstruction_nats.png', '- log p(image | latents) (vae: training batches, ledger: test images)',
           'nats per image', ('vae/reconstruction_nats', 'ledger/reconstruction_nats')),
    Curves('bits_per_dimension.png', 'Cost of an image (vae: training batches, ledger: test images)',
           'bits per value of a pixel', ('vae/bits_per_dimension', 'ledger/bits_per_dimension')),
    Curves('kl_weight.png', "The KL's weight beside the mean error per pixel and the summed error",
           'factor of the KL in nats', ('vae/kl_weight_per_pixel', 'vae/kl_weight_per_image'), log=True),
    Curves('pixel_variance.png', "The likelihood's variance of a pixel", 'variance (images in [-1, 1])',
           ('vae/pixel_variance',), log=True),
    LatentScatter('tsne.png', 't-SNE of the latent means', 't-SNE dimension 1 (no unit)',
                  't-SNE dimension 2 (no unit)'),
    Curves('losses.png', 'Losses', 'loss (in the units of the objective)', ('critic/loss', 'generator/loss')),
    Curves('adversarial_loss.png', "The critic's loss without the penalty",
           'loss (in the units of the objective)', ('critic/adversarial',)),
    Curves('critic_losses.png', "The critic's loss on real and on generated images",
           'loss (in the units of the objective)', ('critic/real_loss', 'critic/fake_loss')),
    Curves('wasserstein_estimate.png', 'Wasserstein estimate', "E D(real) - E D(fake) (critic's units)",
           ('critic/wasserstein_estimate',)),
    Curves('gradient_penalty.png', "Penalty on the critic's slope, unweighted",
           'mean of (|gradient| - 1)², for R1 of |gradient|² / 2', ('critic/penalty',)),
    Curves('slope_at_real.png', 'Slope of the critic at real images', 'mean |gradient| (per unit of image distance)',
           ('critic/slope_at_real',)),
    Curves('critic_slope.png', 'Slope of the critic where the penalty looks at it',
           'mean |gradient| (per unit of image distance)', ('critic/slope',),
           reference=1., reference_label='1: what the penalty pulls towards'),
    Curves('first_layer_gradient.png', "Gradient of the critic's first layer: does it vanish?",
           'norm of the gradient (per unit of weight)', ('critic/first_layer_gradient_norm',), log=True),
    Curves('gradient_norms.png', 'Gradients of all weights', 'norm of the gradient (per unit of weight)',
           ('critic/gradient_norm', 'generator/gradient_norm', 'vae/gradient_norm'), log=True),
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
