"""Marks the restart of a run in its TensorBoard events."""

from pathlib import Path
import platform
import time


def mark_restart(folder: Path, step: int) -> None:
  """Makes TensorBoard drop events after `step`, which an interrupted run wrote; they will be written again.

  Writes an event file with SessionLog.START, at which TensorBoard drops all earlier events of later steps. It is
  written twice, because TensorBoard takes the first one it reads for the beginning. Call it before the writer of this
  start is created: files are read in order of their names, which begin with the time.

  Args:
    folder: the folder of the event files.
    step: step of the checkpoint from which the run resumes.
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
