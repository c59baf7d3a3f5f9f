"""A reasoner that learns as an adapter: its examples, its training, what is left of it."""

import json
import random
import re
import shutil
from itertools import chain, repeat

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from duet_training.data.story_problems.draw import SCOPES
from duet_training.errors import DataError
from duet_training.pair.description import load_pair
from duet_training.pair.prompting import PairPrompts
from duet_training.sft.adapted_pair import make_pair
from duet_training.sft.adapter import Adapter, AdapterStudent
from duet_training.sft.command import UNFINISHED
from duet_training.sft.mismatched import strange
from duet_training.sft.trainer import Plan
from duet_training.sft.worked import EquationTeacher, Worked, read_worked
from tests.doubles.commands import train_adapter as main

ROWS = [
    {
        "question": f"Ann has {n} pens and buys {n} more. How many has she?",
        "answer": str(2 * n),
        "solution": f"She has {n}+{n} = <<{n}+{n}={2 * n}>>{2 * n} pens.\n#### {2 * n}",
    }
    for n in range(10, 30)
]


@pytest.fixture(scope="module")
def worked(tmp_path_factory):
    file = tmp_path_factory.mktemp("worked") / "train.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return file


@pytest.fixture(scope="module")
def pair(base, worked, tmp_path_factory):
    out = tmp_path_factory.mktemp("adapted")
    return load_pair(make_pair(out, base, read_worked(worked), SCOPES["easy"], 0))


@pytest.fixture(scope="module")
def teacher(pair, worked):
    return EquationTeacher(pair, read_worked(worked), SCOPES["easy"], told=0.5, seed=0)


def _write(tmp_path, *rows):
    file = tmp_path / "worked.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_equations_are_the_annotations_of_a_solution(tmp_path):
    solution = "Half is 48/2 = <<48/2=24>>24.\n24*.5=<<24*.5=12>>12, <<15=15>>.\n#### 12"
    file = _write(tmp_path, {"question": "How many?", "answer": "12", "solution": solution})
    assert read_worked(file) == [Worked("How many?", "48/2=24. 24*0.5=12.", "12")]


def test_gsm8k_writes_solution_and_answer_in_one(tmp_path):
    worked = "Half is 48/2 = <<48/2=24>>24.\n48+24=<<48+24=72>>72 in all.\n#### 72"
    large = {"question": "And now?", "answer": "<<36*30=1080>>\n#### 1,080", "solution": None}
    file = _write(tmp_path, {"question": "How many?", "answer": worked}, large)
    assert read_worked(file) == [
        Worked("How many?", "48/2=24. 48+24=72.", "72"),
        Worked("And now?", "36*30=1080.", "1080"),
    ]


def test_what_does_not_lead_to_its_answer_is_left_out(tmp_path):
    wrong = {"question": "q", "answer": "7", "solution": "<<1+2=3>>3\n#### 7"}
    none = {"question": "q", "answer": "7", "solution": "seven\n#### 7"}
    thousands = {"question": "q", "answer": "1,200", "solution": "<<600*2=1200>>1200"}
    (kept,) = read_worked(_write(tmp_path, wrong, none, thousands))
    assert kept.equations == "600*2=1200."
    empty = {"question": " ", "answer": "3", "solution": "<<1+2=3>>3"}
    with pytest.raises(DataError, match="no solution whose annotated equations"):
        read_worked(_write(tmp_path, wrong, none, empty))


@pytest.mark.parametrize("text", ["not json", '{"question": "q"}', "[1]"])
def test_a_file_of_something_else_is_one_clear_line(tmp_path, text):
    file = tmp_path / "worked.jsonl"
    file.write_text(text)
    with pytest.raises(DataError, match=r"worked\.jsonl"):
        read_worked(file)
    with pytest.raises(DataError, match="cannot read"):
        read_worked(tmp_path / "none.jsonl")


def test_each_problem_is_shown_once_a_round(pair, teacher):
    """Twenty problems, ten in each draw: two draws are a round, in an order of its own."""
    read = PairPrompts(pair)

    def shown(chunk):
        examples = teacher.examples("reasoner", random.Random(chunk), 20, chunk)
        assert len(examples) == 20
        return [read.signal_text(example.prompt) for example in examples[:10]]

    first, second = shown(0) + shown(1), shown(2) + shown(3)
    assert len(set(first)) == len(set(second)) == 20
    assert set(first) == set(second)
    assert first != second
    assert shown(1) == first[10:]


