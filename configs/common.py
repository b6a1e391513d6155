"""The keys of every run, and what the runs of a family start from; see `models.py` and `evaluators.py` for the rest.

Every config key is declared once, with its unit and meaning, in one of the three files. A config overrides; nothing may
be added.
"""

from ml_collections import ConfigDict

from configs import evaluators, models


def base():
  """The keys of every run."""
  config = ConfigDict()
  config.family = ''                    # the model family: a name in jgen.families.FAMILIES
  config.seed = 0                       # from it, and the step, comes every random number of a run
  config.num_steps = 10_000             # training steps in all (a GAN's: its critic's updates, then its generator's)
  config.batch_size = 64                # images a batch, over all devices and processes
  config.steps_per_dispatch = 1         # steps compiled into one call of the device

  config.data = ConfigDict()
  config.data.name = ''                 # the data set: a name in jgen.data.READERS
  config.data.dir = ''                  # folder with the published files; '' for the reader's default
  config.data.splits = ('train',)       # the splits that are trained on, joined
  config.data.test_splits = ()          # the splits that evaluators measure on, joined; () for none
  config.data.image_size = 64           # pixels of a side, after resizing; of the height where image_width is set
  config.data.image_width = 0           # pixels of the width, after resizing; 0 for as high, a square
  config.data.channels = 0              # 1 for grey, 3 for colour; 0 for the data set's own ('folder': colour)
  config.data.cache_dir = ''            # folder for prepared images; '' for ~/.cache/jgen
  config.data.label = ''                # the annotation that is the label; '' for the data set's own class, if any
  config.data.crop = 0.                 # sides of the centre kept of image files, as a share of the largest centred
                                        # square or rectangle: 1 all of it, 0 the usual one (CelebA 140/178, others 1)
  config.data.label_file = ''           # of 'folder': a .csv of what is known of each image; '' for none
  config.data.partition_file = ''       # of 'celeba', 'folder': a list of each image's split; '' for the usual splits
  config.data.max_bad_share = 0.01      # share of undecodable image files that are skipped before all is refused
  config.data.on_device = False         # whether the images are kept in the devices' memory, as uint8
  config.data.sprites = ConfigDict()    # read by the data set 'sprites' alone
  config.data.sprites.num_images = 0    # how many of its 737,280 images, evenly spread; 0 for all

  config.augmentation = ConfigDict()    # at random for each training image, on the device; as it stands: nothing
  config.augmentation.horizontal_flip = 0.   # probability, 0 to 1, of being mirrored left to right
  config.augmentation.smallest_crop = 1.   # share of the side, above 0, that a crop keeps at least; resized back
  config.augmentation.largest_rotation = 0.   # degrees, 0 to 180, that it is turned at most, either way

  config.log_every_steps = 100          # steps between rows of metrics.csv and TensorBoard scalars
  config.sample_every_steps = 1_000     # steps between sample grids
  config.evaluate_every_steps = 0       # steps between evaluations; 0 evaluates at the end only
  config.checkpoint_every_steps = 1_000  # steps between checkpoints
  config.samples_per_class = 10         # columns of the sample grid (rows: the classes)

  config.doctor = ConfigDict()          # which numbers of an adversarial training are signs that it fails: docs/gan.md
  config.doctor.window_steps = 1_000    # steps that a sign is looked for in, 10 logged rows at least, and none before
  config.doctor.least_critic_loss = 0.05   # mean, without a penalty, below which the critic has won; 0 for none
  config.doctor.largest_gradient_norm = 100.   # median, of either network; .inf for none
  config.doctor.largest_loss_variation = 1.   # standard deviation of the critic's loss as a share of its mean
  config.doctor.largest_generator_fall = 0.1   # of its loss over the window, where it falls steadily and most samples
                                        # pass for real
  config.doctor.least_diversity = 0.3   # distance between samples as a share of that between real images; 0 for none

  config.checkpoints = ConfigDict()
  config.checkpoints.keep_last = 3      # newest checkpoints that are kept
  config.checkpoints.best_metric = ''   # score by which one more, the best, is kept: `<evaluator>/<entry>`, one of
                                        # jgen.run.scores.KINDS; '' for none

  config.study = ConfigDict()           # read by --mode=study alone
  config.study.variations = ()          # one text a run: '[NAME:] KEY=VALUE KEY=VALUE ...', see docs/studies.md

  config.evaluators = ConfigDict()      # {name in jgen.evaluation.EVALUATORS: its section}
  config.evaluators_at_end = ()         # those of them that run after the last step only, for they take long
  config.model = ConfigDict()           # the section of the family: models.gan()
  return config.lock()


def gan_run():
  """What every run of an adversarial family starts from."""
  config = base()
  config.family = 'gan'
  config.evaluate_every_steps = 1_000
  with config.unlocked():
    config.model = models.gan()
    config.evaluators = ConfigDict({
        'critic_outputs': evaluators.critic_outputs(), 'diversity': evaluators.diversity(),
        'latent_interpolations': evaluators.latent_interpolations(), 'nearest_images': evaluators.nearest_images()})
  config.evaluators_at_end = ('nearest_images',)
  return config


def acgan_run():
  """What every run of an ACGAN starts from."""
  config = gan_run()
  config.family = 'acgan'
  with config.unlocked():
    config.model = models.acgan()
    config.evaluators.update({'attribute_pairs': evaluators.attribute_pairs(),
                              'class_consistency': evaluators.class_consistency()})
  return config


def infogan_run():
  """What every run of an InfoGAN starts from."""
  config = gan_run()
  config.family = 'infogan'
  with config.unlocked():
    config.model = models.infogan()
    config.evaluators.code_grid = evaluators.code_grid()
  return config


def vae_run(**more):
  """What every run of a VAE starts from: measured on test images, by these evaluators beside those of every VAE."""
  config = base()
  config.family = 'vae'
  config.data.test_splits = ('test',)
  config.evaluate_every_steps = config.checkpoint_every_steps = 5_000
  with config.unlocked():
    config.model = models.vae()
    config.evaluators = ConfigDict({
        'ledger': evaluators.ledger(), 'reconstructions': evaluators.reconstructions(),
        'interpolations': evaluators.interpolations(), 'traversals': evaluators.traversals(), **more})
  return config


def vqvae_run(**more):
  """What every run of a VQ-VAE starts from: measured on test images, by these evaluators beside those of every one."""
  config = base()
  config.family = 'vqvae'
  config.data.test_splits = ('test',)
  config.evaluate_every_steps = config.checkpoint_every_steps = 5_000
  with config.unlocked():
    config.model = models.vqvae()
    config.evaluators = ConfigDict({
        'codebook': evaluators.codebook(), 'reconstructions': evaluators.reconstructions(), **more})
    config.priors = models.priors()
  return config


def score():
  """The keys that --mode=score reads beside those of the images, config.data, and of the evaluators."""
  section = ConfigDict()
  section.generated = ''                # folder or zip of generated images; evaluators with num_generated 0 take all
  section.real = ''                     # folder or zip of real ones
  return section
