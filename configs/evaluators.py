"""The keys of the evaluators, each in the function of its name."""

from ml_collections import ConfigDict


def attribute_pairs():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_pairs = 10                # columns: latents, each drawn with every label
  return section


def class_consistency():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_real = 5_000              # real labelled images, at most; 4/5 train the classifier, 1/5 test it
  section.num_generated = 1_000         # generated images, the same number of each class
  return section


def classifier_features():
  """The keys of the evaluator of the same name."""
  return _feature_scores()


def code_classes():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_real = 5_000              # real labelled images, at most; 4/5 train the classifier, 1/5 test it
  section.num_generated = 1_000         # generated images of random codes
  return section


def code_grid():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_rows = 10                 # rows: noise, and values of the other codes, that stay
  section.num_values = 11               # columns for a continuous code, evenly from -1 to 1; other codes have their own
  return section


def codebook():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_images = 0                # test images, the first ones; 0 for all
  section.num_train_images = 10_000     # training images, at most, evenly spread; 0 for all: an epoch
  return section


def critic_outputs():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_images = 1_000            # images of each kind: training, test if any, generated
  section.num_shown = 20                # generated images that are trusted most, and as many that are trusted least
  section.num_bins = 40                 # bars of the histograms, over the outputs for all images
  return section


def disentanglement():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_images = 50_000           # training images, at most, that are encoded; 0 for all, as published
  section.num_train = 10_000            # of these, those that MIG is measured on and DCI and SAP learn from
  section.num_test = 5_000              # of these, others that DCI and SAP are tested on
  section.num_bins = 20                 # MIG: bins of each latent
  section.num_train_batches = 10_000    # FactorVAE and beta-VAE score: batches with one factor fixed, to learn from
  section.num_test_batches = 5_000      # and to be tested on
  section.batch_size = 64               # images, or pairs of images, of such a batch
  section.num_trees = 100               # DCI: boosting stages
  return section


def diversity():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_images = 256              # generated images, and real ones
  return section


def _feature_scores():
  """The keys that all evaluators of generated images in a network's features have."""
  section = ConfigDict()
  section.num_generated = 10_000        # images that are generated
  section.num_real = 0                  # real images, evenly spread; 0 for all
  section.reference = 'train'           # which images are the real ones: 'train' or 'test'
  section.further = ()                  # beyond the Frechet distance and the diversity: names in jgen.evaluation.
                                        # features.feature_scores.SCORES; memory grows with the images then
  return section


def held_out():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_images = 0                # test images, evenly spread; 0 for all. As many training images beside them
  return section


def inception_features():
  """The keys of the evaluator of the same name."""
  section = _feature_scores()
  section.weights = ''                  # .npz, .pth or folder of single layers; '' for inception.npz in the data cache
  section.protocol = 'tf1'              # how images become what the network sees: a name in
                                        # jgen.evaluation.features.input_protocols.PROTOCOLS
  return section


def interpolations():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_pairs = 5                 # rows: pairs of test images
  section.num_steps = 8                 # decoded images of a row, the two reconstructions included
  return section


def latent_interpolations():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_pairs = 10                # rows: pairs of latents; the classes in turn
  section.num_steps = 10                # images of a row, those of the two latents included
  return section


def ledger():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_images = 0                # test images, the first ones; 0 for all
  section.importance_samples = 0        # samples of the latents an image in the importance-weighted bound; 0 for none
  return section


def nearest_images():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_rows = 10                 # samples shown: half of them those nearest to a training image
  section.num_neighbours = 5            # training images beside each, the nearest ones
  section.num_generated = 100           # samples that are compared with all training images
  section.num_real = 100                # real images that are, of the test images if there are any
  return section


def random_features():
  """The keys of the evaluator of the same name."""
  return _feature_scores()


def reconstruction_quality():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_images = 0                # test images, the first ones; 0 for all
  return section


def reconstructions():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_images = 10               # test images, at most; 10 side by side
  return section


def traversals():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_latents = 10              # rows, at most: the latents with the largest KL, in nats
  section.num_values = 11               # columns: values of the latent, evenly spaced
  section.span = 3.                     # they run from -span to span, in standard deviations of the prior
  section.image = 0                     # number of the test image whose other latents are kept; -1 keeps them at 0
  section.num_images = 1_000            # test images, at most, that the KL is measured on
  return section


def tsne():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.annotation = ''               # what colours the points and is to be told from the latents; '' for the class
  section.num_images = 2_000            # test images, at most
  section.perplexity = 30.              # of t-SNE: neighbours that count, about; below the number of images
  return section
