"""The commands of `duet-train`, and how their errors end."""

from duet_contract.commands import Program
from duet_training.errors import TrainingError

_HERE = "duet_training.commands"

PROGRAM = Program(
    name="duet-train",
    distribution="duet-training",
    help="Train pairs jointly, evaluate and export them.",
    commands={
        "run": (f"{_HERE}.run:run", "Train a pair jointly."),
        "preflight": (f"{_HERE}.run:preflight", "Check a training run before it is queued."),
        "gpu-check": (f"{_HERE}.run:gpu_check", "Run three steps on a GPU and measure them."),
        "evaluate": (f"{_HERE}.evaluate:evaluate", "Evaluate a method on a data set."),
        "report": (f"{_HERE}.evaluate:report", "Report evaluations and runs."),
        "export": (f"{_HERE}.export:export", "Export a run as a pair to serve."),
        "push": (f"{_HERE}.export:push", "Upload an exported pair to the hub."),
        "converter": (f"{_HERE}.export:converter", "Fetch llama.cpp's converter."),
        "sign": (f"{_HERE}.pair:sign", "Sign a pair; create a publisher's key."),
        "pair": (f"{_HERE}.pair:pair", "Create a tiny random pair."),
        "data": (f"{_HERE}.data:data", "Prepare data sets; generate problems."),
        "sft": (f"{_HERE}.sft:sft", "Supervised fine-tuning of pairs."),
        "experiments": (f"{_HERE}.experiments:experiments", "Run the small-scale experiments."),
        "paper": (f"{_HERE}.paper:paper", "Reproduce the paper's tables."),
        "release": (f"{_HERE}.release:release", "Build and measure released pairs."),
    },
    errors=(TrainingError, OSError),
)
