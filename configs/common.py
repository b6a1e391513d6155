"""Every config key, declared once with its unit and meaning. A config overrides; nothing may be added.

`base()` holds what every run reads; a family's own keys are in the function of its name, and a
config chooses them with `config.model = common.gan()`.
"""

from ml_collections import ConfigDict


def base():
  """The keys of every run."""
  config = ConfigDict()
  config.family = ''                    # the model family: a name in jgen.families.FAMILIES
  config.seed = 0                       # from it, and the step, comes every random number of a run
  config.num_steps = 10_000             # training steps in all (a GAN's step: one generator update)
  config.batch_size = 64                # images a batch, over all devices and processes
  config.steps_per_dispatch = 1         # steps compiled into one call of the device

  config.data = ConfigDict()
  config.data.name = ''                 # the data set: a name in jgen.data.READERS
  config.data.dir = ''                  # folder with the published files; '' for the reader's default
  config.data.splits = ('train',)       # the splits that are trained on, joined
  config.data.image_size = 64           # pixels of a side, after resizing
  config.data.cache_dir = ''            # folder for prepared images; '' for ~/.cache/jgen
  config.data.label = ''                # the annotation that is the label; '' for the data set's own class, if any
  config.data.crop = 0.                 # side of the centred square kept of image files, as a share of the shorter
                                        # side: 1 for the largest, 0 for the usual one (CelebA 140/178, others 1)
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

  config.checkpoints = ConfigDict()
  config.checkpoints.keep_last = 3      # newest checkpoints that are kept
  config.checkpoints.best_metric = ''   # evaluation number by which one more, the best, is kept; '' for none
  config.checkpoints.best_is_highest = True   # whether the best has the highest or the lowest number

  config.evaluators = ConfigDict()      # {name in jgen.evaluation.EVALUATORS: its section below}
  config.model = ConfigDict()           # the section of the family: gan()
  return config.lock()


def gan():
  """The keys of the adversarial families."""
  model = ConfigDict()
  model.latent_size = 100               # Z, entries of the normal noise vector
  model.conditional = False             # whether generator and critic are told the label
  model.loss = 'non_saturating'         # a name in jgen.losses.adversarial.ADVERSARIAL_LOSSES
  model.penalty = 'none'                # a name in jgen.losses.penalties.PENALTIES
  model.penalty_weight = 10.            # factor of the penalty in the critic's loss
  model.allow_penalty_with_batch_norm = False   # a per-sample penalty does not hold with BatchNorm
  model.critic_steps = 1                # critic updates, each on a fresh batch, per generator update
  model.ema_decay = 0.                  # decay per step of the averaged generator that is sampled; 0 for none
  model.generator = dcgan_network(features=(512, 256, 128, 64), negative_slope=0.)
  model.critic = dcgan_network(features=(64, 128, 256, 512), negative_slope=0.2)
  model.generator_optimizer = optimizer()
  model.critic_optimizer = optimizer()
  return model


def dcgan_network(**overrides):
  """The keys of a DCGAN generator or critic."""
  network = ConfigDict()
  network.features = (512, 256, 128, 64)   # channels of the hidden layers, from input to output
  network.negative_slope = 0.           # slope of the leaky ReLU below 0; 0 is the plain ReLU
  network.normalization = 'batch'       # a name in jgen.networks.layers.NORMALIZATIONS
  network.kernel_init = 'dcgan'         # a name in jgen.networks.layers.KERNEL_INITS
  network.use_bias = False              # whether convolutions and linear layers have a bias
  network.update(overrides)
  return network


def optimizer():
  """The keys of one network's optimizer."""
  section = ConfigDict()
  section.name = 'adam'                 # a name in jgen.optimizers.OPTIMIZERS
  section.learning_rate = 2e-4          # step size
  section.b1 = 0.5                      # decay of the first moment
  section.b2 = 0.999                    # decay of the second moment
  return section


def class_consistency():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_real = 5_000              # real labelled images, at most; 4/5 train the classifier, 1/5 test it
  section.num_generated = 1_000         # generated images, the same number of each class
  return section
