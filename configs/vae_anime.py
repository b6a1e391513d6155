"""VAE on anime faces, 64x64, from a folder of pictures of any sizes: the ELBO with the variance of the training pixels.

Kingma & Welling 2014; 4x4 convolutions with BatchNorm, 100 latents. Pictures are cropped to the centred square, as
set by `config.data.crop`, and resized with antialiasing; `config.augmentation` flips, crops and rotates them.

  python launch.py --config=configs/vae_anime.py --config.data.dir=FOLDER   # of a folder or a zip of pictures
  python launch.py --mode=study --config=configs/vae_anime.py --config.data.dir=FOLDER
"""

from jgen import recipes


def get_config():
  config = recipes.vae_run()
  config.batch_size = 128
  config.num_steps = 40_000             # 125 epochs of the 40,978 of 51,223 pictures that are trained on
  config.data.name = 'folder'
  config.evaluate_every_steps = config.checkpoint_every_steps = 2_000
  config.study.variations = (
      'latents 20: model.latent_size=20', 'latents 100: model.latent_size=100', 'latents 500: model.latent_size=500',
      # The same number of images for every batch size: four times the steps for a quarter of the batch.
      'batch 32: batch_size=32 num_steps=160000', 'batch 512: batch_size=512 num_steps=10000')
  model = config.model
  model.latent_size = 100
  model.optimizer.learning_rate, model.optimizer.b1 = 5e-4, 0.9
  model.decoder.activate_first = True
  for network in (model.encoder, model.decoder):
    network.negative_slope = 0.01
  return config
