"""The keys of the families of models, each in the function of its name."""

from ml_collections import ConfigDict

from configs import evaluators


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
  model.diff_augment = ()               # names in jgen.augmentation.diff_augment.POLICIES, in their order: changes at
                                        # random of all that the critic sees, before the noise
  model.generator = dcgan_network(features=(512, 256, 128, 64), negative_slope=0.)
  model.generator.up = 'transposed_convolution'   # a name in jgen.networks.convolution.resampling.UPSAMPLINGS
  model.generator.dropout_at_sampling = False   # whether samples are drawn with the dropout of training
  model.critic = dcgan_network(features=(64, 128, 256, 512), negative_slope=0.2)
  model.critic.down = 'strides'         # a name in jgen.networks.convolution.resampling.DOWNSAMPLINGS
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
  section.mixture.batch_size = 128      # is only measured, and divides over most numbers of devices
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
  section.evaluators = ConfigDict({'held_out': evaluators.held_out()})
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
  section.name = 'adam'                 # a name in jgen.families.optimizers.OPTIMIZERS
  section.learning_rate = 2e-4          # step size
  section.b1 = 0.5                      # of 'adam': decay of the first moment
  section.b2 = 0.999                    # of 'adam': decay of the second moment
  section.decay = 0.99                  # of 'rmsprop': decay of the mean square
  section.momentum = 0.                 # of 'rmsprop' and 'sgd'; 0 for none
  return section
