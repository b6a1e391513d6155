"""The process: its environment before the heavy imports, how it ends, and the other processes of a run."""

import collections
from collections.abc import Iterator
import contextlib
import errno
import functools
import hashlib
import importlib.metadata
import os
from pathlib import Path
import platform
import sys

from jgen.errors import UserError
from jgen.host import terminal
from jgen.host.files import cache_folder

# XLA frees its temporaries after every step; by default glibc hands them back to the kernel and pays for the
# pages again. Keeping them makes a step on CPU 10 to 25 % faster. glibc reads these when a process starts.
_MALLOC = {
    'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1', 'MALLOC_MMAP_THRESHOLD_': '4000000000',
    'MALLOC_TRIM_THRESHOLD_': '8000000000', 'MALLOC_TOP_PAD_': '268435456'}
# Level 1 leaves warnings and errors: that a GPU is there but unused, for one.
_QUIET = {'TF_CPP_MIN_LOG_LEVEL': '1', 'GRPC_VERBOSITY': 'ERROR', 'TF_ENABLE_ONEDNN_OPTS': '0',
          'ABSL_MIN_LOG_LEVEL': '1', 'TPU_MIN_LOG_LEVEL': '1'}

# On a CPU, XLA's newer library (YNNPACK) is the faster at sums, the older (Eigen) at convolutions, up to three times.
# XLA ends a process over a flag that it does not know, so only versions that are known to have it are given this one.
_CPU_FLAG, _FLAG_VERSIONS = '--xla_cpu_experimental_ynn_fusion_type', ('0.10.', '0.11.', '0.12.')
_CPU_FLAG_VALUE = '-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION'
_DETERMINISTIC = '--xla_gpu_deterministic_ops=true'

_COMPILED_BYTES = 2**30                 # of compiled programs that are kept; those of a run take a few megabytes

# What the person at the terminal can mend: no room, no permission, a disk that takes no writing, a path that cannot be.
_DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR,
                 errno.ELOOP, errno.ENAMETOOLONG, errno.EIO, errno.ESTALE)


def prepare() -> None:
  """Silences TensorFlow and XLA below warnings, sets XLA flags that are fast on a CPU, and lets glibc keep memory.

  That last, on Linux with glibc, starts the process again. Call it before jax is imported. Variables that are set
  already are left alone; JGEN_MALLOC=0 in the environment keeps the process as it is.
  """
  terminal.prepare()
  sys.unraisablehook = functools.partial(_show_unraisable, sys.unraisablehook)
  for name, value in _QUIET.items():
    os.environ.setdefault(name, value)
  _set_xla_flag()
  if os.environ.get('JGEN_MALLOC') or platform.libc_ver()[0] != 'glibc':
    return
  for name, value in _MALLOC.items():
    os.environ.setdefault(name, value)
  os.environ['JGEN_MALLOC'] = '1'
  os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _show_unraisable(usual, unraisable):
  """Shows an error where Python can raise none, but for one that is none.

  Orbax ends its event loop as soon as one of several reads has failed; the library that reads then finds it closed, in
  its own thread, and prints so. What failed was raised in the main thread.
  """
  if str(unraisable.exc_value) != 'Event loop is closed':
    usual(unraisable)


def _set_xla_flag():
  flags = os.environ.get('XLA_FLAGS', '')
  if importlib.metadata.version('jaxlib').startswith(_FLAG_VERSIONS) and _CPU_FLAG not in flags:
    os.environ['XLA_FLAGS'] = f'{flags} {_CPU_FLAG}={_CPU_FLAG_VALUE}'.strip()


@contextlib.contextmanager
def exit_status() -> Iterator[None]:
  """Within it, an error that the user can mend ends the process with one line and status 2, Ctrl-C with 130."""
  try:
    yield
  except (UserError, OSError, MemoryError, RuntimeError) as error:
    line = _mendable(error)
    if not line:
      raise
    terminal.tell(f'error: {line}')
    sys.exit(2)
  except KeyboardInterrupt:
    terminal.tell('interrupted; what was saved before is kept')
    sys.exit(130)
  finally:
    terminal.finish()


def _mendable(error):
  """The message of an error that the user can fix; '' for any other."""
  if isinstance(error, MemoryError) or 'RESOURCE_EXHAUSTED' in str(error):   # by type as many as there are layers
    return (f'no memory left on the {"host" if isinstance(error, MemoryError) else "device"} ({str(error)[:200]}); '
            'lower config.batch_size or config.data.image_size, or stop what else uses that memory; what was saved '
            'before is kept')
  return str(error) if isinstance(error, UserError) or getattr(error, 'errno', None) in _DISK_TROUBLE else ''


