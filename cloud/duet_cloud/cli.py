"""`duet-cloud`: the installed command."""

from collections.abc import Sequence

from duet_contract import console

INSTALL = console.install_command(__file__, ("proto", "cloud[gpu]"), "duet-cloud[gpu]")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code (`duet_cloud.errors.Exit`).

    Args:
        arguments: the command line; the process's own, if None.
    """

    def command() -> int:
        # Imported here, so that a missing library is reported in one line.
        from duet_cloud.commands.program import PROGRAM

        return PROGRAM.run(arguments)

    return console.run("duet-cloud", command, install=INSTALL, ends_process=arguments is None)
