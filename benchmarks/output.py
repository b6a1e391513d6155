"""The end of a benchmark: its table, printed and stored as Markdown and as JSON."""

import json
from pathlib import Path
from typing import Any

from jgen.run.environment import cpu


def tell(name: str, table: str, results: Any, folder: str) -> None:
  """Prints the processor and a Markdown table, and writes NAME.md and, of `results`, NAME.json; no files for ''."""
  text = f'{cpu()}\n\n{table}'
  print(text)
  if folder:
    Path(folder).mkdir(parents=True, exist_ok=True)
    Path(folder, f'{name}.md').write_text(text, 'utf-8')
    Path(folder, f'{name}.json').write_text(json.dumps(results, indent=2) + '\n', 'utf-8')
