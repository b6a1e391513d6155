"""The process: its environment before the heavy imports, the start of JAX, and its exit status."""

import collections
from collections.abc import Iterator
import contextlib
import errno
import functools
import gc
import hashlib
import importlib.metadata
import os
from pathlib import Path
import platform
import sys

from jgen.errors import UserError
from jgen.host import terminal
from jgen.host.files import cache_folder

# XLA frees its temporaries after every step; by default glibc returns them to the kernel and has to allocate the
# pages again. Keeping them makes a step on CPU 10 to 25 % faster. glibc reads these variables when a process starts.
_MALLOC = {
    'GLIBC_TUNABLES': 'glibc.malloc.hugetlb=1', 'MALLOC_MMAP_THRESHOLD_': '4000000000',
    'MALLOC_TRIM_THRESHOLD_': '8000000000', 'MALLOC_TOP_PAD_': '268435456'}
# Level 1 keeps warnings and errors, for example that a GPU is unused.
_QUIET = {'TF_CPP_MIN_LOG_LEVEL': '1', 'GRPC_VERBOSITY': 'ERROR', 'TF_ENABLE_ONEDNN_OPTS': '0',
          'ABSL_MIN_LOG_LEVEL': '1', 'TPU_MIN_LOG_LEVEL': '1'}

# On a CPU, XLA's newer library (YNNPACK) is faster at sums, the older one (Eigen) at convolutions, up to three times.
# XLA ends the process at an unknown flag, so it is set only for versions that have it.
_CPU_FLAG, _FLAG_VERSIONS = '--xla_cpu_experimental_ynn_fusion_type', ('0.10.', '0.11.', '0.12.')
_CPU_FLAG_VALUE = '-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION'
_DETERMINISTIC = '--xla_gpu_deterministic_ops=true'

# Python's gc.set_threshold: tracing makes many objects that live on, and looking through them so often takes 5 % of a
# short run.
_COLLECTIONS = (50_000, 20, 50)

_COMPILED_BYTES = 2**30                 # size limit of the compilation cache; a run takes a few megabytes

# Errors that the user can fix: no disk space, no permission, a read-only or failing disk, an invalid path.
_DISK_TROUBLE = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR,
                 errno.ELOOP, errno.ENAMETOOLONG, errno.EIO, errno.ESTALE)


def prepare() -> None:
  """Hides log messages below warnings, sets XLA flags that are fast on a CPU, and makes glibc keep freed memory.

  The last one restarts the process, on Linux with glibc. Call it before jax is imported. Environment variables that
  are already set are left unchanged; JGEN_MALLOC=0 prevents the restart.
  """
  terminal.prepare()
  sys.unraisablehook = functools.partial(_show_unraisable, sys.unraisablehook)
  for name, value in _QUIET.items():
    os.environ.setdefault(name, value)
  _set_xla_flag()
  gc.set_threshold(*_COLLECTIONS)
  if os.environ.get('JGEN_MALLOC') or platform.libc_ver()[0] != 'glibc':
    return
  for name, value in _MALLOC.items():
    os.environ.setdefault(name, value)
  os.environ['JGEN_MALLOC'] = '1'
  os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])


def _show_unraisable(hook, unraisable):
  """Calls the original unraisable hook, except for a message of Orbax that is not an error.

  Orbax closes its event loop as soon as one of several reads has failed, and then prints from another thread that the
  loop is closed. The failure itself is raised in the main thread.
  """
  if str(unraisable.exc_value) != 'Event loop is closed':
    hook(unraisable)


def _set_xla_flag():
  flags = os.environ.get('XLA_FLAGS', '')
  if importlib.metadata.version('jaxlib').startswith(_FLAG_VERSIONS) and _CPU_FLAG not in flags:
    os.environ['XLA_FLAGS'] = f'{flags} {_CPU_FLAG}={_CPU_FLAG_VALUE}'.strip()


@contextlib.contextmanager
def importing() -> Iterator[None]:
  """Context without garbage collection, for imports: their objects live until exit, and scanning them takes 0.5 s."""
  gc.disable()
  try:
    yield
  finally:
    gc.freeze()
    gc.enable()


@contextlib.contextmanager
def exit_status() -> Iterator[None]:
  """Context in which an error that the user can fix ends the process with one line and status 2, Ctrl-C with 130."""
  try:
    yield
  except (UserError, OSError, MemoryError, RuntimeError) as error:
    line = _fixable(error)
    if not line:
      raise
    terminal.tell(f'error: {line}')
    sys.exit(2)
  except KeyboardInterrupt:
    terminal.tell('interrupted; everything saved before is kept')
    sys.exit(130)
  finally:
    terminal.finish()


def _fixable(error):
  """The message of an error that the user can fix; '' for any other."""
  if isinstance(error, MemoryError) or 'RESOURCE_EXHAUSTED' in str(error):   # each layer raises its own type
    return (f'no memory left on the {"host" if isinstance(error, MemoryError) else "device"} ({str(error)[:200]}); '
            'lower config.batch_size or config.data.image_size, or stop other programs that use the memory; '
            'everything saved before is kept')
  return str(error) if isinstance(error, UserError) or getattr(error, 'errno', None) in _DISK_TROUBLE else ''


