"""Titles and captions of a run's pictures, by file name."""

import fnmatch

SAMPLES = ('Samples', 'Samples after step {step:,}, from the same latents at every step.')

PRIORS = ('Samples of the priors', 'Real images, their reconstructions, and samples of each prior, decoded by the '
          'VQ-VAE.', 'Rows of real images, of their reconstructions and of samples of each '
          'prior')

# {pattern of the picture's name: (title, caption)}; the first match is used.
PICTURES = {
    'attribute_pairs': ('Samples with the same latents and each label',
                        'All images of a column have the same latents; the label changes from row to row.'),
    'code_grid_*': ('Samples along one code',
                    'Each row varies one code from left to right; the noise and all other codes are '
                    'fixed. A learned code changes the same property in every row.'),
    'interpolations': ('Interpolations between test images',
                       'Each row decodes points on the straight line between the latent means of two test images, '
                       'which are shown at both ends.'),
    'latent_interpolations': ('Interpolations between samples',
                              'Each row shows samples at latents on the arc between two latents drawn from the prior. '
                              'Gradual changes indicate that the generator has not memorised images.'),
    'nearest_images': ('Samples and the training images nearest to them',
                       'Each row shows a sample and its nearest training images, with the distance to the '
                       'nearest. A sample equal to a training image is a copy; the scores give the usual distances of '
                       'real images.'),
    'reconstructions': ('Test images and their reconstructions',
                        'Rows of test images, each above the row of its reconstructions.'),
    'traversals': ('Latent traversals',
                   'Each row varies one latent, among those with the largest KL divergence; all others are '
                   'fixed.'),
    'trusted_*': ('The best and the worst samples according to the critic',   # of earlier versions
                  'Samples with the highest output of the critic (discriminator), above those with the lowest: '
                  'the worst are set apart.'),
    'best_and_worst*': ('The best and the worst samples according to the critic',
                        'Samples with the highest output of the critic (discriminator), above those with the '
                        'lowest: the worst are set apart.'),
}


def of_picture(name: str) -> tuple[str, str]:
  """(title, caption) of the picture `evaluation/<name>_step_<step>.png`."""
  for pattern, (title, caption) in PICTURES.items():
    if fnmatch.fnmatchcase(name, pattern):
      number = name.removeprefix(pattern.rstrip('*')) if pattern.startswith('code_grid') else ''
      return f'{title} ({number})' if number else title, caption
  return name.replace('_', ' ').capitalize(), 'Drawn during evaluation.'
