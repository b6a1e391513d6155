"""The figures of a run: one row of the table each, drawn from the files that the run has stored."""

from pathlib import Path

from jgen.files import replacing
from jgen.report.drawing import ClassBars, Curves, Histograms, LatentScatter, SortedBars, draw_figure
from jgen.report.film import draw_film
from jgen.run.records import read_record

# Of a VAE, 'vae/...' is of training batches and 'ledger/...' of the test images.
FIGURES = (
    Curves('elbo.png', 'Variational lower bound (vae: training batches, ledger: test images)', 'nats per image',
           ('vae/elbo', 'ledger/elbo', 'ledger/importance_bound')),
    Curves('mse.png', 'Error of reconstructions (vae: training batches, ledger: test images)',
           'squared error per pixel (images in [-1, 1])', ('vae/mse', 'ledger/mse_sampled', 'ledger/mse')),
    Curves('vqvae_mse.png', 'Error of reconstructions (vqvae: training batches, codebook: test images)',
           'squared error per pixel (images in [-1, 1])', ('vqvae/mse', 'codebook/mse')),
    Curves('vqvae_loss.png', "The VQ-VAE's objective (vqvae: training batches, codebook: test images)",
           'loss (in the units of the objective)',
           ('vqvae/loss', 'vqvae/reconstruction', 'codebook/loss', 'codebook/reconstruction')),
    Curves('codebook_loss.png', 'Distance of codes and encoder (vqvae: training batches, codebook: test images)',
           'loss (in the units of the objective)',
           ('vqvae/codebook', 'vqvae/commitment', 'codebook/codebook', 'codebook/commitment'), log=True),
    Curves('perplexity.png', 'Perplexity of the codes (vqvae: of a batch, codebook: of all images)',
           'codes that even use would need (at most K)',
           ('vqvae/perplexity', 'codebook/perplexity', 'codebook/train_perplexity')),
    Curves('dead_codes.png', 'Dead codes (vqvae: by their averages, codebook: that no image has)',
           'share of the codes', ('vqvae/dead_share', 'codebook/dead_share', 'codebook/train_dead_share'),
           limits=(0, 1)),
    Curves('code_bits.png', 'Bits of an image as codes: as they are used, and at most (test images)',
           'bits per image', ('codebook/entropy_bits_per_image', 'codebook/bits_per_image')),
    SortedBars('code_usage.png', 'Use of each code by training images', 'vectors that have the code',
               'codes, the most used first', 'codebook', 'train_usage'),
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
    Curves('codes_nats.png', 'Cost of the codes (prior: training batches, held_out: all images of a split)',
           'nats per image', ('prior/autoregressive/nats', 'held_out/nats', 'held_out/train_nats')),
    Curves('latents_elbo.png',
           'Lower bound of latents (prior: training batches, held_out: all images of a split)',
           'nats per image, of standardised latents', ('prior/vae/elbo', 'held_out/elbo', 'held_out/train_elbo')),
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
           ('critic/gradient_norm', 'generator/gradient_norm', 'vae/gradient_norm',
            'vqvae/gradient_norm'), log=True),
    Curves('critic_outputs.png', "The critic's outputs", "mean output (critic's units)",
           ('critic/real_logit', 'critic/fake_logit')),
    Histograms('critic_output_histogram.png', "The critic's outputs in evaluation", 'share of the images',
               "output (critic's units; higher: taken for real)", 'critic_outputs', 'edges', 'counts',
               (('train', 'training images'), ('generated', 'generated images'), ('test', 'test images'))),
    Curves('told_apart.png', 'Real and generated images: does the critic tell them apart, in evaluation?',
           'probability that a real image has the higher output', ('critic_outputs/told_apart',), limits=(0, 1),
           reference=0.5, reference_label='1/2: it cannot'),
    Curves('diversity.png', 'Distances between samples, as shares of those between real images',
           'ratio of mean distances (no unit)', ('diversity/pair_ratio', 'diversity/nearest_ratio'),
           reference=1., reference_label='1: as real images; 0: collapsed'),
    Curves('fid.png', "Frechet distance of the Inception's features (FID; fid768: of partial weights)",
           'squared distance (no unit; lower: nearer to real)', ('inception_features/fid*@*',)),
    Curves('proxy_fid.png', 'Frechet distances of proxy features: no FID',
           'squared distance (no unit; lower: nearer to real)',
           ('classifier_features/proxy_fid*@*', 'random_features/proxy_fid*@*'), log=True),
    Curves('kid.png', "Kernel distance of the Inception's features, with its 95 % interval",
           'squared distance (no unit; lower: nearer to real)', ('inception_features/kid*@*',)),
    Curves('precision_recall.png', "Precision, recall and coverage in the Inception's features", 'share of images',
           ('inception_features/precision*@*', 'inception_features/recall*@*', 'inception_features/coverage*@*'),
           limits=(0, 1)),
    Curves('psnr.png', 'Reconstructions of test images: peak signal-to-noise ratio', 'dB (higher: nearer)',
           ('reconstruction_quality/psnr',)),
    Curves('ssim.png', 'Reconstructions of test images: structural similarity', 'SSIM (1: the same image)',
           ('reconstruction_quality/ssim',)),
    Curves('critic_accuracy.png', "The critic's accuracy", 'share of images told right',
           ('critic/real_accuracy', 'critic/fake_accuracy'), limits=(0, 1)),
    Curves('class_accuracy.png', "The class, as the critic's second head tells it", 'share of images told right',
           ('critic/real_class_accuracy', 'critic/fake_class_accuracy'), limits=(0, 1)),
    Curves('class_loss.png', "The class's cross-entropy on real and on generated images", 'nats per image',
           ('critic/real_class_loss', 'critic/fake_class_loss')),
    Curves('label_change.png', 'What the label and what the latents change',
           'root mean square difference of a pixel (images in [-1, 1])',
           ('attribute_pairs/change_by_label', 'attribute_pairs/change_by_latents')),
    Curves('information.png', 'What images tell of their categorical codes: lower bound of the information',
           'nats per image', ('generator/information',), reference='generator/information_maximum',
           reference_label='the entropy of the codes: the most there can be'),
    Curves('continuous_information.png', 'The same bound of the continuous codes', 'nats per image',
           ('generator/continuous_information',)),
    Curves('code_accuracy.png', "Codes that are the likeliest of Q's", 'share of the categorical codes',
           ('generator/code_accuracy',), limits=(0, 1)),
    Curves('code_classes.png', 'Information of the code that tells most of the classes, and the classes',
           'normalised mutual information (1: one is the other)', ('code_classes/nmi',), limits=(0, 1)),
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
  """Writes `workdir/figures/*`, the rows of FIGURES that the run has stored numbers for and the film; their paths.

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
  return paths + draw_film(Path(workdir))