def start_jax(coordinator: str = '', num_processes: int = 1, process_id: int = 0,
              deterministic: bool = False) -> None:
  """Configures JAX for fast steps, and connects this process to the others of a multi-process run.

  On a CPU a step runs in the thread that calls it, because only the main thread's malloc arena can keep blocks larger
  than 64 MB from step to step. XLA's worker threads have their own arenas, since a convolution allocates scratch memory
  thousands of times per step. Together this is 7 to 11 % faster than a single arena. Call it before JAX initialises its
  devices.

  Args:
    coordinator: HOST:PORT of process 0, or 'auto' under SLURM, on a TPU pod or on Kubernetes; '' for a single process.
    num_processes, process_id: the number of processes and the id of this one; read only with HOST:PORT.
    deterministic: whether XLA uses only GPU operations that give the same numbers in every run.

  Raises:
    UserError: the other processes are not found; JAX_PLATFORMS names missing devices.
  """
  if deterministic:
    os.environ['XLA_FLAGS'] = f'{os.environ.get("XLA_FLAGS", "")} {_DETERMINISTIC}'.strip()
  import jax
  jax.config.update('jax_cpu_enable_async_dispatch', False)
  _enable_compilation_cache(jax.config)
  try:
    if coordinator == 'auto':
      jax.distributed.initialize()
    elif coordinator:
      jax.distributed.initialize(coordinator, num_processes=num_processes, process_id=process_id)
  except (RuntimeError, ValueError, IndexError) as error:   # IndexError for an address without a port
    raise UserError(f'--coordinator={coordinator}: the other processes are not found ({error}); start all of them with '
                    'the same --coordinator and --num_processes, and each with its own --process_id') from error
  if os.environ.get('JAX_PLATFORMS'):
    _check_platforms(jax, os.environ['JAX_PLATFORMS'])


def _check_platforms(jax, wanted):
  try:
    jax.devices()
  except (RuntimeError, AssertionError) as error:   # AssertionError if no plugin has the platform's name
    raise UserError(f'JAX_PLATFORMS={wanted}: there are no such devices ({error}); unset it, or install the JAX plugin '
                    "for them: pip install -e '.[cuda]' for NVIDIA GPUs, '.[tpu]' for TPUs") from error


@functools.cache
def tell_devices() -> None:
  """Prints the devices of the run, once, in process 0."""
  import jax
  names = collections.Counter(device.device_kind for device in jax.devices())
  kinds = ', '.join(f'{count} x {name}' if count > 1 else name for name, count in names.items())
  cores = f' ({os.cpu_count()} cores)' if jax.default_backend() == 'cpu' else ''
  processes = f' of {jax.process_count()} processes' if jax.process_count() > 1 else ''
  if jax.process_index() == 0:
    terminal.say(f'devices: {kinds}{cores}{processes}; JAX {jax.__version__}')


def _enable_compilation_cache(config):
  """Enables JAX's persistent compilation cache, which shortens half a minute at the start of a run to a second.

  The cache is in jgen's cache folder; above a size limit, the least recently used programs are deleted. JAX's own
  variables take precedence: JAX_COMPILATION_CACHE_DIR names another folder, JAX_ENABLE_COMPILATION_CACHE=0 disables it.
  """
  if os.environ.get('JAX_COMPILATION_CACHE_DIR') or not config.jax_enable_compilation_cache:
    return
  folder = cache_folder() / 'compiled' / _processor()
  with contextlib.suppress(OSError):    # training works without the cache, if the home folder is full or read-only
    folder.mkdir(parents=True, exist_ok=True)
    delete_beyond(folder.parent, _COMPILED_BYTES)
    config.update('jax_compilation_cache_dir', str(folder))
    if 'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS' not in os.environ:
      config.update('jax_persistent_cache_min_compile_time_secs', 0.3)


def _processor():
  """A digest of the processor's instruction sets: different machines may share a home folder."""
  try:
    lines = Path('/proc/cpuinfo').read_text().splitlines()
    features = sorted({line for line in lines if line.startswith(('flags', 'Features', 'model name'))})
  except OSError:
    features = [platform.processor()]
  return hashlib.sha256('\n'.join([platform.machine(), *features]).encode()).hexdigest()[:12]


def delete_beyond(folder: Path, limit: int) -> None:
  """Deletes the least recently used files below `folder` until the rest takes at most `limit` bytes."""
  stats = sorted(((path.stat(), path) for path in folder.rglob('*') if path.is_file()),
                 key=lambda entry: max(entry[0].st_atime, entry[0].st_mtime))
  excess = sum(stat.st_size for stat, _ in stats) - limit
  for stat, path in stats:
    if excess <= 0:
      return
    path.unlink(missing_ok=True)
    excess -= stat.st_size
