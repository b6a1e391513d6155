"""Every config key, declared once with its unit and meaning. A config overrides; nothing may be added.

`base()` holds what every run reads; a family's own keys are in the function of its name, and a config starts from
`gan_run()` or `vae_run()`, which put the two together.
"""

from ml_collections import ConfigDict


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
  config.checkpoints.best_metric = ''   # evaluation number by which one more, the best, is kept; '' for none
  config.checkpoints.best_is_highest = True   # whether the best has the highest or the lowest number

  config.study = ConfigDict()           # read by --mode=study alone
  config.study.variations = ()          # one text a run: '[NAME:] KEY=VALUE KEY=VALUE ...', see docs/studies.md

  config.evaluators = ConfigDict()      # {name in jgen.evaluation.EVALUATORS: its section below}
  config.evaluators_at_end = ()         # those of them that run after the last step only, for they take long
  config.model = ConfigDict()           # the section of the family: gan()
  return config.lock()


def gan_run():
  """What every run of an adversarial family starts from."""
  config = base()
  config.family = 'gan'
  config.evaluate_every_steps = 1_000
  with config.unlocked():
    config.model = gan()
    config.evaluators = ConfigDict({
        'critic_outputs': critic_outputs(), 'diversity': diversity(),
        'latent_interpolations': latent_interpolations(), 'nearest_images': nearest_images()})
  config.evaluators_at_end = ('nearest_images',)
  return config


def acgan_run():
  """What every run of an ACGAN starts from."""
  config = gan_run()
  config.family = 'acgan'
  with config.unlocked():
    config.model = acgan()
    config.evaluators.update({'attribute_pairs': attribute_pairs(), 'class_consistency': class_consistency()})
  return config


def infogan_run():
  """What every run of an InfoGAN starts from."""
  config = gan_run()
  config.family = 'infogan'
  with config.unlocked():
    config.model = infogan()
    config.evaluators.code_grid = code_grid()
  return config


def vae_run(**evaluators):
  """What every run of a VAE starts from: measured on test images, by these evaluators beside those of every VAE."""
  config = base()
  config.family = 'vae'
  config.data.test_splits = ('test',)
  config.evaluate_every_steps = config.checkpoint_every_steps = 5_000
  with config.unlocked():
    config.model = vae()
    config.evaluators = ConfigDict({
        'ledger': ledger(), 'reconstructions': reconstructions(), 'interpolations': interpolations(),
        'traversals': traversals(), **evaluators})
  return config


def vqvae_run(**evaluators):
  """What every run of a VQ-VAE starts from: measured on test images, by these evaluators beside those of every one."""
  config = base()
  config.family = 'vqvae'
  config.data.test_splits = ('test',)
  config.evaluate_every_steps = config.checkpoint_every_steps = 5_000
  with config.unlocked():
    config.model = vqvae()
    config.evaluators = ConfigDict({
        'codebook': codebook(), 'reconstructions': reconstructions(), **evaluators})
    config.priors = priors()
  return config


