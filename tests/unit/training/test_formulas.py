"""A reasoner that learns formulas over labels: its examples, its training, its accuracy."""

import json
import os
import random
import shutil
from functools import partial
from itertools import chain, repeat

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from duet_cloud.pairs.recipe import load_recipe
from duet_contract.vocabulary import HubTokenizer
from duet_training.data.word_problems.annotated import read_annotated
from duet_training.data.word_problems.problem import MaskedProblem
from duet_training.pair.description import load_pair
from duet_training.pair.prompting import PairPrompts
from duet_training.sft import UNFINISHED, formula_measure, formula_pack
from duet_training.sft.adapter import Adapter, AdapterTrainer
from duet_training.sft.formula_measure import NO_VALUE, answered, judge, summary
from duet_training.sft.formula_pair import FormulaTeacher
from duet_training.sft.runs import PAIR
from duet_training.sft.solution_model import worked_steps
from duet_training.sft.trainer import Plan
from tests.doubles.commands import train_formula_accuracy, train_formulas, train_solutions

PROBLEM = MaskedProblem(
    "1",
    "Nina had 40 euros and bought 3 books for 8 euros each. How many euros are left?",
    "b*c=A;a-A",
    "16",
    "test",
    "Nina has {=} euros left.",
)


@pytest.fixture(scope="module")
def annotated(tmp_path_factory):
    file = tmp_path_factory.mktemp("annotated") / "train.jsonl"
    rows = [
        {
            "question": f"Ann has {n} pens and buys {n + 50} more. How many has she?",
            "answer": f"<<{n}+{n + 50}={2 * n + 50}>>\n#### {2 * n + 50}",
        }
        for n in range(10, 30)
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.fixture(scope="module")
def out(base, annotated, tmp_path_factory):
    """A pair after two steps of each model."""
    out = tmp_path_factory.mktemp("out")
    options = ["--base", str(base), "--annotated", str(annotated), "--rank", "2", "--first", "1"]
    steps = ["--reasoner-steps", "2", "--decoder-steps", "2", "--decoder-tokens", "512"]
    arguments = [str(out), *options, *steps]
    assert train_formulas([*arguments, "--minutes", "0"]) == UNFINISHED
    assert train_formulas(arguments) == 0
    assert train_formulas(arguments) == 0  # nothing is left to do
    return out


@pytest.fixture(scope="module")
def teacher(out, annotated):
    problems = read_annotated(annotated).problems
    return FormulaTeacher(load_pair(out / "pair.yaml"), problems, generated=0.5, seed=0)


def test_the_command_leaves_a_pair_and_an_adapter(out) -> None:
    pair = load_pair(out / "pair.yaml")
    for model in (pair.reasoner, pair.decoder):
        assert (model.path / "model.safetensors").is_file()
    assert load_pair(out / "base.yaml").reasoner.path.name == "base"
    assert (out / "adapter/adapter_model.safetensors").is_file()


def test_what_is_packed_is_what_a_recipe_needs(out, base, tmp_path, monkeypatch) -> None:
    def write_gguf(model, directory, kinds, _converter, _threads):
        directory.mkdir()
        for kind in kinds:
            (directory / f"model.{kind}.gguf").write_bytes((model / "config.json").read_bytes())

    monkeypatch.setattr(formula_pack, "write_gguf", write_gguf)
    monkeypatch.setattr(formula_pack, "converter_directory", lambda _: tmp_path)
    into, pair = tmp_path / "packed", load_pair(out / "pair.yaml")
    formula_pack.pack(pair, out / "adapter", base, "someone/base", into, 1)
    recipe = load_recipe(str(into / "recipe.toml"))
    assert (recipe.quantities, recipe.answers) == ("private", "computed")
    assert recipe.reasoner.prompt == pair.reasoner.prompt
    assert recipe.decoder.prompt_with_signal == pair.decoder.prompt_with_signal
    gguf, adapter = recipe.decoder.source, recipe.reasoner.adapter
    assert (gguf.local / gguf.folder / gguf.gguf).is_file()
    weights = load_file(adapter.local / adapter.folder / "adapter_model.safetensors")
    assert {weight.dtype for weight in weights.values()} == {torch.bfloat16}
    # The released recipe names packages instead, has what was measured, and is else the same.
    places = {"source", "adapter", "individual_digits"}
    left_out = {"description", "base_models", "calibration", "figures", "alone"}
    packed, released = (
        each.model_dump(
            exclude={**dict.fromkeys(left_out, True), "reasoner": places, "decoder": places}
        )
        for each in (recipe, load_recipe(recipe.id))
    )
    assert packed == released


def test_what_is_no_model_is_one_clear_line(tmp_path, annotated, capsys) -> None:
    assert train_formulas([str(tmp_path), "--base", str(tmp_path), "--annotated", str(annotated)])
    assert "has no config.json" in capsys.readouterr().err


def test_a_reasoner_sees_labels_and_writes_the_formula(out, teacher) -> None:
    prompts = PairPrompts(load_pair(out / "pair.yaml"))
    example = teacher.reasoner(PROBLEM)
    assert example.prompt == prompts.reasoner(
        "Nina had [a] euros and bought [b] books for [c] euros each. How many euros are left?"
    )
    assert prompts.signal_text(prompts.signal(example.response)) == "b*c=A;a-A"
    assert example.response[-1] == prompts.end_of_reasoning


def test_a_decoder_writes_what_the_signal_lacks(out, teacher) -> None:
    prompts = PairPrompts(load_pair(out / "pair.yaml"))
    text, rng = PROBLEM.masked.text, random.Random(0)
    signal = prompts.signal(teacher.reasoner(PROBLEM).response)
    shorter = [token for token in signal if prompts.signal_text([token]) in "b*c"]
    wanted = {
        "Nina has {=} euros left.": prompts.guided(text, signal),
        "Nina has {a-A} euros left.": prompts.guided(text, shorter),
        "Nina has {b*c=A;a-A} euros left.": prompts.alone(text),
    }
    seen = set()
    for _ in range(60):
        example = teacher.decoder(PROBLEM, rng)
        assert example.response[-1] in prompts.end_of_answer
        answer = prompts.answer_text(example.response)
        assert len(example.prompt) <= len(wanted[answer])
        seen.add(answer)
    assert seen == set(wanted)


def test_half_of_the_examples_are_generated(teacher) -> None:
    for role in ("reasoner", "decoder"):
        assert len(teacher.examples(role, random.Random(1), 20, 0)) == 20


@pytest.mark.parametrize(
    ("formula", "answer", "right", "earlier"),
    [
        ("b*c=A;a-A", "16", True, False),
        ("a-b*c", "16", True, False),
        ("a-b*c=A;A/2", "8", False, True),
        ("a-b", "37", False, False),
        ("a-", "", False, False),
        ("?", "", False, False),
    ],
)
def test_formulas_are_judged_by_what_they_give(formula, answer, right, earlier) -> None:
    outcome = judge(PROBLEM, formula, [-0.5, -0.1])
    assert (outcome.answer, outcome.right, outcome.earlier) == (answer, right, earlier)
    assert (outcome.tokens, outcome.least, bool(outcome.checks)) == (2, -0.5, bool(answer))
    assert outcome.mean == pytest.approx(-0.3)


def test_no_formula_is_right_where_there_is_none() -> None:
    outside = MaskedProblem("1", "Who was king in 1950?", "?", "", "outside")
    assert judge(outside, "?", [-0.1]).right
    assert not judge(outside, "a", [-0.1]).right


class _Scripted:
    """A reasoner whose formulas are given, one list a call."""

    def __init__(self, *calls: list[str]) -> None:
        self._calls = list(calls)
        self.asked: list[tuple[list[str], float]] = []

    def write(self, questions, temperature=0.0, seed=0):
        self.asked.append((list(questions), temperature))
        return [(formula, [-0.1] * 3) for formula in self._calls.pop(0)]


def test_another_formula_is_asked_for_where_the_first_cannot_be_right() -> None:
    reasoner = _Scripted(["a-b*c", "b-a*c", "z", "?"], ["b-a-c", "a-b*c"], ["b-c-a"])
    found = answered(reasoner, [PROBLEM] * 4, 3, 0.7, 0)
    assert [outcome.formula for outcome in found] == ["a-b*c", "b-a*c", "a-b*c", "?"]
    assert [outcome.tokens for outcome in found] == [3, 9, 6, 3]
    assert [(len(asked), heat) for asked, heat in reasoner.asked] == [(4, 0.0), (2, 0.7), (1, 0.7)]


def test_one_try_is_greedy() -> None:
    reasoner = _Scripted(["z"])
    (found,) = answered(reasoner, [PROBLEM], 1, 0.7, 0)
    assert (found.failed, found.suspicion, found.answer) == (True, NO_VALUE, "")


def test_figures_of_a_set() -> None:
    outcomes = [judge(PROBLEM, formula, [-0.1] * 4) for formula in ("a-b*c", "a", "?", "a-b*c")]
    figures = summary("set", outcomes)
    assert (figures["accuracy"], figures["tokens"], figures["not_computed"]) == (0.5, 4, 0.25)
    assert figures["interval"][0] < 0.5 < figures["interval"][1]
    assert figures["auroc_checks"] == 1
    assert (figures["marked"], figures["marked_of_right"]) == (0.5, 0)


def test_the_measuring_command_prints_a_table(out, base, annotated, tmp_path, capsys) -> None:
    rows = tmp_path / "rows.jsonl"
    results = tmp_path / "results.json"
    arguments = [str(out), str(annotated), "--part", "3", "--generated", "2", "--rows", str(rows)]
    arguments += ["--tries", "2", "--results", str(results)]
    assert train_formula_accuracy([*arguments, "--base", str(base)]) == 0
    first = capsys.readouterr().out
    assert "| train | 3 |" in first
    assert "| held-out templates | 2 |" in first
    outcomes = [json.loads(line) for line in rows.read_text().splitlines()]
    assert len(outcomes) == 11
    figures = json.loads(results.read_text())
    assert (figures["tries"], figures["reasoner"]["steps"]) == (2, 2)
    assert [(each["set"], each["questions"]) for each in figures["sets"]] == [
        ("train", 3),
        ("generated", 2),
        ("held-out templates", 2),
        ("notes", 2),
        ("notes in other words", 2),
    ]
    again = [str(out), str(annotated), "--formulas", str(rows), "--results", str(results)]
    assert train_formula_accuracy(again) == 0
    (judged,) = json.loads(results.read_text())["sets"]
    same = ("set", "questions", "accuracy", "tokens", "auroc_checks")
    assert [judged[name] for name in same] == [figures["sets"][0][name] for name in same]
    assert train_formula_accuracy([str(out), "--generated", "1"]) == 0


def test_a_measurement_that_was_interrupted_leaves_no_results(
    out, base, annotated, tmp_path, monkeypatch
) -> None:
    """A release would take the figures of the first sets for those of all."""
    sets = iter(range(2))

    def interrupted(reasoner, problems, *_):
        if next(sets):
            raise KeyboardInterrupt
        return [judge(problem, "a", [-1.0]) for problem in problems]

    monkeypatch.setattr(formula_measure, "answered", interrupted)
    results = tmp_path / "results.json"
    arguments = [str(out), str(annotated), "--base", str(base), "--part", "1", "--generated", "1"]
    assert train_formula_accuracy([*arguments, "--results", str(results)]) == 130
    assert not results.exists()


def test_one_model_learns_whole_solutions(base, annotated, tmp_path) -> None:
    out = tmp_path / "out"
    options = ["--base", str(base), "--annotated", str(annotated), "--rank", "2", "--first", "1"]
    arguments = [str(out), *options, "--steps", "1"]
    assert train_solutions([*arguments, "--minutes", "0"]) == UNFINISHED
    assert train_solutions(arguments) == 0
    end = load_pair(out / PAIR).reasoner.end_of_reasoning
    ends = HubTokenizer.from_directory(out / "reasoner").encode_template(end)
    settings = json.loads((out / "reasoner" / "generation_config.json").read_text())
    assert settings["eos_token_id"] == list(ends)
    # Killed after it saved its last step: the next call leaves the whole model all the same.
    weights = out / "reasoner" / "model.safetensors"
    whole = weights.read_bytes()
    weights.unlink()
    assert train_solutions(arguments) == 0
    assert weights.read_bytes() == whole
    weights.write_bytes(b"of an earlier step")
    os.utime(weights, (0, 0))
    assert train_solutions(arguments) == 0
    assert weights.read_bytes() == whole
    changed = weights.stat().st_mtime_ns
    assert train_solutions(arguments) == 0
    assert weights.stat().st_mtime_ns == changed


def test_a_base_that_is_no_model_is_one_clear_line(annotated, tmp_path, capsys) -> None:
    arguments = [str(tmp_path), "--base", str(tmp_path), "--annotated", str(annotated)]
    assert train_solutions(arguments) == 1
    assert "has no config.json" in capsys.readouterr().err


def test_compiling_without_a_compiler_is_one_clear_line(
    base, annotated, tmp_path, capsys, monkeypatch
) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    arguments = [str(tmp_path / "out"), "--base", str(base), "--annotated", str(annotated)]
    assert train_solutions([*arguments, "--compile", "--steps", "1"]) == 1
    assert "there is no no-such-compiler" in capsys.readouterr().err


def test_generated_problems_are_solved_step_by_step() -> None:
    assert worked_steps(PROBLEM) == "3*8=24\n40-24=16\n#### 16"
    outside = MaskedProblem("1", "Who was king in 1950?", "?", "", "outside", "No.")
    assert worked_steps(outside) == "No.\n#### ?"


def _trained(base, teacher, out, monkeypatch, stops):
    """Six steps, with a restart after each number of steps in `stops`."""
    plan = Plan(6, tokens=256, rate=1e-2, warmup=2, bfloat16=False)
    for steps in (*stops, 6):
        sft = AdapterTrainer(
            base, out / "adapter", out / "state.pt", plan, Adapter(2, 1, "O/M"), out / "merged"
        )
        ticks = chain(repeat(0.0, steps - sft.step + 1), repeat(100.0))
        monkeypatch.setattr("duet_training.sft.trainer.time.monotonic", lambda t=ticks: next(t))
        sft.train(partial(teacher.examples, "reasoner"), until=50.0)
        monkeypatch.undo()
        assert sft.step == steps
    return sft


def test_an_adapter_goes_on_where_it_stopped(base, teacher, tmp_path, monkeypatch):
    before = load_file(base / "model.safetensors")
    whole = _trained(base, teacher, tmp_path / "whole", monkeypatch, ())
    parts = _trained(base, teacher, tmp_path / "parts", monkeypatch, (2, 5))
    files = [tmp_path / name / "adapter/adapter_model.safetensors" for name in ("whole", "parts")]
    one, other = map(load_file, files)
    assert one.keys() == other.keys()
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())
    assert any(weight.any() for name, weight in one.items() if "lora_B" in name)
    # The second layer alone, and never the model's own weights.
    assert {name.split("layers.")[1].split(".")[0] for name in one} == {"1"}
    after = load_file(base / "model.safetensors")
    assert all(torch.equal(weight, after[name]) for name, weight in before.items())
    assert whole.step == parts.step == 6


def test_what_is_written_is_an_adapter_of_the_hubs_model(base, teacher, tmp_path, monkeypatch):
    shutil.copytree(base, tmp_path / "merged", ignore=shutil.ignore_patterns("*.safetensors"))
    _trained(base, teacher, tmp_path, monkeypatch, ())
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    settings = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "O/M"
    assert str(tmp_path) not in json.dumps(settings)
    model = AutoModelForCausalLM.from_pretrained(base)
    model = PeftModel.from_pretrained(model, tmp_path / "adapter").merge_and_unload()
    ours = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").state_dict()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight.to(torch.bfloat16), ours[name].to(torch.bfloat16)), name
