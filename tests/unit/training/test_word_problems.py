"""Word problems over labels: canonical formulas, converted solutions, templates."""

import json
import random
import re
from collections import defaultdict
from fractions import Fraction
from itertools import islice

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from duet_contract.errors import FormulaError
from duet_contract.quantities import OUT_OF_REACH, asked, compute, mask, plain_sentence
from duet_training.data.story_problems.draw import split_of
from duet_training.data.word_problems.annotated import read_annotated, to_formula
from duet_training.data.word_problems.answer_sentences import answer_sentence, last_sentence
from duet_training.data.word_problems.canonical import canonical
from duet_training.data.word_problems.equations import find_equations
from duet_training.data.word_problems.generate import Style, choose, generated, instantiate
from duet_training.data.word_problems.parts import parts_of, read_parts
from duet_training.data.word_problems.problem import MaskedProblem
from duet_training.data.word_problems.slots import Words, plural
from duet_training.data.word_problems.templates import Template, parse_templates, read_templates
from duet_training.errors import DataError
from tests.doubles.commands import train_word_problems as main

_SLOTS = re.compile(r"<[^>]*>|\{[^}]*\}|[()~]")
QUANTITIES = mask("20 boxes, 3 pens, 1/2 litre, 7 people").quantities
EXPRESSIONS = st.recursive(
    st.sampled_from(["a", "b", "c", "d", "2", "1", "a%"]),
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map(lambda d: f"({d[0]}{d[1]}{d[2]})"),
        inner.map(lambda inside: f"up({inside})"),
        inner.map(lambda inside: f"(-{inside})"),
        inner.map(lambda inside: f"({inside})%"),
    ),
    max_leaves=8,
)


@given(EXPRESSIONS, EXPRESSIONS, st.sampled_from(["z", "x", "y", "z*x", "y+x"]))
def test_the_canonical_form_has_the_same_value(first: str, second: str, last: str) -> None:
    formula = f"{first}=x;{second}=y;x+y*x=z;{last}"
    try:
        value = compute(formula, QUANTITIES).value
    except FormulaError:
        return  # division by zero
    short = canonical(formula)
    assert compute(short, QUANTITIES).value == value
    assert "(" not in short.replace("up(", "")


@given(EXPRESSIONS)
@example("(-(up((-a))+(up(a)+up(a))))")
def test_the_canonical_form_of_a_canonical_form_is_itself(formula: str) -> None:
    assert canonical(canonical(formula)) == canonical(formula)


@pytest.mark.parametrize(
    ("formula", "form"),
    [
        ("b+a", "a+b"),
        ("(a-b)/c", "a-b=A;A/c"),
        ("a*b=x;x-c", "a*b=A;A-c"),
        ("a-b;A+c", "a-b+c"),
        ("a*b;c;A", "a*b"),  # what the answer does not need is left out
        ("a*b=A;a*b=B;A+B", "a*b=A;A+A"),
        ("c-a*b", "a*b=A;c-A"),
        ("a", "a"),
        ("a*1", "a"),
        ("a*b=x;x+c=y;x*y=z;a*b", "a*b"),
        ("a*b=x;x+c=y;x*y;", "a*b=A;A+c=B;A*B"),
        ("a*(1/2)", "a/2"),
        ("2*a", "a*2"),
        ("-a", "0-a"),
        ("a/(b/c)", "a*c/b"),
        ("d*12*a", "a*d*12"),
        ("b//a", "b//a"),
        ("up((a+b)/c)", "a+b=A;up(A/c)"),
        ("(a+b) mod c", "a+b=A;A mod c"),
    ],
)
def test_there_is_one_way_to_write_a_formula(formula: str, form: str) -> None:
    assert canonical(formula) == form


