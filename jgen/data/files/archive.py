"""A folder or a zip, read alike: names, and the bytes behind a name. Nothing is ever unpacked."""

import hashlib
import os
from pathlib import PurePosixPath
import re
import zipfile

from jgen.errors import UserError
from jgen.files import expanded

_DRIVE = re.compile('[A-Za-z]:')        # where Windows would begin anew
_MAX_BYTES = 1 << 30                    # of one file in a zip; beyond, it is no picture and no list


def opened(path):
  """The Folder or Zip at `path`.

  Raises:
    UserError: there is neither; the zip is damaged or holds names that lead out of it.
  """
  path = expanded(path)
  if path.is_dir():
    return Folder(path)
  if path.is_file():
    return Zip(path)
  raise UserError(f'{path} is neither a folder nor a zip; name the data with --config.data.dir=PATH')


def _hidden(name):
  """Whether a system left it there: .DS_Store, ._name.jpg, __MACOSX/."""
  return any(map(_hidden_part, name.split('/')))


def _hidden_part(name):
  return name.startswith('.') and name != '.' or name == '__MACOSX'


class Folder:
  """The files below a folder, links followed."""

  def __init__(self, path):
    self.path = path
    self.files = ()                     # what has to be looked at besides `listing`: nothing
    self._stats = {}
    self._scan(str(path), '', ())
    self.names = sorted(self._stats)    # relative, with forward slashes

  def _scan(self, folder, prefix, above):
    real = os.path.realpath(folder)
    if real in above:                   # a link to a folder that it is in
      return
    try:
      with os.scandir(folder) as entries:
        for entry in entries:
          if _hidden_part(entry.name):
            continue
          if entry.is_dir():
            self._scan(entry.path, f'{prefix}{entry.name}/', (*above, real))
          elif entry.is_file():
            stat = entry.stat()
            self._stats[prefix + entry.name] = (stat.st_size, stat.st_mtime_ns)
    except OSError as error:
      raise UserError(f'{folder}: cannot be read ({error.strerror})') from error

  def read(self, name):
    """The bytes of a file; raises OSError."""
    size = self._stats[name][0]
    descriptor = os.open(f'{self.path}/{name}', os.O_RDONLY)   # for a small file 2/3 of the time of open()
    try:
      content = os.read(descriptor, size + 1)
      while len(content) != size and (more := os.read(descriptor, size + 1)):   # it has grown, or comes in portions
        content += more
      return content
    finally:
      os.close(descriptor)

  def listing(self, names):
    """A digest of names, sizes and times of change: another one, another cache."""
    lines = '\n'.join(f'{name}\0{self._stats[name]}' for name in names)
    return hashlib.sha256(lines.encode('utf-8', 'surrogateescape')).hexdigest()


class Zip:
  """The members of a zip."""

  def __init__(self, path):
    self.path = path
    self.files = (path,)
    try:
      self._zip = zipfile.ZipFile(path)
    except (OSError, ValueError, NotImplementedError, zipfile.BadZipFile) as error:
      raise UserError(f'{path}: cannot be read as a zip ({error}); it may be cut short or a web page, '
                      'so fetch it again') from error
    members = [member for member in self._zip.infolist() if not member.is_dir()]
    for member in members:
      self._check(member)
    self.names = sorted({member.filename for member in members if not _hidden(member.filename)})

  def _check(self, member):
    name = PurePosixPath(member.filename.replace('\\', '/'))
    if name.is_absolute() or '..' in name.parts or _DRIVE.match(member.filename):
      raise UserError(f"{self.path}: holds '{member.filename}', a path that leads out of the archive; "
                      'do not trust it, fetch the data elsewhere')
    if member.flag_bits & 1:
      raise UserError(f'{self.path}: is encrypted; unpack it and name the folder with --config.data.dir=FOLDER')

  def read(self, name):
    """The bytes of a member; raises OSError."""
    if self._zip.getinfo(name).file_size > _MAX_BYTES:
      raise OSError(f'{name} unpacks to more than {_MAX_BYTES >> 30} GB')
    try:
      return self._zip.read(name)
    except Exception as error:   # zipfile, zlib, lzma and struct each raise their own on a damaged member
      raise OSError(f'damaged in the zip: {error}') from error

  def listing(self, names):
    """A digest of the names; sizes and times are the archive's own."""
    return hashlib.sha256('\n'.join(names).encode('utf-8', 'surrogateescape')).hexdigest()
