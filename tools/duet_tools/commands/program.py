"""The commands of `duet-bench`, and how their errors end."""

from duet_contract.commands import Program
from duet_tools.errors import BenchError

PROGRAM = Program(
    name="duet-bench",
    distribution="duet-tools",
    help="Measure DUET: speed, bytes, links, capacity; report the results.",
    commands={
        "split": ("duet_tools.split.command:split", "Compare the split with its alternatives."),
        "figures": ("duet_tools.bench.figures:figures", "Measure the split next to its peers."),
        "link": ("duet_tools.link.command:link", "Emulate a link in front of a TCP service."),
        "capacity": ("duet_tools.fleet.command:capacity", "Simulate devices that ask replicas."),
        "marks": ("duet_tools.marks.command:marks", "Measure how good a pair's marks are."),
        "policy": ("duet_tools.policy.command:policy", "Measure what a calibrated policy saves."),
        "local": ("duet_tools.local.command:local", "Measure the device's local server."),
        "privacy": ("duet_tools.privacy.command:privacy", "Capture what leaves a device."),
        "faults": ("duet_tools.faults.command:faults", "Break things and count what holds."),
        "replicas": ("duet_tools.fleet.scaling:replicas", "Measure replicas, metrics and traces."),
        "tls": ("duet_tools.tls:tls", "Measure the cost of mutual TLS."),
        "demo": ("duet_tools.demo:demo", "Serve a pair here and ask a question."),
        "tables": ("duet_tools.report.readme_tables:tables", "Print results as Markdown tables."),
    },
    errors=(BenchError, OSError),
)
