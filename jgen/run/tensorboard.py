"""Marks in the TensorBoard events of a run that is resumed."""

from pathlib import Path
import platform
import time


def mark_restart(folder: Path, step: int) -> None:
  """Makes TensorBoard drop events that an interrupted run wrote after `step`; they will be written again.

  Writes an event file with SessionLog.START, at which TensorBoard forgets all earlier events of later steps; twice, for
  it takes the first one that it meets for the beginning. Call it before the writer of this start is made: files are
  read in the order of their names, which begin with the time.

  Args:
    folder: of the event files.
    step: step of the checkpoint from which the run continues.
  """
  if not any(Path(folder).glob('events.out.tfevents.*')):
    return
  import tensorflow as tf
  now = time.time()
  path = Path(folder) / f'events.out.tfevents.{int(now):010d}.{platform.node() or "host"}.0.0.start.v2'
  start = tf.compat.v1.Event(wall_time=now, step=step + 1, session_log=tf.compat.v1.SessionLog(
      status=tf.compat.v1.SessionLog.START))
  with tf.io.TFRecordWriter(str(path)) as writer:
    for event in (tf.compat.v1.Event(wall_time=now, file_version='brain.Event:2'), start, start):
      writer.write(event.SerializeToString())
