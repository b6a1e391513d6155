"""Folders, zips and tars behind one interface: file names, and the bytes of a file. Nothing is unpacked to disk.

Files of the operating system and files that this package has written (runs, studies, sheets) are left out and listed in
`left_out`, so that a model's samples never become its training data.
"""

from collections.abc import Sequence
import hashlib
import json
import os
from pathlib import Path, PurePosixPath
import re
import shlex
import tarfile
import zipfile

from jgen.errors import UserError
from jgen.host.files import OUTPUT_MARK, expanded

_DRIVE = re.compile('[A-Za-z]:')        # an absolute path on Windows
_MAX_BYTES = 1 << 30                    # of one file in an archive; a larger one is neither an image nor a list
_SIGNS = tuple(f'/{name}' for name in (OUTPUT_MARK, 'config.json', 'study.json'))   # mark folders that jgen has written
_SYSTEM = frozenset((                   # names that operating and storage systems create
    '__MACOSX', '@eaDir', '#recycle', '$RECYCLE.BIN', 'System Volume Information', 'lost+found', '__pycache__',
    'Thumbs.db', 'desktop.ini'))
_PACKED = (                             # (first bytes, what they are, how to unpack it)
    (b'\x1f\x8b', 'a gzip file', 'tar -xzf {} -C {}'), (b'BZh', 'a bzip2 file', 'tar -xjf {} -C {}'),
    (b'\xfd7zXZ\0', 'an xz file', 'tar -xJf {} -C {}'), (b'\x28\xb5\x2f\xfd', 'a zstd file', 'tar --zstd -xf {} -C {}'),
    (b'7z\xbc\xaf\x27\x1c', 'a 7z archive', '7z x {} -o{}'), (b'Rar!\x1a\x07', 'a rar archive', 'unrar x {} {}/'))
_READ_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
_COMPRESSIONS = {9: 'Deflate64, which Windows uses for large files', 93: 'zstd', 98: 'PPMd', 99: 'AES encryption'}


class MissingDataError(UserError):
  """The path that a config names does not exist."""


def opened(path: str | Path) -> 'Folder | Zip | Tar':
  """The Folder, Zip or Tar at `path`.

  Raises:
    UserError: nothing is there; the archive is damaged, of an unsupported kind, or has paths that lead out of it.
  """
  path = expanded(path)
  if path.is_dir():
    return Folder(path)
  if path.is_file():
    return _archive(path)
  raise MissingDataError(f'{path} is neither a folder nor a zip or tar; name the data with --config.data.dir=PATH')


def _archive(path):
  try:
    with open(path, 'rb') as file:
      start = file.read(512)
  except OSError as error:
    raise UserError(f'{path}: cannot be read ({error.strerror})') from error
  for magic, kind, command in _PACKED:
    if start.startswith(magic):
      folder = shlex.quote(str(path.with_name(path.name.split('.')[0] + '_unpacked')))
      make = '' if '-o{}' in command else f'mkdir {folder}; '
      raise UserError(f'{path} is {kind}, which does not allow reading single files; unpack it: '
                      f'{make}{command.format(shlex.quote(str(path)), folder)} and name that folder with '
                      f'--config.data.dir={folder}')
  return Tar(path) if start[257:262] == b'ustar' else Zip(path)


def _of_system(name):
  """Whether an operating or storage system created the file: .DS_Store, ._name.jpg, __MACOSX/."""
  return any(map(_system_part, name.split('/')))


def _system_folder(name):
  """The first folder on a path that an operating or storage system created; '' if there is none."""
  parts = name.split('/')
  return next(('/'.join(parts[:n + 1]) for n, part in enumerate(parts[:-1]) if _system_part(part)), '')


def _system_part(name):
  return name.startswith('.') and name != '.' or name in _SYSTEM


class _Source:
  """The base class; `_names` takes all relative names, with forward slashes, and which of them are hidden."""

  path: Path
  files: tuple[Path, ...] = ()          # files to check for changes in addition to `listing`
  names: list[str]                      # sorted
  left_out: tuple[tuple[str, str], ...]   # (folder, why) whose files are not in `names`

  def _names(self, names, systems, is_hidden):
    own = sorted({folder for name in names if name.endswith(_SIGNS) and (folder := self._written(name))})
    prefixes = tuple(f'{folder}/' for folder in own)
    self.names = sorted(name for name in names if not name.startswith(prefixes) and not is_hidden(name))
    self.left_out = (*((folder, 'written by jgen') for folder in own),
                     *((name, 'hidden, or a system folder') for name in sorted(systems)))

  def _written(self, name):
    """The file's folder if the file marks it as output of this package; '' for any other file, and for the root."""
    folder, _, base = name.rpartition('/')
    if not folder or base == OUTPUT_MARK:
      return folder
    keys = {'config.json': {'family', 'data', 'model'}, 'study.json': {'variations', 'command'}}[base]
    try:
      content = json.loads(self.read(name))
    except (OSError, ValueError, RecursionError):
      return ''
    return folder if isinstance(content, dict) and keys <= content.keys() else ''

  def read(self, name: str) -> bytes:
    """The bytes of a file; raises OSError."""
    raise NotImplementedError

  def listing(self, names: Sequence[str]) -> str:
    """A digest of the names; the size and modification time of an archive cover the rest."""
    return hashlib.sha256('\n'.join(names).encode('utf-8', 'surrogateescape')).hexdigest()


