"""Text files from templates in a package's `templates/`: pages in Markdown, and a recipe."""

import re

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(package: str, name: str, **given: object) -> str:
    """Render a template of a package; several blank lines become one."""
    # Neither Markdown nor TOML is HTML.
    environment = Environment(  # nosec B701
        loader=PackageLoader(package),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    page = environment.get_template(name).render(given)
    return re.sub(r"\n{3,}", "\n\n", page).strip() + "\n"
