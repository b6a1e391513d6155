"""VQ-VAE on Tiny ImageNet, 64x64: 3x3 convolutions, 128 codes of 16 values per image, a codebook of 256.

Van den Oord et al. 2017; the cross-entropy of images in [0, 1] and the codebook's two terms, with codes learned by
gradient. The study varies the size of the codebook.

  python launch.py --config=configs/vqvae_tiny_imagenet.py --config.data.dir=FOLDER
  python launch.py --mode=study --config=configs/vqvae_tiny_imagenet.py --config.data.dir=FOLDER
"""

from jgen import recipes


def get_config():
  config = recipes.vqvae_run()
  config.batch_size = 128
  config.num_steps = 40_000             # 51 epochs of 100,000 images
  config.data.name = 'tiny_imagenet'
  config.data.test_splits = ('val',)
  config.study.variations = tuple(f'model.quantizer.codebook_size={size}' for size in (64, 128, 256))
  config.priors.autoregressive.model.conditional = True
  return config