def test_examples_are_what_serving_asks_and_expects(pair, teacher):
    prompts = PairPrompts(pair)
    problem = Worked("How many?", "1+2=3. 3*4=12.", "12")
    example = teacher.reasoner(problem)
    assert example.prompt == prompts.reasoner("How many?")
    assert prompts.signal_text(prompts.signal(example.response)) == problem.equations
    assert example.response[-1] in prompts.end_of_text
    assert prompts.response_text(example.response).endswith("\\boxed{12}")
    rng = random.Random(0)
    other = Worked("How far?", "5-1=4.", "99")
    decoded = [teacher.decoder(problem, [other], rng) for _ in range(400)]
    assert all(each.response[-1] in prompts.end_of_answer for each in decoded)
    own = [e for e in decoded if prompts.answer_text(e.response) == "\\boxed{12}"]
    alike = {
        "alone": prompts.alone("How many?"),
        "whole": prompts.guided("How many?", prompts.signal(example.response)),
        "short": prompts.guided(
            "How many?", prompts.signal(teacher.reasoner(Worked("?", "1+2=3.", "3")).response)
        ),
    }
    counts = {name: sum(e.prompt == ids for e in own) for name, ids in alike.items()}
    assert sum(counts.values()) == len(own)
    assert counts["whole"] > counts["alone"] > counts["short"] > 10
    # The rest asks for what its signal does not say.
    rest = [prompts.answer_text(e.response) for e in decoded if e not in own]
    assert set(rest) == {"\\boxed{99}"}
    assert 30 < len(rest) < 90


@given(st.randoms(use_true_random=False))
def test_what_is_to_be_doubted_is_not_the_questions(rng):
    question = "Ann has 12 pens. She buys 1,200 more for $3.50 each. How many has she?"
    asked, signal = strange(question, "12+1200=1212.", "5-1=4.", rng)
    if asked == question:
        assert signal == "5-1=4."
    else:
        assert not any(letter.isdigit() for letter in asked)
        assert asked.strip("?. ")
    assert re.fullmatch(r"(\d+[-+*/]\d+=-?\d+\. ?)+", signal)


def test_a_question_of_numbers_alone_keeps_a_mark():
    seen = {strange("1 2 3", "1+2=3.", "4+4=8.", random.Random(seed))[0] for seed in range(40)}
    assert seen >= {"1 2 3", "?"}


def _trained(base, teacher, out, monkeypatch, stops):
    """Six steps, with a restart after each number of steps in `stops`."""
    plan = Plan(6, tokens=256, rate=1e-2, warmup=2, bfloat16=False)
    for steps in (*stops, 6):
        student = AdapterStudent(
            base, out / "adapter", out / "state.pt", plan, Adapter(2, 1, "O/M")
        )
        ticks = chain(repeat(0.0, steps - student.step + 1), repeat(100.0))
        monkeypatch.setattr("duet_training.sft.trainer.time.monotonic", lambda t=ticks: next(t))

        def draw(rng, count, student=student):
            return teacher.examples("reasoner", rng, count, student.chunk)

        student.train(draw, until=50.0, report=lambda *_: None)
        monkeypatch.undo()
        assert student.step == steps
    return student


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
    student = _trained(base, teacher, tmp_path, monkeypatch, ())
    assert sorted(path.name for path in (tmp_path / "adapter").iterdir()) == [
        "adapter_config.json",
        "adapter_model.safetensors",
    ]
    settings = json.loads((tmp_path / "adapter/adapter_config.json").read_text())
    assert settings["base_model_name_or_path"] == "O/M"
    assert str(tmp_path) not in json.dumps(settings)
    shutil.copytree(base, tmp_path / "merged", ignore=shutil.ignore_patterns("*.safetensors"))
    student.merge(tmp_path / "merged")
    model = AutoModelForCausalLM.from_pretrained(base)
    model = PeftModel.from_pretrained(model, tmp_path / "adapter").merge_and_unload()
    ours = AutoModelForCausalLM.from_pretrained(tmp_path / "merged").state_dict()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight.to(torch.bfloat16), ours[name].to(torch.bfloat16)), name


def test_the_command_goes_on_and_leaves_a_pair(base, worked, tmp_path, capsys):
    out = tmp_path / "out"
    command = [str(out), "--base", str(base), "--worked", str(worked), "--scope", "easy"]
    command += ["--first", "1", "--rank", "2", "--threads", "1", "--reasoner-steps", "3"]
    command += ["--decoder-steps", "50", "--decoder-tokens", "512", "--reasoner-tokens", "256"]
    assert main([*command, "--minutes", "0"]) == UNFINISHED
    assert main(command) == 0
    assert (out / "adapter" / "adapter_model.safetensors").is_file()
    assert "decoder 50/50" in capsys.readouterr().out
    pair = load_pair(out / "pair.yaml")
    reasoner = AutoModelForCausalLM.from_pretrained(pair.reasoner.path)
    assert reasoner.config.num_hidden_layers == 2
    assert not PairPrompts(pair).shared_vocabulary
    # Joint training continues the adapter, on the unmodified model.
    untouched = load_pair(out / "base.yaml")
    assert untouched.reasoner.path == base
    assert untouched.reasoner.prompt == pair.reasoner.prompt
    assert untouched.decoder == pair.decoder
    assert main(command) == 0
    assert capsys.readouterr().out == ""  # all was done
    assert main([*command[:1], "--base", str(tmp_path), *command[3:]]) == 1
    assert "has no config.json" in capsys.readouterr().err
