"""The twins that train, by the family that a config names."""

from benchmarks.twins import GANTrainer, VAETrainer, VQVAETrainer
from benchmarks.two_headed_twins import ACGANTrainer, InfoGANTrainer

TRAINERS = {'acgan': ACGANTrainer, 'gan': GANTrainer, 'infogan': InfoGANTrainer, 'vae': VAETrainer,
            'vqvae': VQVAETrainer}