class Folder(_Source):
  """The files in a folder and its subfolders; symbolic links are followed."""

  def __init__(self, path):
    self.path = path
    self._stats: dict[str, tuple[int, int]] = {}   # {name: (size, modification time)}
    self._systems: set[str] = set()
    self._scan(str(path), '', ())
    self._names(self._stats, self._systems, lambda name: name.endswith(OUTPUT_MARK))

  def _scan(self, folder, prefix, above):
    real = os.path.realpath(folder)
    if real in above:                   # a link to one of its own parents
      return
    try:
      with os.scandir(folder) as entries:
        for entry in entries:
          if _system_part(entry.name) and entry.name != OUTPUT_MARK:
            if entry.is_dir():
              self._systems.add(prefix + entry.name)
          elif entry.is_dir():
            self._scan(entry.path, f'{prefix}{entry.name}/', (*above, real))
          elif entry.is_file():
            stat = entry.stat()
            self._stats[prefix + entry.name] = (stat.st_size, stat.st_mtime_ns)
    except OSError as error:
      raise UserError(f'{folder}: cannot be read ({error.strerror})') from error

  def read(self, name: str) -> bytes:
    size = self._stats[name][0]
    descriptor = os.open(f'{self.path}/{name}', os.O_RDONLY)   # takes 2/3 of the time of open() for small files
    try:
      content = os.read(descriptor, size + 1)
      while len(content) != size and (more := os.read(descriptor, size + 1)):   # it has grown, or arrives in parts
        content += more
      return content
    finally:
      os.close(descriptor)

  def listing(self, names: Sequence[str]) -> str:
    """A digest of names, sizes and modification times; another digest invalidates the cache."""
    lines = '\n'.join(f'{name}\0{self._stats[name]}' for name in names)
    return hashlib.sha256(lines.encode('utf-8', 'surrogateescape')).hexdigest()


class _Archive(_Source):
  """An archive with random access; `_members` is {name with forward slashes: member} of its regular files."""

  def __init__(self, path, members):
    self.path = path
    self.files = (path,)
    self._members = members
    self._names(members, set(map(_system_folder, members)) - {''}, _of_system)

  def _inside(self, name):
    """The name with forward slashes, also of Windows archives; raises UserError if it leads out of the archive."""
    path = PurePosixPath(name.replace('\\', '/'))
    if path.is_absolute() or '..' in path.parts or _DRIVE.match(name):
      raise UserError(f"{self.path}: holds '{name}', a path that leads out of the archive; "
                      'do not trust it, download the data elsewhere')
    return str(path)


class Zip(_Archive):
  """The members of a zip."""

  def __init__(self, path):
    self.path = path
    try:
      self._zip = zipfile.ZipFile(path)
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
      raise UserError(f'{path}: cannot be read as a zip ({error}); it may be truncated or a web page, '
                      'so download it again') from error
    members = [member for member in self._zip.infolist() if not member.is_dir()]
    for member in members:
      self._check(member)
    super().__init__(path, {self._inside(member.filename): member for member in members})

  def _check(self, member):
    folder = shlex.quote(str(self.path.with_suffix('')))
    unpack = f'unpack it: unzip {shlex.quote(str(self.path))} -d {folder} and name that folder with --config.data.dir'
    if member.flag_bits & 1:
      raise UserError(f'{self.path}: is encrypted; {unpack}')
    if member.compress_type not in _READ_COMPRESSIONS:
      kind = _COMPRESSIONS.get(member.compress_type, f'method {member.compress_type}')
      raise UserError(f'{self.path}: {member.filename} is compressed by {kind}, which is not supported; {unpack}')

  def read(self, name: str) -> bytes:
    if self._members[name].file_size > _MAX_BYTES:
      raise OSError(f'{name} unpacks to more than {_MAX_BYTES >> 30} GB')
    try:
      return self._zip.read(self._members[name])
    except Exception as error:   # a damaged member raises errors of zipfile, zlib, lzma or struct
      raise OSError(f'damaged in the zip: {error}') from error


class Tar(_Archive):
  """The regular files of an uncompressed tar."""

  def __init__(self, path):
    self.path = path
    try:
      with tarfile.open(path, 'r:') as tar:
        members = {self._inside(member.name): (member.offset_data, member.size)
                   for member in tar if member.isreg() and not member.issparse()}
    except (OSError, ValueError, EOFError, tarfile.TarError) as error:
      raise UserError(f'{path}: cannot be read as a tar ({error}); it may be truncated, so download it '
                      'again') from error
    super().__init__(path, members)

  def read(self, name: str) -> bytes:
    offset, size = self._members[name]
    if size > _MAX_BYTES:
      raise OSError(f'{name} unpacks to more than {_MAX_BYTES >> 30} GB')
    with open(self.path, 'rb') as file:
      content = os.pread(file.fileno(), size, offset)
    if len(content) != size:
      raise OSError('truncated in the tar')
    return content