def gan():
  """The keys of the adversarial families."""
  model = ConfigDict()
  model.latent_size = 100               # Z, entries of the normal noise vector
  model.conditional = False             # whether generator and critic are told the label
  model.loss = 'non_saturating'         # a name in jgen.losses.adversarial.ADVERSARIAL_LOSSES
  model.penalty = 'none'                # a name in jgen.losses.penalties.PENALTIES
  model.penalty_weight = 10.            # factor of the penalty in the critic's loss
  model.allow_penalty_with_batch_norm = False   # a per-sample penalty does not hold with BatchNorm
  model.critic_steps = 1                # critic updates a step, each on a fresh batch; they come first
  model.generator_steps = 1             # generator updates a step, each on latents of its own
  model.ema_decay = 0.                  # decay a step of the averaged generator that is sampled; 0 for none
  model.critic_targets = ConfigDict()   # what the critic is to answer: 1 is real, 0 is generated
  model.critic_targets.real = 1.        # to real images; below 1 the labels are smoothed, on this one side
  model.critic_targets.generated = 0.   # to generated images; above 0 they are smoothed on this side
  model.critic_targets.noise = 0.       # half-width of the uniform noise on each image's target, which stays in [0, 1]
  model.critic_targets.flip_probability = 0.   # with which an image's target t becomes 1 - t
  model.instance_noise = ConfigDict()   # normal noise on all that the critic sees, real and generated
  model.instance_noise.stddev = 0.      # of a pixel in [-1, 1], at step 0; 0 for no noise
  model.instance_noise.decay_steps = 0  # steps over which it falls linearly to 0; 0 keeps it
  model.diff_augment = ()               # names in jgen.differentiable_augmentation.POLICIES, in their order: changes at
                                        # random of all that the critic sees, before the noise
  model.generator = dcgan_network(features=(512, 256, 128, 64), negative_slope=0.)
  model.generator.up = 'transposed_convolution'   # a name in jgen.networks.resampling.UPSAMPLINGS
  model.generator.dropout_at_sampling = False   # whether samples are drawn with the dropout of training
  model.critic = dcgan_network(features=(64, 128, 256, 512), negative_slope=0.2)
  model.critic.down = 'strides'         # a name in jgen.networks.resampling.DOWNSAMPLINGS
  model.critic.strides = ()             # of a convolution for each of its features, instead of `down`; () for `down`
  model.critic.paddings = ()            # with `strides`: rows of zeros at each border, one number a layer
  model.critic.kernel_size = 4          # with `strides`: pixels of a side of all kernels
  model.critic.head_bias = False        # whether its last, linear layer has a bias, as it has with use_bias
  for network in (model.generator, model.critic):
    network.spectral_norm = False       # whether each kernel is divided by its largest singular value
    network.dropout = 0.                # probability, below 1, that a value after a (leaky) ReLU is dropped in training
  model.generator_optimizer = optimizer()
  model.critic_optimizer = optimizer()
  return model


def acgan():
  """The keys of an ACGAN: those of a GAN, whose generator alone is told the label, and these."""
  model = gan()
  del model.conditional
  model.label_input = 'one_hot'         # how the generator is told: a name in jgen.families.acgan.LABEL_INPUTS
  model.embedding_size = 10             # of 'embedding': entries of the learned vector of a label
  model.class_weight = 1.               # factor of the class's cross-entropy, in nats, in both losses
  model.critic.head_bias = True
  return model


def infogan():
  """The keys of an InfoGAN: those of a GAN without labels, and these."""
  model = gan()
  del model.conditional
  model.codes = ConfigDict()
  model.codes.categorical = 10          # categorical codes
  model.codes.num_values = 10           # values of each, all as likely
  model.codes.continuous = 0            # continuous codes, uniform in [-1, 1]
  model.codes.categorical_weight = 1.   # lambda: factor of their bound, in nats, beside the losses
  model.codes.continuous_weight = 0.1   # the same for the continuous ones, whose bound has no maximum
  model.codes.body_learns = True        # whether the body that Q and the critic share also learns from the bound
  model.q_optimizer = optimizer()       # of Q's head
  model.critic.head_bias = True
  return model


def vae():
  """The keys of the variational autoencoders."""
  model = ConfigDict()
  model.latent_size = 128               # Z
  model.likelihood = 'gaussian'         # a name in jgen.losses.likelihoods.LIKELIHOODS
  model.variance = 0.                   # of a pixel in [-1, 1], of the Gaussians; 0 for that of the training pixels
  model.regularizer = ConfigDict()
  model.regularizer.name = 'kl'         # a name in jgen.losses.regularizers.REGULARIZERS
  model.regularizer.weight = 1.         # its factor in the likelihood's objective: per pixel for 'squared_error', else
                                        # per image (beta)
  model.regularizer.warmup_steps = 0    # steps over which the weight rises from 0
  model.regularizer.free_nats = 0.      # of 'free_bits': nats of each latent that are not paid for
  model.regularizer.capacity_nats = 25.   # of 'capacity': nats of all latents that are aimed at
  model.regularizer.capacity_steps = 100_000   # of 'capacity': steps over which this rises from 0
  model.encoder = dcgan_network(features=(32, 64, 128, 256), normalization='batch', kernel_init='pytorch')
  model.encoder.kernel_size = 4         # pixels of a side of the kernels
  model.decoder = dcgan_network(features=(256, 128, 64, 32), normalization='batch', kernel_init='pytorch')
  model.decoder.kernel_size = 4         # of the layers that double, but for the last
  model.decoder.padding = 1             # rows that these leave out at each border
  model.decoder.last_kernel_size = 4    # of the last layer
  model.decoder.last_stride = 2         # 2 where the last layer doubles as well, else 1
  model.decoder.last_padding = 1        # rows that it leaves out at each border
  model.decoder.fully_convolutional = False   # whether the first layer's bias is one a channel, as of a convolution
  model.decoder.activate_first = False   # whether the first layer is followed by the (leaky) ReLU
  model.optimizer = optimizer()
  return model


