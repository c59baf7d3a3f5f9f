"""`duet-bench`: the installed command."""

from collections.abc import Sequence

from duet_contract import console

INSTALL = console.install_command(
    __file__, ("proto", "device", "tools/report", "tools"), "duet-tools"
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    Args:
        arguments: the command line; the process's own, if None.
    """

    def command() -> int:
        # Imported here, so that a missing library is reported in one line.
        from duet_tools.commands.program import PROGRAM

        return PROGRAM.run(arguments)

    return console.run("duet-bench", command, install=INSTALL, ends_process=arguments is None)
