"""Subcommands of the installed commands, called as functions of their arguments."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import click

from duet_cloud.cli import main as cloud
from duet_contract import console
from duet_contract.commands import Program
from duet_tools.cli import main as bench
from duet_training.cli import main as train

Command = Callable[[Sequence[str]], int]


def _subcommand(main: Command, *words: str) -> Command:
    return lambda arguments: main([*words, *arguments])


cloud_admin = _subcommand(cloud, "admin")
cloud_pairs = _subcommand(cloud, "pairs")
bench_capacity = _subcommand(bench, "capacity")
bench_demo = _subcommand(bench, "demo")
bench_link = _subcommand(bench, "link")
bench_split = _subcommand(bench, "split")
bench_tables = _subcommand(bench, "tables")
bench_tls = _subcommand(bench, "tls")
train_run = _subcommand(train, "run")
train_preflight = _subcommand(train, "preflight")
train_evaluate = _subcommand(train, "evaluate")
train_batch = _subcommand(train, "evaluate", "--batch")
train_report = _subcommand(train, "report")
train_export = _subcommand(train, "export")
train_sign = _subcommand(train, "sign")
train_pair = _subcommand(train, "pair")
train_data = _subcommand(train, "data", "prepare")
train_stories = _subcommand(train, "data", "story-problems")
train_word_problems = _subcommand(train, "data", "word-problems")
train_scratch = _subcommand(train, "sft", "scratch")
train_adapter = _subcommand(train, "sft", "adapter")
train_experiments = _subcommand(train, "experiments")
train_release = _subcommand(train, "release", "build")
train_real = _subcommand(train, "release", "real")
train_served = _subcommand(train, "release", "served")
train_wall_clock = _subcommand(train, "release", "wall-clock")
train_formulas = _subcommand(train, "sft", "formulas")
train_formula_accuracy = _subcommand(train, "sft", "formula-accuracy")
train_pack = _subcommand(train, "release", "pack")

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
    it = kind("it", callback=lambda number: work(), params=[given])
    only = replace(program, commands={"it": (f"{__name__}:it", "Do it.")})
    run = lambda: only.run(["it", *arguments])  # noqa: E731
    return console.run(program.name, run, install="pip install it")