def vqvae():
  """The keys of the vector-quantised autoencoders."""
  model = ConfigDict()
  model.reconstruction = 'cross_entropy'   # a name in jgen.losses.quantization.RECONSTRUCTIONS; summed over the pixels
  model.commitment_weight = 0.25        # beta: of the encoder's squared distance from its codes, summed over an image
  model.quantizer = ConfigDict()
  model.quantizer.codebook_size = 256   # K, codes
  model.quantizer.code_size = 16        # D, values of a code's vector
  model.quantizer.grouping = 'positions'   # what D values are a vector: a name in jgen.networks.quantizer.GROUPINGS
  model.quantizer.learned_by = 'gradient'   # what moves the codes: 'gradient' or 'moving_average'
  model.quantizer.decay = 0.99          # a step, of the averages of what each code stands for and how often
  model.quantizer.dead_below = 0.01     # share of the even use, 1 / K, below which a code is dead
  model.quantizer.revive_every_steps = 0   # steps between revivals of dead codes; 0 for none
  model.quantizer.init_images = 500     # training images whose vectors the first codes are chosen from; 0: random codes
  model.encoder = dcgan_network(features=(32, 64, 128, 128))
  model.decoder = dcgan_network(features=(64, 32, 16, 16))   # of the layers that double the image
  for network in (model.encoder, model.decoder):
    network.normalization, network.kernel_init = 'batch', 'pytorch'
    network.use_bias, network.negative_slope = True, 0.01
    network.kernel_size = 3             # pixels of a side of the kernels; of the decoder's, but for the last layer
  model.decoder.padding = 1             # rows that the layers before the last leave out at each border
  model.decoder.last_kernel_size = 3    # of the last layer
  model.decoder.last_stride = 1         # 2 where the last layer doubles as well, else 1
  model.decoder.last_padding = 1        # rows that it leaves out at each border
  model.optimizer = optimizer()
  model.optimizer.learning_rate, model.optimizer.b1 = 2e-3, 0.9
  return model


def priors():
  """The keys of --mode=prior: what is fitted to the latents of a trained VQ-VAE, each a run of its own."""
  section = ConfigDict()
  section.names = ('mixture', 'vae', 'autoregressive')   # of those below, in this order
  section.mixture = latent_prior('mixture_prior', mixture())
  section.mixture.num_steps = section.mixture.log_every_steps = 1   # it is fitted before the first step
  section.vae = latent_prior('vae_prior', latent_vae())
  section.autoregressive = latent_prior('autoregressive_prior', autoregressive())
  return section


def latent_prior(family='', model=None):
  """The keys of the run of one prior; it has all others, as the data's and the seed, from the VQ-VAE's config."""
  section = ConfigDict()
  section.family = family               # a name in jgen.families.FAMILIES
  section.num_steps = 10_000
  section.batch_size = 100
  section.steps_per_dispatch = 1
  section.log_every_steps = 100
  section.sample_every_steps = 1_000
  section.evaluate_every_steps = 1_000
  section.checkpoint_every_steps = 1_000
  section.evaluators = ConfigDict({'held_out': held_out()})
  section.evaluators_at_end = ()
  section.model = model if model else ConfigDict()
  return section


def mixture():
  """The keys of a mixture of Gaussians over the latents, which are standardised."""
  model = ConfigDict()
  model.num_points = 5_000              # training images, drawn at random, whose latents it is fitted to
  model.pca_dimension = 256             # principal components that the Gaussians are over
  model.num_components = 16             # Gaussians
  model.smallest_variance = 1e-6        # added to the variances of each along the components; of a latent it is 1
  return model


