"""Hooks of MkDocs: what the site shows of other folders."""

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