@pytest.mark.parametrize(
    ("question", "solution", "answer", "formula"),
    [
        ("Ann has 48 pens and half as many books.", "<<48/2=24>>24 and <<48+24=72>>72", "72",
         "a/2=A;a+A"),
        ("20% of 50 pens are red.", "<<20/100*50=10>>10", "10", "a%*b"),
        ("20% of 50 pens are red.", "<<.2*50=10>>10", "10", "a%*b"),
        ("She reads 3/4 of 80 pages.", "<<3/4*80=60>>60", "60", "a*x"),
        ("It costs $5, and 50 cents more.", "<<5+.5=5.5>>", "5.5", "b/100=A;a+A"),
        ("He pays $1,000 and $20.", "<<1000+20=1020>>", "1020", "a+b"),
        ("Sam has 2 dogs and twice as many cats.", "<<2*2=4>>", "4", None),
        ("Sam has 3 dogs and twice as many cats.", "<<3*2=6>>", "6", "a*2"),
        ("Sam has 3 dogs.", "<<3*17=51>>", "51", None),
        ("Sam has 3 dogs.", "<<3+5=8>>", "8", None),
        ("Sam has 3 dogs.", "He has 6.", "6", None),
        ("Sam has 3 dogs, 4 cats, 5 birds.", "<<3*2=6>>", "6", None),
        ("Sam has 3 dogs.", "<<3*2=6>>", "many", None),
        ("Sam has 3 dogs.", "<<three*2=6>>", "6", None),
    ],
)  # fmt: skip
def test_solutions_become_formulas(
    question: str, solution: str, answer: str, formula: str | None
) -> None:
    if formula is None:
        with pytest.raises(FormulaError):
            to_formula(mask(question), solution, answer)
    else:
        assert to_formula(mask(question), solution, answer) == formula


def test_the_same_number_twice_is_told_apart_by_what_stands_around_it() -> None:
    question = mask("Each of 4 boxes holds 6 pens. Ann pays 4 dollars for each pen.")
    solution = "There are 4 boxes * 6 = <<4*6=24>>24 pens, for 24*4=<<24*4=96>>96 dollars."
    assert to_formula(question, solution, "96") == "a*b*c"


def test_annotated_files_say_what_was_left_out(tmp_path) -> None:
    file = tmp_path / "train.jsonl"
    rows = [
        {"question": "Ann has 3 pens and buys 4.", "answer": "<<3+4=7>>7\n#### 7"},
        {"question": "Ann has 3 pens.", "answer": "7", "solution": "no equation"},
    ]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_annotated(file)
    assert [(problem.formula, problem.answer) for problem in found.problems] == [("a+b", "7")]
    assert sum(found.left_out.values()) == 1
    file.write_text(json.dumps(rows[1]))
    with pytest.raises(DataError, match="no solution"):
        read_annotated(file)
    file.write_text('{"question": "?"}')
    with pytest.raises(DataError, match="line 1: no 'answer'"):
        read_annotated(file)


FAMILIES = sorted({template.family for template in read_templates()})
PLAIN = Style(*[0.0] * 7)


@pytest.mark.parametrize("family", FAMILIES)
def test_every_template_makes_problems_whose_formula_gives_the_answer(family: str) -> None:
    for template in read_templates():
        rng = random.Random(template.id)
        if template.family == family:
            _check(template, instantiate(template, rng, PLAIN))
            _check(template, instantiate(template, rng, Style(1, 0.5, 0.5, 0.5, 0.5, 0.1, 0.1)))


def _check(template: Template, problem: MaskedProblem) -> None:
    signs = set("[]<>{}~|")
    assert not signs & {*problem.question, *problem.sentence.replace("{=}", "")}, template.id
    if problem.formula == "?":
        assert (problem.answer, problem.sentence) == ("", OUT_OF_REACH)
        return
    masked = problem.masked
    value = compute(problem.formula, masked.quantities).value
    assert value > 0
    error = Fraction(problem.answer) - value
    if "o'clock" in problem.sentence:
        # 7 o'clock and 12 hours are 7 o'clock.
        error %= 12
    assert abs(error) <= Fraction(1, 100), template.id
    assert problem.formula == canonical(problem.formula)
    assert problem.sentence.count("{=}") == 1, template.id
    assert not mask(problem.sentence).quantities, template.id
    # The reasoner cannot know that a label means the constant that the formula writes.
    constants = set(map(Fraction, re.findall(r"(?<![\w.])\d+(?:\.\d+)?", template.formula)))
    used = set(re.findall(r"\b[a-z]+\b", problem.formula))
    for quantity in mask(template.text).quantities:
        same = [each for each in masked.quantities if each.value == quantity.value]
        if quantity.kind == "word" and not any(each.name in used for each in same):
            assert quantity.value not in constants, (template.id, quantity.source)


def _trigrams(template: Template, rng: random.Random) -> frozenset[tuple[str, ...]]:
    """Three words in a row of one choice of a template's text, slots and numbers left open."""
    text = _SLOTS.sub(" _ ", choose(template.text, rng)).lower()
    words = re.findall(r"[a-z']+|_", text)
    return frozenset(zip(words, words[1:], words[2:], strict=False)) - {("_", "_", "_")}


