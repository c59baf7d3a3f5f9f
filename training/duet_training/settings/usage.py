"""`--help` of a command that is set by settings files: they say what there is to set."""

from collections.abc import Sequence
from importlib.resources import files


def help_of(command: str, settings: Sequence[str], arguments: Sequence[str]) -> str | None:
    """What to print, where the arguments ask for help: a line of usage, and the `settings`' files.

    The first of them stands before what it takes over from the others.
    """
    if not {"-h", "--help"} & set(arguments):
        return None
    conf = files("duet_training.settings.conf")
    told = [conf.joinpath(f"{name}.yaml").read_text("utf-8") for name in settings]
    return "\n".join((f"usage: python -m {command} KEY=VALUE...\n", *told)).rstrip()
