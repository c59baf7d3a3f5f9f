"""Hooks of MkDocs: what the site shows of other folders, and what Python-Markdown reads differently from GitHub."""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

PLOTS = Path("training/experiments/plots")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the plots of the experiments as `experiments/plots/*.svg`."""
    root = Path(config.docs_dir).parent
    for path in sorted((root / PLOTS).glob("*.svg")):
        source = f"experiments/plots/{path.name}"
        files.append(File.generated(config, source, abs_src_path=str(path)))
    return files


def on_page_content(html: str, **_: object) -> str:
    r"""Shows `\|` in a table's code as `|`: GitHub needs the backslash, Python-Markdown keeps it."""
    return re.sub(r"<td.*?</td>", lambda cell: cell[0].replace(r"\|", "|"), html, flags=re.DOTALL)