def test_no_training_template_is_like_a_held_out_one() -> None:
    rng = random.Random(0)
    held, trained = (
        [
            (template.id, _trigrams(template, rng))
            for template in read_templates()
            if template.held_out == is_held_out
            for _ in range(4)
        ]
        for is_held_out in (True, False)
    )
    found: defaultdict[tuple[str, ...], set[int]] = defaultdict(set)
    for place, (_, trigrams) in enumerate(trained):
        for trigram in trigrams:
            found[trigram].add(place)
    for name, trigrams in held:
        for place in set().union(*(found[trigram] for trigram in trigrams)):
            other, others = trained[place]
            assert len(trigrams & others) < 0.45 * len(trigrams | others), (name, other)


def test_splits_and_held_out_templates_are_apart() -> None:
    held = {template.id for template in read_templates() if template.held_out}
    assert len(held) >= 50
    for split in ("train", "test"):
        drawn = list(islice(generated(random.Random(1), split), 200))
        assert {split_of(problem.question) for problem in drawn} == {split}
        assert not held & {problem.id for problem in drawn}
    drawn = islice(generated(random.Random(1), "test", held_out=True), 50)
    assert {problem.id for problem in drawn} <= held


def test_the_same_seed_makes_the_same_problems() -> None:
    first, second = (list(islice(generated(random.Random(7), "train"), 20)) for _ in range(2))
    assert first == second


def test_the_command_prints_problems_as_json(tmp_path, capsys) -> None:
    assert main(["--count", "2", "--held-out"]) == 0
    for line in capsys.readouterr().out.splitlines():
        row = json.loads(line)
        assert mask(row["question"]).text == row["masked"]
    file = tmp_path / "train.jsonl"
    file.write_text(json.dumps({"question": "3 and 4 pens", "answer": "<<3+4=7>>\n#### 7"}))
    assert main(["--annotated", str(file)]) == 0
    read = capsys.readouterr()
    assert json.loads(read.out)["formula"] == "a+b"
    assert read.err == "1 formulas, 0 solutions left out:\n"
    assert main(["--annotated", str(tmp_path / "none.jsonl")]) == 1
    assert "cannot read" in capsys.readouterr().err


@pytest.mark.parametrize("line", ["<A> has {a}.", "{a} => a", "{a} :: {=}"])
def test_a_template_without_formula_or_sentence_is_named(line: str) -> None:
    with pytest.raises(DataError, match="family/1 lacks"):
        list(parse_templates("family", f"# a comment\n{line}\n"))


def test_a_template_whose_numbers_give_no_answer_is_named() -> None:
    (template,) = parse_templates("family", "How many are {a}? => a-a-1 :: {=}")
    with pytest.raises(DataError, match="family/1 has no numbers"):
        instantiate(template, random.Random(0), Style())


def test_slots_keep_their_words() -> None:
    for seed in range(50):
        words = Words(random.Random(seed))
        assert words.slot("A") != words.slot("B")
        assert words.slot("He") in ("He", "She")
        assert words.slot("t") == words.slot("t")
        assert len({words.slot(name) for name in ("t", "u", "v")}) == 3
        assert plural(words.slot("food2")) == words.slot("foods2")
        assert words.slot("goodses") == plural(words.slot("goods"))
    with pytest.raises(KeyError):
        words.slot("nothing")


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("How many pens are left?", "The answer is {=} pens."),
        ("How many more pens has she?", "The answer is {=} more pens."),
        ("A pen costs $[a]. How much do [b] cost?", "The answer is ${=}."),
        ("A pen costs [a]. How much do [b] cost?", "The answer is {=}."),
        ("What percentage is red?", "The answer is {=}%."),
        ("How many did she buy?", "The answer is {=}."),
        ("How old is she?", "The answer is {=}."),
    ],
)
def test_questions_without_a_sentence_get_one(question: str, sentence: str) -> None:
    assert plain_sentence(question, asked(question)) == sentence


@pytest.mark.parametrize(
    ("solution", "equations"),
    [
        ("48/2 = <<48/2=24>>24. 24+1=25.", ["48/2", "24+1"]),
        ("She has 5 pens + 6 pens = 11 pens.", ["5+6"]),
        ("Female:44(.50)=22, pregnant: 22(.50)=11", ["44*(.50)", "22*(.50)"]),
        ("On day 3, 4 x $1,000 = $4,000", ["4*1000"]),
        ("3 + 4 = 8 and x = 5", []),  # wrong, and no equation
        ("<<5=5>>5", []),
        ("2 tbs / 50 tbs * 100% = 4", ["2/50*100"]),
    ],
)
def test_equations_are_found_in_annotations_and_in_text(solution, equations) -> None:
    found = ["".join(equation.symbols) for equation in find_equations(solution)]
    assert found == equations


