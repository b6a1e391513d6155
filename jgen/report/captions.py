"""What the pictures of a run show: titles and captions by the name of their file."""

import fnmatch

SAMPLES = ('Samples', 'Samples after step {step:,}, from the same latents at every step.')

PRIORS = ('Samples of the priors', 'Real images, their reconstructions, and images that each prior drew and the '
          "VQ-VAE's decoder made of its codes.", 'Rows of real images, of their reconstructions and of samples of each '
          'prior')

# {pattern of the picture's name: (title, caption)}; the first that matches counts.
PICTURES = {
    'attribute_pairs': ('Samples with the same latents and each label',
                        'In each column the latents are the same and the label alone differs, row by row.'),
    'code_grid_*': ('Samples along one code',
                    'In each row one code takes its values from left to right, while the noise and all other codes '
                    'stay. A code that was learned changes one thing, in the same way in every row.'),
    'interpolations': ('Interpolations between test images',
                       'Each row decodes latents on the straight line between the latent means of two test images, '
                       'which are shown at both ends.'),
    'latent_interpolations': ('Interpolations between samples',
                              'Each row draws samples at latents on the arc between two latents of the prior. '
                              'Changes that are gradual say that the generator did not learn images by heart.'),
    'nearest_images': ('Samples and the training images nearest to them',
                       'Each row is a sample with its nearest training images, with the distance to the '
                       'nearest. Samples that equal a training image are copies; the scores give the distances that '
                       'are usual for real images.'),
    'reconstructions': ('Test images and their reconstructions',
                        'Rows of test images, each above the row of its reconstructions.'),
    'traversals': ('Latent traversals',
                   'In each row one latent, among those with the largest KL divergence, runs through its values while '
                   'the others stay.'),
    'trusted_*': ('The best and the worst samples, by the critic',   # of earlier versions
                  "Samples that the critic (discriminator) is most sure are real, above those it is least sure of: "
                  'the worst samples set apart.'),
    'best_and_worst*': ('The best and the worst samples, by the critic',
                        "Samples that the critic (discriminator) is most sure are real, above those it is least sure "
                        'of: the worst samples set apart.'),
}


def of_picture(name: str) -> tuple[str, str]:
  """(title, caption) of the picture `evaluation/<name>_step_<step>.png`."""
  for pattern, (title, caption) in PICTURES.items():
    if fnmatch.fnmatchcase(name, pattern):
      number = name.removeprefix(pattern.rstrip('*')) if pattern.startswith('code_grid') else ''
      return f'{title} ({number})' if number else title, caption
  return name.replace('_', ' ').capitalize(), 'Drawn by the evaluation.'
