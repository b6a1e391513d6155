"""The figures of a run, one row of the table each, drawn from the stored files of the run."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from jgen.host.files import replacing
from jgen.report.drawing import ClassBars, Curves, Histograms, LatentScatter, SortedBars, draw_figure
from jgen.report.film import draw_film
from jgen.run.records import read_record

# The value of an objective can be compared between runs only if these keys agree.
OBJECTIVE = ('model.loss', 'model.likelihood', 'model.reconstruction')
LOSS = 'loss (in the units of the objective)'
FRECHET = 'squared distance (no unit)'

FIGURES = (
    Curves('elbo.png', 'Variational lower bound', 'nats per image',
           ('vae/elbo', 'ledger/elbo', 'ledger/importance_bound'),
           caption='The evidence lower bound (ELBO): the log likelihood of an image given its latents, less the KL '
                   'divergence. A VAE maximises it; the importance-weighted bound is tighter.'),
    Curves('mse.png', 'Reconstruction error', 'squared error per pixel (images in [-1, 1])',
           ('vae/mse', 'ledger/mse_sampled', 'ledger/mse'),
           caption='Mean squared error between an image and its reconstruction. For test images it is given for '
                   'decoded latent means and, as "mse sampled", for sampled latents as in training.'),
    Curves('vqvae_mse.png', 'Reconstruction error', 'squared error per pixel (images in [-1, 1])',
           ('vqvae/mse', 'codebook/mse'),
           caption='Mean squared error between an image and its reconstruction from codes.'),
    Curves('vqvae_loss.png', "The VQ-VAE's objective", LOSS,
           ('vqvae/loss', 'vqvae/reconstruction', 'codebook/loss', 'codebook/reconstruction'), units=OBJECTIVE,
           caption="The loss and its reconstruction term; the rest of the loss is the distance between the encoder's "
                   'outputs and their codes.'),
    Curves('codebook_loss.png', 'Distance between codes and encoder outputs', 'loss (in the units of the objective)',
           ('vqvae/codebook', 'vqvae/commitment', 'codebook/codebook', 'codebook/commitment'), log=True,
           caption="The two terms of the VQ-VAE's loss that keep codes and encoder outputs together: the codebook term "
                   'moves the codes, the commitment term the encoder.'),
    Curves('perplexity.png', 'Perplexity of the codes', 'codes, if all were used evenly (at most K)',
           ('vqvae/perplexity', 'codebook/perplexity', 'codebook/train_perplexity'),
           caption='The exponential of the entropy of the codes: K if all codes are used evenly, 1 if a single code is '
                   'used. During training it is measured on one batch, in evaluation on all images.'),
    Curves('dead_codes.png', 'Dead codes', 'share of the codes',
           ('vqvae/dead_share', 'codebook/dead_share', 'codebook/train_dead_share'), limits=(0, 1),
           caption='Codes that are not used. During training a code counts as dead if the moving average of its use is '
                   'small, in evaluation if no image has it.'),
    Curves('code_bits.png', 'Bits of an image as codes', 'bits per image',
           ('codebook/entropy_bits_per_image', 'codebook/bits_per_image'),
           caption='Bits for the codes of a test image if frequent codes get shorter bit strings and, as "bits per '
                   'image", if all codes take the same number of bits.'),
    SortedBars('code_usage.png', 'Use of each code by training images', 'vectors that have the code',
               'codes, the most used first', 'codebook', 'train_usage',
               caption='How often each code of the codebook occurs. Bars of equal height mean that the whole codebook '
                       'is used.'),
    Curves('kl.png', 'KL divergence of the latents from the prior', 'nats per image', ('vae/kl', 'ledger/kl'),
           caption="The KL divergence of the encoder's distribution of the latents from the standard normal prior. "
                   'Near 0 the latents carry no information about the image.'),
    SortedBars('kl_per_latent.png', 'KL divergence of each latent, on test images', 'nats',
               'latents, the one with the largest KL first', 'ledger', 'kl_per_latent',
               caption='The KL divergence of each latent. Latents near 0 are unused: their posterior is the prior.'),
    Curves('active_units.png', 'Latents in use', 'latents whose mean has a variance above 0.01',
           ('vae/active_units', 'ledger/active_units'),
           caption='Active units (Burda et al. 2016): latents whose posterior mean has a variance above 0.01 over the '
                   'images.'),
    Curves('vae_loss.png', "The VAE's objective and its two terms", LOSS,
           ('vae/loss', 'vae/reconstruction', 'vae/regularization', 'ledger/loss'), units=OBJECTIVE,
           caption='The minimised loss and its terms: the reconstruction error and the weighted regularisation of the '
                   'latents.'),
    Curves('reconstruction_nats.png', 'Negative log likelihood of an image given its latents', 'nats per image',
           ('vae/reconstruction_nats', 'ledger/reconstruction_nats'),
           caption="The reconstruction error in nats, under the model's own likelihood."),
    Curves('bits_per_dimension.png', 'Cost of an image', 'bits per value of a pixel',
           ('vae/bits_per_dimension', 'ledger/bits_per_dimension'),
           caption='The negative ELBO in bits, divided by the number of pixel values.'),
    Curves('kl_weight.png', "Weight of the KL relative to the mean error per pixel and to the summed error",
           'factor of the KL in nats', ('vae/kl_weight_per_pixel', 'vae/kl_weight_per_image'), log=True,
           caption='The weight of the KL divergence relative to the mean squared error per pixel and relative to the '
                   'error summed over the image: publications state one or the other.'),
    Curves('pixel_variance.png', "The likelihood's variance of a pixel", 'variance (images in [-1, 1])',
           ('vae/pixel_variance',), log=True,
           caption='The variance of the Gaussian likelihood, which weighs the reconstruction error against the KL.'),
    Curves('codes_nats.png', 'Cost of the codes', 'nats per image',
           ('prior/autoregressive/nats', 'test_loss/nats', 'test_loss/train_nats'),
           caption="The negative log likelihood of an image's codes under the autoregressive prior (lower is better). "
                   'If the curve of test images rises above that of training images, the prior overfits.'),
    Curves('latents_elbo.png', 'Lower bound of latents', 'nats per image, of standardised latents',
           ('prior/vae/elbo', 'test_loss/elbo', 'test_loss/train_elbo'),
           caption='The ELBO of the VAE that serves as prior over the latents.'),
    LatentScatter('tsne.png', 't-SNE of the latent means', 't-SNE dimension 1 (no unit)',
                  't-SNE dimension 2 (no unit)',
                  caption='The latent means of test images, embedded in two dimensions by t-SNE (van der Maaten and '
                          'Hinton 2008), one point per image. Separate colours mean that the latents separate the '
                          'values; the accuracy of the linear classifier quantifies it.'),
    Curves('losses.png', 'Losses of critic and generator', LOSS, ('critic/loss', 'generator/loss'), units=OBJECTIVE,
           caption='The losses that the critic (discriminator) and the generator minimise. The two networks compete: '
                   'neither loss has to fall while samples improve.'),
    Curves('adversarial_loss.png', "The critic's loss without the penalty", LOSS, ('critic/adversarial',),
           units=OBJECTIVE,
           caption="The adversarial term of the critic's (discriminator's) loss alone. Near 0 the critic has won."),
    Curves('critic_losses.png', "The critic's loss on real and on generated images", LOSS,
           ('critic/real_loss', 'critic/fake_loss'), units=OBJECTIVE,
           caption="The two terms of the critic's (discriminator's) adversarial loss."),
    Curves('wasserstein_estimate.png', 'Wasserstein estimate', "E D(real) - E D(fake) (critic's units)",
           ('critic/wasserstein_estimate',), units=OBJECTIVE,
           caption="The difference of the critic's mean outputs for real and generated images. For a 1-Lipschitz "
                   'critic it estimates the Wasserstein distance between real and generated images, and falls as '
                   'samples improve.'),
    Curves('gradient_penalty.png', "Penalty on the critic's slope, unweighted", 'penalty', ('critic/penalty',),
           ylabel_by=('model.penalty', {'gradient_penalty': 'mean of (|gradient| - 1)²',
                                        'dragan': 'mean of (|gradient| - 1)²', 'r1': 'mean of |gradient|² / 2'}),
           caption='The penalty without its weight. For a gradient penalty, near 0 means that the critic '
                   '(discriminator) is nearly 1-Lipschitz at the points where the penalty is computed.'),
    Curves('slope_at_real.png', 'Slope of the critic at real images', 'mean |gradient| (per unit of image distance)',
           ('critic/slope_at_real',),
           caption="The norm of the gradient of the critic's (discriminator's) output with respect to a real image."),
    Curves('critic_slope.png', 'Slope of the critic where the penalty is computed',
           'mean |gradient| (per unit of image distance)', ('critic/slope',),
           reference=1., reference_label='1: the target of the penalty',
           caption="The norm of the gradient of the critic's (discriminator's) output with respect to the image."),
    Curves('first_layer_gradient.png', "Gradient of the critic's first layer: does it vanish?",
           'norm of the gradient (per unit of weight)', ('critic/first_layer_gradient_norm',), log=True,
           caption="The norm of the gradient with respect to the first layer's weights. If it falls towards 0, the "
                   'gradient vanishes on its way back through the critic (discriminator).'),
    Curves('gradient_norms.png', 'Gradients of all weights', 'norm of the gradient (per unit of weight)',
           ('critic/gradient_norm', 'generator/gradient_norm', 'vae/gradient_norm', 'vqvae/gradient_norm'), log=True,
           caption='The norm of the gradient with respect to all weights of a network. Values above 100 are a sign of '
                   'an unstable training.'),
    Curves('critic_outputs.png', "The critic's outputs", "mean output (critic's units)",
           ('critic/real_logit', 'critic/fake_logit'), units=OBJECTIVE,
           caption='The mean output (logit) of the critic (discriminator) for the real and the generated images of '
                   'training batches.'),
    Histograms('critic_output_histogram.png', "The critic's outputs in evaluation", 'share of the images',
               "output (critic's units; higher: taken for real)", 'critic_outputs', 'edges', 'counts',
               (('train', 'training images'), ('generated', 'generated images'), ('test', 'test images')),
               caption='The distribution of the outputs of the critic (discriminator). If histograms overlap, it '
                       'cannot separate the images. A shift between training and test images indicates overfitting.'),
    Curves('critic_auc.png', 'Does the critic separate real from generated images, in evaluation?',
           'probability that a real image has the higher output', ('critic_outputs/auc',), limits=(0, 1),
           reference=0.5, reference_label='1/2: not at all',
           caption="The area under the ROC curve (AUC) of the outputs of the critic (discriminator)."),
    Curves('diversity.png', 'Distances between samples relative to those between real images',
           'ratio of mean distances (no unit)', ('diversity/pair_ratio', 'diversity/nearest_ratio'),
           reference=1., reference_label='1: like real images; 0: collapsed',
           caption='The mean distance over all pairs of samples, and from each sample to its nearest other one, '
                   'divided by the corresponding mean of real images. Values near 0 indicate mode collapse.'),
    Curves('fid.png', "Frechet distance of Inception features (FID; fid768: from partial weights)", FRECHET,
           ('inception_features/fid*@*',),
           caption='The Frechet Inception distance between generated and real images (Heusel et al. 2017); @ gives the '
                   'number of generated images. The distance falls with that number: compare equal numbers only.'),
    Curves('proxy_fid.png', 'Frechet distances of proxy features (not an FID)', FRECHET,
           ('classifier_features/proxy_fid*@*', 'random_features/proxy_fid*@*'), log=True,
           caption='The Frechet distance of features of a network that needs no download: a small classifier of the '
                   'data set, or a random network. It can rank the steps of a run, but it is not an FID.'),
    Curves('kid.png', "Kernel distance of Inception features, with its 95 % interval", FRECHET,
           ('inception_features/kid*@*',),
           caption='The kernel Inception distance (Binkowski et al. 2018), which unlike the FID does not depend on the '
                   'number of images.'),
    Curves('precision_recall.png', "Precision, recall and coverage of Inception features", 'share of images',
           ('inception_features/precision*@*', 'inception_features/recall*@*', 'inception_features/coverage*@*'),
           limits=(0, 1),
           caption='Precision: samples near a real image. Recall: real images near a sample. Coverage: real images '
                   'whose neighbourhood contains a sample.'),
    Curves('psnr.png', 'Reconstructions of test images: peak signal-to-noise ratio', 'dB',
           ('reconstruction_quality/psnr',), caption='The mean PSNR of reconstructed test images.'),
    Curves('ssim.png', 'Reconstructions of test images: structural similarity', 'SSIM (1: identical)',
           ('reconstruction_quality/ssim',),
           caption='The mean structural similarity (Wang et al. 2004) of test images and their reconstructions.'),
    Curves('critic_accuracy.png', "The critic's accuracy", 'share of images classified correctly',
           ('critic/real_accuracy', 'critic/fake_accuracy'), limits=(0, 1),
           caption='How often the critic (discriminator) classifies real images as real and generated ones as '
                   'generated, in training batches.'),
    Curves('class_accuracy.png', "Accuracy of the critic's class output", 'share of images classified correctly',
           ('critic/real_class_accuracy', 'critic/fake_class_accuracy'), limits=(0, 1),
           caption='How often the second head of the critic (discriminator) predicts the class of a real image, and '
                   'the requested class of a generated one.'),
    Curves('class_loss.png', "Cross-entropy of the class on real and on generated images", 'nats per image',
           ('critic/real_class_loss', 'critic/fake_class_loss'),
           caption='The classification term in both losses of an ACGAN.'),
    Curves('label_change.png', 'Change of images with the label and with the latents',
           'root mean square difference of a pixel (images in [-1, 1])',
           ('attribute_pairs/change_by_label', 'attribute_pairs/change_by_latents'),
           caption='How much pixels change with the label for fixed latents, and with the latents for a fixed label. '
                   'If the label changes nothing, the generator ignores it.'),
    Curves('information.png', 'Mutual information of images and categorical codes: lower bound',
           'nats per image', ('generator/information',), reference='generator/information_maximum',
           reference_label='entropy of the codes: the maximum',
           caption='The lower bound on the mutual information of codes and images, which an InfoGAN maximises.'),
    Curves('continuous_information.png', 'Mutual information of images and continuous codes: lower bound',
           'nats per image', ('generator/continuous_information',),
           caption='The lower bound on the mutual information of continuous codes and images.'),
    Curves('code_accuracy.png', 'Accuracy of Q on the categorical codes', 'share of the categorical codes',
           ('generator/code_accuracy',), limits=(0, 1),
           caption='How often the value that Q finds most likely for a code is the value that the image was generated '
                   'from.'),
    Curves('code_classes.png', 'Mutual information of the most informative code and the classes',
           'normalised mutual information (1: equivalent)', ('code_classes/nmi',), limits=(0, 1),
           caption='Measures whether a code that was learned without labels represents the class.'),
    Curves('class_consistency.png', 'Class consistency', 'share of images assigned the requested class',
           ('class_consistency/accuracy',), limits=(0, 1), reference='class_consistency/classifier_accuracy',
           reference_label='accuracy of the classifier on held-out real images',
           caption='How often a classifier trained on real images assigns a generated image the requested class. The '
                   'dashed line is its accuracy on held-out real images.'),
    ClassBars('class_consistency_by_class.png', 'Class consistency by class',
              'share assigned the requested class', 'class_consistency', entry='per_class',
              entry_label='generated images',
              reference='classifier_per_class', reference_label='held-out real images', names='class_names',
              caption='Class consistency of each class, and the accuracy of the classifier on its held-out real '
                      'images.'),
    Curves('speed.png', 'Training speed', 'images per second', ('speed/images_per_second',),
           caption='Training images per second between two logged steps, without the time for compiling, drawing, '
                   'measuring and saving.'),
)


def draw_figures(workdir: str | Path, formats: Sequence[str] = ('png',)) -> list[Path]:
  """Writes `workdir/figures/*`: the rows of FIGURES for which the run has stored numbers, and the film.

  Args:
    workdir: the run folder.
    formats: 'png', 'pdf' or both; file names end in their format.

  Returns:
    The paths of the figures, as PNG, and of the film.

  Raises:
    UserError: a stored file is damaged; the error names it.
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
  """Writes a Figure to `path` with the suffix of each format, atomically and without a time stamp."""
  engine = figure.get_layout_engine()
  if engine:                            # savefig would draw the figure twice per format, once for the layout
    engine.execute(figure)
    figure.set_layout_engine(None)
  for kind in formats:
    with replacing(path.with_suffix(f'.{kind}')) as temporary:
      figure.savefig(temporary, format=kind, metadata={'CreationDate': None} if kind == 'pdf' else None)
