"""The PyTorch models with their training steps, by the family of a config."""

from benchmarks.twins import GANTrainer, VAETrainer, VQVAETrainer
from benchmarks.two_headed_twins import ACGANTrainer, InfoGANTrainer

TRAINERS = {'acgan': ACGANTrainer, 'gan': GANTrainer, 'infogan': InfoGANTrainer, 'vae': VAETrainer,
            'vqvae': VQVAETrainer}
