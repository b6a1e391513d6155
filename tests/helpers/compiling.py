"""Flags of XLA with which functions compile fast, since compile time is what the tests cost.

Import it before JAX, which reads the environment when it is imported.
"""

from importlib.metadata import version

# XLA's newer emitters of fused loops take twice as long to compile. An XLA without the flag refuses to start.
_OLD_EMITTERS = '--xla_cpu_use_fusion_emitters=false' if version('jaxlib').startswith('0.10.') else ''


def flags(devices: int) -> str:
  """The value of XLA_FLAGS for this number of CPU devices."""
  return (f'--xla_force_host_platform_device_count={devices} --xla_backend_optimization_level=1 {_OLD_EMITTERS} '
          '--xla_cpu_parallel_codegen_split_count=1 '   # both cores are busy with tests
          # Devices that wait 40 s for each other abort the process, and on a busy machine they may.
          '--xla_cpu_collective_call_terminate_timeout_seconds=600')
