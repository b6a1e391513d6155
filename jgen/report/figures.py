"""The figures of a run: one row of the table each, drawn from the files that the run has stored."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from jgen.host.files import replacing
from jgen.report.drawing import ClassBars, Curves, Histograms, LatentScatter, SortedBars, draw_figure
from jgen.report.film import draw_film
from jgen.run.records import read_record

# The value of what an objective minimises can be compared between runs only where these keys agree.
OBJECTIVE = ('model.loss', 'model.likelihood', 'model.reconstruction')
LOSS = 'loss (in the units of the objective)'
FRECHET = 'squared distance (no unit)'

FIGURES = (
    Curves('elbo.png', 'Variational lower bound', 'nats per image',
           ('vae/elbo', 'ledger/elbo', 'ledger/importance_bound'),
           caption='The evidence lower bound (ELBO): the log likelihood of an image given its latents, less the KL '
                   'divergence. It is what a VAE maximises; the importance-weighted bound is tighter.'),
    Curves('mse.png', 'Error of reconstructions', 'squared error per pixel (images in [-1, 1])',
           ('vae/mse', 'ledger/mse_sampled', 'ledger/mse'),
           caption='Mean squared error between an image and its reconstruction. The error of test images is given '
                   'for decoded latent means and, as "mse sampled", for sampled latents, which training decodes.'),
    Curves('vqvae_mse.png', 'Error of reconstructions', 'squared error per pixel (images in [-1, 1])',
           ('vqvae/mse', 'codebook/mse'),
           caption='Mean squared error between an image and what is decoded from its codes.'),
    Curves('vqvae_loss.png', "The VQ-VAE's objective", LOSS,
           ('vqvae/loss', 'vqvae/reconstruction', 'codebook/loss', 'codebook/reconstruction'), units=OBJECTIVE,
           caption="The loss and its reconstruction term; the rest of the loss is the distance between the encoder's "
                   'outputs and their codes.'),
    Curves('codebook_loss.png', 'Distance between codes and encoder outputs', 'loss (in the units of the objective)',
           ('vqvae/codebook', 'vqvae/commitment', 'codebook/codebook', 'codebook/commitment'), log=True,
           caption="The two terms of the VQ-VAE's loss that keep codes and encoder outputs together: the codebook "
                   'term moves the codes, the commitment term the encoder.'),
    Curves('perplexity.png', 'Perplexity of the codes', 'codes that even use would need (at most K)',
           ('vqvae/perplexity', 'codebook/perplexity', 'codebook/train_perplexity'),
           caption='The exponential of the entropy of the codes: K where all codes are used evenly, 1 where a single '
                   'one is. During training it is measured on one batch, in evaluation on all images.'),
    Curves('dead_codes.png', 'Dead codes', 'share of the codes',
           ('vqvae/dead_share', 'codebook/dead_share', 'codebook/train_dead_share'), limits=(0, 1),
           caption='Codes that are not used. During training a code counts as dead by the running average of its '
                   'use, in evaluation where no image has it.'),
    Curves('code_bits.png', 'Bits of an image as codes', 'bits per image',
           ('codebook/entropy_bits_per_image', 'codebook/bits_per_image'),
           caption='How many bits the codes of a test image need where frequent codes are coded shorter, and, as '
                   '"bits per image", where all codes take the same number of bits.'),
    SortedBars('code_usage.png', 'Use of each code by training images', 'vectors that have the code',
               'codes, the most used first', 'codebook', 'train_usage',
               caption='How often each code of the codebook occurs. Even bars mean that the whole codebook is used.'),
    Curves('kl.png', 'KL divergence of the latents from the prior', 'nats per image', ('vae/kl', 'ledger/kl'),
           caption="How far the encoder's distribution of the latents is from the standard normal prior. Near 0 the "
                   'latents carry nothing about the image.'),
    SortedBars('kl_per_latent.png', 'KL divergence of each latent, on test images', 'nats',
               'latents, the one with the largest KL first', 'ledger', 'kl_per_latent',
               caption='The KL divergence latent by latent: latents near 0 are unused, their posterior is the prior.'),
    Curves('active_units.png', 'Latents in use', 'latents whose mean has a variance above 0.01',
           ('vae/active_units', 'ledger/active_units'),
           caption='Active units (Burda et al. 2016): latents whose posterior mean has a variance above 0.01 over '
                   'the images.'),
    Curves('vae_loss.png', "The VAE's objective and its two terms", LOSS,
           ('vae/loss', 'vae/reconstruction', 'vae/regularization', 'ledger/loss'), units=OBJECTIVE,
           caption='What is minimised: the reconstruction error and the weighted regularisation of the latents.'),
    Curves('reconstruction_nats.png', 'Negative log likelihood of an image given its latents', 'nats per image',
           ('vae/reconstruction_nats', 'ledger/reconstruction_nats'),
           caption="The reconstruction error in nats, under the model's own likelihood."),
    Curves('bits_per_dimension.png', 'Cost of an image', 'bits per value of a pixel',
           ('vae/bits_per_dimension', 'ledger/bits_per_dimension'),
           caption='The negative ELBO in bits, divided by the number of pixel values.'),
    Curves('kl_weight.png', "Weight of the KL relative to the mean error per pixel and to the summed error",
           'factor of the KL in nats', ('vae/kl_weight_per_pixel', 'vae/kl_weight_per_image'), log=True,
           caption='The weight of the KL divergence, counted against the mean squared error per pixel and against the '
                   'error summed over the image: reports state either.'),
    Curves('pixel_variance.png', "The likelihood's variance of a pixel", 'variance (images in [-1, 1])',
           ('vae/pixel_variance',), log=True,
           caption='The variance of the Gaussian likelihood, which weighs the reconstruction error against the KL.'),
    Curves('codes_nats.png', 'Cost of the codes', 'nats per image',
           ('prior/autoregressive/nats', 'test_loss/nats', 'test_loss/train_nats'),
           caption="The negative log likelihood of an image's codes under the autoregressive prior (lower is "
                   'better). Where the curve of test images rises above that of training images, the prior '
                   'overfits.'),
    Curves('latents_elbo.png', 'Lower bound of latents', 'nats per image, of standardised latents',
           ('prior/vae/elbo', 'test_loss/elbo', 'test_loss/train_elbo'),
           caption='The ELBO of the VAE that is the prior over the latents.'),
    LatentScatter('tsne.png', 't-SNE of the latent means', 't-SNE dimension 1 (no unit)',
                  't-SNE dimension 2 (no unit)',
                  caption='The latent means of test images, embedded in two dimensions by t-SNE (van der Maaten and '
                          'Hinton 2008), one point an image. Colours that separate say that the latents tell the '
                          "values apart; the linear classifier's accuracy says by how much."),
    Curves('losses.png', 'Losses of critic and generator', LOSS, ('critic/loss', 'generator/loss'), units=OBJECTIVE,
           caption='The losses that the critic (discriminator) and the generator minimise. They are those of a game: '
                   'neither has to fall while samples improve.'),
    Curves('adversarial_loss.png', "The critic's loss without the penalty", LOSS, ('critic/adversarial',),
           units=OBJECTIVE,
           caption="The adversarial term of the critic's (discriminator's) loss alone. Near 0 the critic has won."),
    Curves('critic_losses.png', "The critic's loss on real and on generated images", LOSS,
           ('critic/real_loss', 'critic/fake_loss'), units=OBJECTIVE,
           caption="The two terms of the critic's (discriminator's) adversarial loss."),
    Curves('wasserstein_estimate.png', 'Wasserstein estimate', "E D(real) - E D(fake) (critic's units)",
           ('critic/wasserstein_estimate',), units=OBJECTIVE,
           caption="The difference of the critic's mean outputs. For a 1-Lipschitz critic it estimates the "
                   'Wasserstein distance between real and generated images, and falls as samples improve.'),
    Curves('gradient_penalty.png', "Penalty on the critic's slope, unweighted", 'penalty', ('critic/penalty',),
           ylabel_by=('model.penalty', {'gradient_penalty': 'mean of (|gradient| - 1)²',
                                        'dragan': 'mean of (|gradient| - 1)²', 'r1': 'mean of |gradient|² / 2'}),
           caption='The penalty before its weight. For a gradient penalty, near 0 means that the critic is nearly '
                   '1-Lipschitz where the penalty is taken.'),
    Curves('slope_at_real.png', 'Slope of the critic at real images', 'mean |gradient| (per unit of image distance)',
           ('critic/slope_at_real',),
           caption="The norm of the gradient of the critic's output with respect to a real image."),
    Curves('critic_slope.png', 'Slope of the critic where the penalty is taken',
           'mean |gradient| (per unit of image distance)', ('critic/slope',),
           reference=1., reference_label='1: what the penalty pulls towards',
           caption="The norm of the gradient of the critic's output with respect to the image."),
    Curves('first_layer_gradient.png', "Gradient of the critic's first layer: does it vanish?",
           'norm of the gradient (per unit of weight)', ('critic/first_layer_gradient_norm',), log=True,
           caption="The norm of the gradient of the first layer's weights. Where it falls towards 0, the gradient "
                   'vanishes on its way back through the critic.'),
    Curves('gradient_norms.png', 'Gradients of all weights', 'norm of the gradient (per unit of weight)',
           ('critic/gradient_norm', 'generator/gradient_norm', 'vae/gradient_norm', 'vqvae/gradient_norm'), log=True,
           caption='The norm of the gradient over all weights of a network. Values above 100 are a sign of an '
                   'unstable training.'),
    Curves('critic_outputs.png', "The critic's outputs", "mean output (critic's units)",
           ('critic/real_logit', 'critic/fake_logit'), units=OBJECTIVE,
           caption='The mean output (logit) of the critic for real and for generated images of the training batches.'),
    Histograms('critic_output_histogram.png', "The critic's outputs in evaluation", 'share of the images',
               "output (critic's units; higher: taken for real)", 'critic_outputs', 'edges', 'counts',
               (('train', 'training images'), ('generated', 'generated images'), ('test', 'test images')),
               caption="How the critic's outputs are distributed. Overlapping histograms are not separable. A "
                       'shift between training and test images shows that the critic overfits.'),
    Curves('critic_auc.png', 'Does the critic separate real from generated images, in evaluation?',
           'probability that a real image has the higher output', ('critic_outputs/auc',), limits=(0, 1),
           reference=0.5, reference_label='1/2: it cannot',
           caption="The area under the ROC curve (AUC) of the critic's outputs."),
    Curves('diversity.png', 'Distances between samples, as shares of those between real images',
           'ratio of mean distances (no unit)', ('diversity/pair_ratio', 'diversity/nearest_ratio'),
           reference=1., reference_label='1: as real images; 0: collapsed',
           caption='The mean distance of all pairs of samples and of each sample to its nearest other one, divided by '
                   'the same of real images. Values near 0 are mode collapse.'),
    Curves('fid.png', "Frechet distance of the Inception's features (FID; fid768: of partial weights)", FRECHET,
           ('inception_features/fid*@*',),
           caption='The Frechet Inception distance between generated and real images (Heusel et al. 2017), after @ '
                   'the number of generated images. It falls with that number: compare equal numbers only.'),
    Curves('proxy_fid.png', 'Frechet distances of proxy features: no FID', FRECHET,
           ('classifier_features/proxy_fid*@*', 'random_features/proxy_fid*@*'), log=True,
           caption='The Frechet distance in the features of a network that needs no download: a small classifier of '
                   'the data set, or a random network. It orders the steps of a run, and is no FID.'),
    Curves('kid.png', "Kernel distance of the Inception's features, with its 95 % interval", FRECHET,
           ('inception_features/kid*@*',),
           caption='The kernel Inception distance (Binkowski et al. 2018), which unlike the FID does not depend on '
                   'the number of images.'),
    Curves('precision_recall.png', "Precision, recall and coverage in the Inception's features", 'share of images',
           ('inception_features/precision*@*', 'inception_features/recall*@*', 'inception_features/coverage*@*'),
           limits=(0, 1),
           caption='Precision: samples within the set of real images. Recall: real images within the samples. '
                   'Coverage: real images with a sample nearby.'),
    Curves('psnr.png', 'Reconstructions of test images: peak signal-to-noise ratio', 'dB',
           ('reconstruction_quality/psnr',), caption='The mean PSNR of reconstructed test images.'),
    Curves('ssim.png', 'Reconstructions of test images: structural similarity', 'SSIM (1: the same image)',
           ('reconstruction_quality/ssim',),
           caption='The mean structural similarity (Wang et al. 2004) of test images and their reconstructions.'),
    Curves('critic_accuracy.png', "The critic's accuracy", 'share of images classified right',
           ('critic/real_accuracy', 'critic/fake_accuracy'), limits=(0, 1),
           caption='How often the critic (discriminator) takes a real image for real and a generated one for '
                   'generated, in the training batches.'),
    Curves('class_accuracy.png', "Accuracy of the critic's class output", 'share of images classified right',
           ('critic/real_class_accuracy', 'critic/fake_class_accuracy'), limits=(0, 1),
           caption='How often the second head of the critic (discriminator) names the class of a real image, and the '
                   'class that a generated one was drawn for.'),
    Curves('class_loss.png', "The class's cross-entropy on real and on generated images", 'nats per image',
           ('critic/real_class_loss', 'critic/fake_class_loss'),
           caption='The class term of both losses of an ACGAN.'),
    Curves('label_change.png', 'What the label and what the latents change',
           'root mean square difference of a pixel (images in [-1, 1])',
           ('attribute_pairs/change_by_label', 'attribute_pairs/change_by_latents'),
           caption='How much pixels change with the label at fixed latents, and with the latents at a fixed label. '
                   'A label that changes nothing is ignored by the generator.'),
    Curves('information.png', 'Information of images about their categorical codes: lower bound',
           'nats per image', ('generator/information',), reference='generator/information_maximum',
           reference_label='the entropy of the codes: the most there can be',
           caption='The bound on the mutual information between codes and images that InfoGAN maximises.'),
    Curves('continuous_information.png', 'The same bound for the continuous codes', 'nats per image',
           ('generator/continuous_information',),
           caption='The bound on the mutual information between the continuous codes and images.'),
    Curves('code_accuracy.png', 'Accuracy of Q on the categorical codes', 'share of the categorical codes',
           ('generator/code_accuracy',), limits=(0, 1),
           caption="How often Q's likeliest value of a code is the one that the image was generated from."),
    Curves('code_classes.png', 'Information of the most informative code about the classes, and of the classes',
           'normalised mutual information (1: one is the other)', ('code_classes/nmi',), limits=(0, 1),
           caption='Whether a code that was learned without labels represents the class.'),
    Curves('class_consistency.png', 'Class consistency', 'share of images assigned the requested class',
           ('class_consistency/accuracy',), limits=(0, 1), reference='class_consistency/classifier_accuracy',
           reference_label='the classifier on held-out real images',
           caption='How often a classifier trained on real images assigns a generated image the requested '
                   'class. The dashed line is its accuracy on held-out real images.'),
    ClassBars('class_consistency_by_class.png', 'Class consistency by class', 'share of images given their class',
              'class_consistency', entry='per_class', entry_label='generated images',
              reference='classifier_per_class', reference_label='held-out real images', names='class_names',
              caption='The same, class by class.'),
    Curves('speed.png', 'Speed of the training', 'images per second', ('speed/images_per_second',),
           caption='Training images per second between two logged steps, without the time for compiling, drawing, '
                   'measuring and saving.'),
)


def draw_figures(workdir: str | Path, formats: Sequence[str] = ('png',)) -> list[Path]:
  """Writes `workdir/figures/*`, the rows of FIGURES that the run has stored numbers for and the film.

  Args:
    workdir: the run folder.
    formats: 'png', 'pdf' or both; the name of a file ends in its format.

  Returns:
    The paths of the figures, as PNG, and of the film.

  Raises:
    UserError: what is stored is damaged; names the file.
  """
  record = read_record(workdir)
  paths = []
  for row in FIGURES:
    if row.has_data(record):
      path = Path(workdir) / 'figures' / row.file
      save_figure(draw_figure(row, record), path, formats)
      paths.append(path)
  return paths + draw_film(Path(workdir))


def save_figure(figure: Figure, path: Path, formats: Sequence[str]) -> None:
  """Writes a Figure to `path` with the suffix of each of the formats, whole or not at all, without the time of day."""
  for kind in formats:
    with replacing(path.with_suffix(f'.{kind}')) as temporary:
      figure.savefig(temporary, format=kind, metadata={'CreationDate': None} if kind == 'pdf' else None)