def start_jax(coordinator: str = '', num_processes: int = 1, process_id: int = 0,
              deterministic: bool = False) -> None:
  """Has JAX run steps where they are fast, and connects this process to the others of a run over several hosts.

  On a CPU a step runs in the thread that asks for it: of all threads only the main one's memory can keep what is
  larger than 64 MB from step to step. The threads that help it have memory of their own, for a convolution takes
  scratch thousands of times a step. Together 7 to 11 % faster than one memory for all threads. Call it before JAX
  looks for devices.

  Args:
    coordinator: HOST:PORT of process 0, or 'auto' under SLURM, on a TPU pod or on Kubernetes; '' for a single process.
    num_processes, process_id: how many there are and which this is; read only with HOST:PORT.
    deterministic: whether XLA is to choose, on a GPU, only what gives the same numbers at every start.

  Raises:
    UserError: the others are not found; JAX_PLATFORMS names devices that are not there.
  """
  if deterministic:
    os.environ['XLA_FLAGS'] = f'{os.environ.get("XLA_FLAGS", "")} {_DETERMINISTIC}'.strip()
  import jax
  jax.config.update('jax_cpu_enable_async_dispatch', False)
  _keep_compiled_programs(jax.config)
  try:
    if coordinator == 'auto':
      jax.distributed.initialize()
    elif coordinator:
      jax.distributed.initialize(coordinator, num_processes=num_processes, process_id=process_id)
  except (RuntimeError, ValueError, IndexError) as error:   # the last of an address without a port
    raise UserError(f'--coordinator={coordinator}: the other processes are not found ({error}); start all of them with '
                    'the same --coordinator and --num_processes, and each with its own --process_id') from error
  if os.environ.get('JAX_PLATFORMS'):
    _check_platforms(jax, os.environ['JAX_PLATFORMS'])


def _check_platforms(jax, wanted):
  try:
    jax.devices()
  except (RuntimeError, AssertionError) as error:   # the latter where no plugin has the platform's name
    raise UserError(f'JAX_PLATFORMS={wanted}: there are no such devices ({error}); unset it, or install what drives '
                    "them: pip install -e '.[cuda]' for NVIDIA GPUs, '.[tpu]' for TPUs") from error


@functools.cache
def tell_devices() -> None:
  """Says once, on the first process, what the run computes on."""
  import jax
  names = collections.Counter(device.device_kind for device in jax.devices())
  kinds = ', '.join(f'{count} x {name}' if count > 1 else name for name, count in names.items())
  cores = f' ({os.cpu_count()} cores)' if jax.default_backend() == 'cpu' else ''
  processes = f' of {jax.process_count()} processes' if jax.process_count() > 1 else ''
  if jax.process_index() == 0:
    terminal.say(f'devices: {kinds}{cores}{processes}; JAX {jax.__version__}')


def _keep_compiled_programs(config):
  """Has JAX find again what this machine compiled before: half a minute at the start of a run becomes a second.

  They lie in jgen's cache folder, where those that were read longest ago are deleted beyond a size. JAX's own variables
  win: JAX_COMPILATION_CACHE_DIR names another folder, JAX_ENABLE_COMPILATION_CACHE=0 keeps nothing.
  """
  if os.environ.get('JAX_COMPILATION_CACHE_DIR') or not config.jax_enable_compilation_cache:
    return
  folder = cache_folder() / 'compiled' / _processor()
  with contextlib.suppress(OSError):    # a home without room, or that may not be written, is no reason not to train
    folder.mkdir(parents=True, exist_ok=True)
    delete_beyond(folder.parent, _COMPILED_BYTES)
    config.update('jax_compilation_cache_dir', str(folder))
    if 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS' not in os.environ:
      config.update('jax_persistent_cache_min_compile_time_secs', 0.3)


def _processor():
  """A digest of the instructions that the processor has: a home may be shared by machines of several kinds."""
  try:
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    features = sorted({line for line in lines if line.startswith(('flags', 'Features', 'model name'))})
  except OSError:
    features = [platform.processor()]
  return hashlib.sha256('\n'.join([platform.machine(), *features]).encode()).hexdigest()[:12]


def delete_beyond(folder: Path, limit: int) -> None:
  """Deletes the files below `folder` that were read longest ago, until those that are left take `limit` bytes."""
  stats = sorted(((path.stat(), path) for path in folder.rglob('*') if path.is_file()),
                 key=lambda entry: max(entry[0].st_atime, entry[0].st_mtime))
  excess = sum(stat.st_size for stat, _ in stats) - limit
  for stat, path in stats:
    if excess <= 0:
      return
    path.unlink(missing_ok=True)
    excess -= stat.st_size
