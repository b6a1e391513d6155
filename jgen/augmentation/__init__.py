"""Random augmentation of training images and of the critic's inputs."""
