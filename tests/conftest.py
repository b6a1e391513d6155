"""Four CPU devices for every test, and the convolution form that compiles fastest."""

import os

os.environ['JAX_PLATFORMS'] = 'cpu'
os.environ['XLA_FLAGS'] = '--xla_force_host_platform_device_count=4'
os.environ['TF_CPP_MIN_LOG_LEVEL'] = '3'
os.environ.setdefault('JGEN_CONVOLUTION', 'plain')
