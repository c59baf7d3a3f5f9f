"""`duet-train`: the installed command."""

from duet_contract import console

INSTALL = console.install_command(
    __file__, ("proto", "tools/report", "training[gpu]"), "duet-training[gpu]"
)
main = console.main_of("duet-train", "duet_training.commands.program", INSTALL)