def latent_vae():
  """The keys of a VAE over the latents, which are standardised: those of `vae()`, its networks of linear layers."""
  model = vae()
  model.num_points = 5_000              # training images, at most, that mean and scale of the latents are taken from
  model.latent_size = 32
  model.likelihood = 'unbounded_gaussian'
  model.variance = 1.                   # of the likelihood; 1 is that of the training latents
  model.encoder, model.decoder = dense_network(), dense_network()
  model.optimizer.learning_rate, model.optimizer.b1 = 1e-3, 0.9
  return model


def dense_network():
  """The keys of a network of linear layers."""
  network = ConfigDict()
  network.features = (512, 512)         # values of the hidden layers
  network.negative_slope = 0.           # slope of the leaky ReLU below 0; 0 is the plain ReLU
  network.kernel_init = 'pytorch'       # a name in jgen.networks.layers.KERNEL_INITS
  return network


def autoregressive():
  """The keys of an autoregressive prior over the codes."""
  model = ConfigDict()
  model.conditional = False             # whether it is told the label
  model.width = 128                     # values that stand for a code within the transformer
  model.num_layers = 4                  # of attention and two linear layers each
  model.num_heads = 4                   # that the width is divided among
  model.dropout = 0.1                   # probability, below 1, that a value beside a shortcut is dropped in training
  model.temperature = 1.                # that the logits are divided by in sampling
  model.optimizer = optimizer()
  model.optimizer.learning_rate, model.optimizer.b1 = 1e-3, 0.9
  return model


def dcgan_network(**overrides):
  """The keys of a convolutional network: a DCGAN's generator or critic, a VAE's encoder or decoder."""
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
  section.b1 = 0.5                      # of 'adam': decay of the first moment
  section.b2 = 0.999                    # of 'adam': decay of the second moment
  section.decay = 0.99                  # of 'rmsprop': decay of the mean square
  section.momentum = 0.                 # of 'rmsprop' and 'sgd'; 0 for none
  return section


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


def diversity():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_images = 256              # generated images, and real ones
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


def held_out():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_images = 0                # test images, evenly spread; 0 for all. As many training images beside them
  return section


def ledger():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_images = 0                # test images, the first ones; 0 for all
  section.importance_samples = 0        # samples of the latents an image in the importance-weighted bound; 0 for none
  return section


def latent_interpolations():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_pairs = 10                # rows: pairs of latents; the classes in turn
  section.num_steps = 10                # images of a row, those of the two latents included
  return section


def nearest_images():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_rows = 10                 # samples shown: half of them those nearest to a training image
  section.num_neighbours = 5            # training images beside each, the nearest ones
  section.num_generated = 100           # samples that are compared with all training images
  section.num_real = 100                # real images that are, of the test images if there are any
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


def inception_features():
  """The keys of the evaluator of the same name."""
  section = _feature_scores()
  section.weights = ''                  # .npz, .pth or folder of single layers; '' for inception.npz in the data cache
  section.protocol = 'tf1'              # how images become what the network sees: a name in
                                        # jgen.evaluation.input_protocols.PROTOCOLS
  return section


def _feature_scores():
  """The keys that all evaluators of generated images in a network's features have."""
  section = ConfigDict()
  section.num_generated = 10_000        # images that are generated
  section.num_real = 0                  # real images, evenly spread; 0 for all
  section.reference = 'train'           # which images are the real ones: 'train' or 'test'
  section.further = ()                  # beyond the Frechet distance and the diversity: names in
                                        # jgen.evaluation.feature_scores.SCORES; memory grows with the images then
  return section


def score():
  """The keys that --mode=score reads beside those of the images, config.data, and of the evaluators."""
  section = ConfigDict()
  section.generated = ''                # folder or zip of generated images; evaluators with num_generated 0 take all
  section.real = ''                     # folder or zip of real ones
  return section


def random_features():
  """The keys of the evaluator of the same name."""
  return _feature_scores()


def reconstruction_quality():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_images = 0                # test images, the first ones; 0 for all
  return section


def interpolations():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.num_pairs = 5                 # rows: pairs of test images
  section.num_steps = 8                 # decoded images of a row, the two reconstructions included
  return section


def tsne():
  """The keys of the evaluator of the same name."""
  section = ConfigDict()
  section.annotation = ''               # what colours the points and is to be told from the latents; '' for the class
  section.num_images = 2_000            # test images, at most
  section.perplexity = 30.              # of t-SNE: neighbours that count, about; below the number of images
  return section
