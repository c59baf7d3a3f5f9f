"""`duet-cloud`: the installed command."""

from duet_contract import console

INSTALL = console.install_command(__file__, ("proto", "cloud[gpu]"), "duet-cloud[gpu]")
main = console.main_of("duet-cloud", "duet_cloud.commands.program", INSTALL)
