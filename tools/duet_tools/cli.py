"""`duet-bench`: the installed command."""

from duet_contract import console

INSTALL = console.install_command(
    __file__, ("proto", "device", "tools/report", "tools"), "duet-tools"
)
main = console.main_of("duet-bench", "duet_tools.commands.program", INSTALL)
