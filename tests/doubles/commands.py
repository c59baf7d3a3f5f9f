"""Subcommands of the installed commands, called as functions of their arguments."""

from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import click

from duet_contract import console
from duet_contract.commands import Program

Command = Callable[[Sequence[str]], int]


def _subcommand(package: str, *words: str) -> Command:
    """A package is imported when it is called: no environment has them all, and Ray's workers import tests."""

    def run(arguments: Sequence[str]) -> int:
        main: Command = import_module(f"{package}.cli").main
        return main([*words, *arguments])

    return run


bench = _subcommand("duet_tools")
cloud_admin = _subcommand("duet_cloud", "admin")
cloud_pairs = _subcommand("duet_cloud", "pairs")
bench_capacity = _subcommand("duet_tools", "capacity")
bench_demo = _subcommand("duet_tools", "demo")
bench_faults = _subcommand("duet_tools", "faults")
bench_link = _subcommand("duet_tools", "link")
bench_split = _subcommand("duet_tools", "split")
bench_tables = _subcommand("duet_tools", "tables")
bench_tls = _subcommand("duet_tools", "tls")
train_run = _subcommand("duet_training", "run")
train_preflight = _subcommand("duet_training", "preflight")
train_gpu_check = _subcommand("duet_training", "gpu-check")
train_evaluate = _subcommand("duet_training", "evaluate")
train_batch = _subcommand("duet_training", "evaluate", "--batch")
train_report = _subcommand("duet_training", "report")
train_export = _subcommand("duet_training", "export")
train_push = _subcommand("duet_training", "push")
train_sign = _subcommand("duet_training", "sign")
train_pair = _subcommand("duet_training", "pair")
train_data = _subcommand("duet_training", "data", "prepare")
train_stories = _subcommand("duet_training", "data", "story-problems")
train_word_problems = _subcommand("duet_training", "data", "word-problems")
train_scratch = _subcommand("duet_training", "sft", "scratch")
train_paper = _subcommand("duet_training", "paper")
train_experiments = _subcommand("duet_training", "experiments")
train_release = _subcommand("duet_training", "release", "build")
train_real = _subcommand("duet_training", "release", "real")
train_release_signals = _subcommand("duet_training", "release", "signals")
train_calibration_data = _subcommand("duet_training", "release", "calibration-data")
train_served = _subcommand("duet_training", "release", "served")
train_wall_clock = _subcommand("duet_training", "release", "wall-clock")
train_formulas = _subcommand("duet_training", "sft", "formulas")
train_formula_accuracy = _subcommand("duet_training", "sft", "formula-accuracy")
train_solutions = _subcommand("duet_training", "sft", "solutions")

it: click.Command


def run_as(
    program: Program,
    work: Callable[..., Any],
    *arguments: str,
    kind: type[click.Command] = click.Command,
) -> int:
    """Runs `work` as the only command of a program, with whatever arguments it is given."""
    global it
    given = click.Argument(["number"], type=int, default=0)
    as_json = click.Option(["--json"], is_flag=True, expose_value=False)
    it = kind("it", callback=lambda number: work(), params=[given, as_json])
    only = program._replace(commands={"it": (f"{__name__}:it", "Do it.")})
    run = lambda: only.run(["it", *arguments])  # noqa: E731
    return console.run(program.name, run, install="pip install it")