@pytest.mark.parametrize(
    ("line", "question"),
    [
        ("Ann sold 48/2 = <<48/2=24>>24 clips in May.", "How many clips did Ann sell in May?"),
        ("So, there are 48/2 = <<48/2=24>>24 red clips.", "How many red clips are there?"),
        ("There will be 48/2 = <<48/2=24>>24 clips.", "How many clips will there be?"),
        ("In May, Ann sold 48/2=<<48/2=24>>24 clips.", "How many clips did Ann sell in may?"),
        ("She will need 48/2 = <<48/2=24>>24 bags.", "How many bags will she need?"),
        ("The clips cost 48/2 = $<<48/2=24>>24.", "How much did the clips cost?"),
        ("Her share is 48/2 = $<<48/2=24>>24.", "How much is her share?"),
        ("They read 48/2 = <<48/2=24>>24 pages.", "How many pages do they read?"),
    ],
)
def test_a_line_of_a_solution_becomes_a_question(line: str, question: str) -> None:
    (part,) = parts_of("There are 48 halves. And the rest?", f"{line}\nlast", "1", random.Random(0))
    assert part.question == f"There are 48 halves. {question}".replace("may", "May")
    assert (part.formula, part.answer) == ("a/2", "24")


@pytest.mark.parametrize(
    "line",
    [
        "48/2 = <<48/2=24>>24",
        "Ann, who sold 48/2 = <<48/2=24>>24 clips.",
        "Ann sold 48/2 = <<48/2=24>>24 clips in 3 days.",
        "Ann sold 48/2 = <<48/2=24>>24.",
        "Ann sold 48*3 = <<48*3=144>>144 clips.",  # nothing says three
        "Ann sold them.",
    ],
)
def test_other_lines_do_not(line: str) -> None:
    assert not parts_of("There are 48 halves. Why?", f"{line}\nlast", "1", random.Random(0))


def test_parts_come_with_and_without_the_facts_that_they_do_not_need(tmp_path) -> None:
    row = {
        "question": "Ann sold 48 clips. Tom sold half as many. Eve sold 5. How many are that?",
        "answer": "Tom sold 48/2 = <<48/2=24>>24 clips.\nThat is 48+24+5=<<48+24+5=77>>77.\n#### 77",
    }
    file = tmp_path / "train.jsonl"
    file.write_text("".join(json.dumps(row | {"id": str(n)}) + "\n" for n in range(20)))
    asked = {part.question for part in read_parts(file)}
    assert asked == {
        "Ann sold 48 clips. Tom sold half as many. Eve sold 5. How many clips did Tom sell?",
        "Ann sold 48 clips. Tom sold half as many. How many clips did Tom sell?",
    }


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("Ann sold 48+24 = <<48+24=72>>72 clips in all.", "Ann sold {=} clips in all."),
        ("Therefore, her change is $20 - $8 = $<<20-8=12>>12", "Her change is ${=}."),
        ("She paid 2*5=<<2*5=10>>$10 for tea. Then she left.", "She paid ${=} for tea."),
        ("He has 5-3=<<5-3=2>>2 dollars left.", "He has {=} dollars left."),
        ("That is 5/20*100 = <<5/20*100=25>>25% of them.", "That is {=}% of them."),
        ("This means that Bo has 5-3 = <<5-3=2>>2 left", "Bo has {=} left."),
        ("Bo and Al have 2+3 = <<2+3=5>>5.", "Bo and Al have {=}."),
        ("They can bring $30/$6 = $<<30/6=5>>5 students.", ""),  # the sign is a slip
        ("He ate 4, so 8-4 = <<8-4=4>>4 are left.", ""),
        ("48+24 = <<48+24=72>>72 clips.", ""),
        ("In 3 weeks he has 3*7 = <<3*7=21>>21 more.", ""),
        ("If he sells them he gets 2*3 = <<2*3=6>>6.", ""),
        ("The sum of 2+3 = <<2+3=5>>5.", ""),
        ("Each of the two has 6/2 = <<6/2=3>>3.", ""),
        ("Five is the answer.", ""),
        ("Add the cost to find what Bo pays 2+3 = $<<2+3=5>>5", ""),
        ("He has more pens than Bo 5-3 = <<5-3=2>>2 pens", ""),
    ],
)
def test_the_last_line_of_a_solution_is_the_answer_as_a_sentence(line: str, sentence: str) -> None:
    assert answer_sentence(line) == sentence
    assert last_sentence(f"It is 1+1 = <<1+1=2>>2.\n{line}\n#### 7") == (
        sentence if "<<" in line else "It is {=}."
    )
