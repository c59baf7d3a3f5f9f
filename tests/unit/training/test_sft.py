"""SFT: tokenizer, examples, batches, and exact resuming."""

import json
import os
import random
import shutil
import signal
from functools import partial
from itertools import chain, repeat

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer

from duet_training.data.story_problems.draw import SCOPES, draw
from duet_training.data.story_problems.traces import SHORT, answer, trace
from duet_training.errors import CheckpointError, ConfigError
from duet_training.pair.description import load_pair
from duet_training.pair.prompting import PairPrompts
from duet_training.sft import UNFINISHED, trainer
from duet_training.sft.examples import DRILLED, Example, Teacher
from duet_training.sft.muon import Float32Muon
from duet_training.sft.start import make_start
from duet_training.sft.trainer import GRAIN, IGNORED, Batch, Plan, SftTrainer, batched
from tests.doubles.commands import train_scratch as main


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    """A tiny pair with random weights."""
    return make_start(tmp_path_factory.mktemp("start"), "tiny", 0)


@pytest.fixture(scope="module")
def teacher(start):
    return Teacher(load_pair(start), SCOPES["easy"])


def test_digits_are_tokens_of_their_own(start):
    prompts = PairPrompts(load_pair(start))
    assert prompts.shared_vocabulary
    ids = Teacher(load_pair(start), SCOPES["easy"]).signal("12+5=17. 17-3=14.")
    assert len(ids) == len("12+5=17.") + len(" 17-3=14.")
    assert prompts.signal_text(ids) == "12+5=17. 17-3=14."


def test_llama_cpp_reads_the_same_tokens(start, tmp_path):
    gguf, llama_cpp = pytest.importorskip("gguf"), pytest.importorskip("llama_cpp")
    from tokenizers import Tokenizer

    own = Tokenizer.from_file(str(load_pair(start).decoder.path / "tokenizer.json"))
    vocabulary = sorted(own.get_vocab(with_added_tokens=True).items(), key=lambda item: item[1])
    control = {token.content for token in own.get_added_tokens_decoder().values()}
    writer = gguf.GGUFWriter(tmp_path / "words.gguf", "qwen3")
    for add in ("context_length", "embedding_length", "block_count", "feed_forward_length"):
        getattr(writer, f"add_{add}")(64)
    writer.add_head_count(2)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("qwen2")
    writer.add_token_list([token for token, _ in vocabulary])
    writer.add_token_types([3 if token in control else 1 for token, _ in vocabulary])
    writer.add_token_merges(_merges(own))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    theirs = llama_cpp.Llama(str(tmp_path / "words.gguf"), vocab_only=True, verbose=False)
    texts = ["un été à Paris; Größe 数学 🙂\t tabs\r\nlines", "$5,000.25 it's 12%", "  a   b\n\n c"]
    rng = random.Random(0)
    for _ in range(50):
        story = draw(rng, SCOPES["wide"])
        texts += [story.question, trace(story, SHORT), answer(story)]
    for text in texts:
        expected = own.encode(text, add_special_tokens=False).ids
        assert theirs.tokenize(text.encode(), add_bos=False, special=False) == expected
    theirs.close()


def _merges(tokenizer):
    return [" ".join(pair) for pair in json.loads(tokenizer.to_str())["model"]["merges"]]


def test_examples_have_the_prompts_of_serving(start, teacher):
    prompts = PairPrompts(load_pair(start))
    story = draw(random.Random(3), SCOPES["easy"])
    asked = {tuple(teacher.decoder(story, random.Random(i)).prompt) for i in range(200)}
    assert tuple(prompts.alone(story.question)) in asked
    assert tuple(prompts.guided(story.question, [])) in asked
    assert tuple(prompts.guided(story.question, teacher.signal(trace(story, SHORT)))) in asked
    responses = [teacher.reasoner(story, random.Random(i)).response for i in range(50)]
    for response in responses:
        assert prompts.response_text(response).endswith(answer(story))
        assert prompts.end_of_reasoning in response
    assert len({len(response) for response in responses}) > 3


def test_batches_have_few_shapes_and_lose_nothing():
    rng = random.Random(0)
    examples = [Example([7] * rng.randint(1, 60), [8] * rng.randint(1, 90)) for _ in range(300)]
    batches = batched(examples, 1024, rng)
    assert sorted(map(id, examples)) == sorted(id(e) for b in batches for e in b.examples)
    assert len({(b.rows, b.width) for b in batches}) <= 150 // GRAIN + 1
    for batch in batches:
        ids, labels = batch.tensors()
        assert ids.numel() <= 1024
        assert int((labels != IGNORED).sum()) == sum(len(e.response) for e in batch.examples)


def test_a_batch_of_one_long_row_is_still_a_batch():
    (batch,) = batched([Example([1] * 500, [2] * 500)], 64, random.Random(0))
    assert batch.rows == 1


def test_training_goes_on_where_it_stopped(start, teacher, tmp_path, monkeypatch):
    """Six steps at once, and two and four with a restart between them: the same weights."""
    plan = Plan(6, tokens=256, warmup=2, bfloat16=False)

    def train(name, steps):
        model = tmp_path / name / "model"
        if not model.is_dir():
            shutil.copytree(load_pair(start).decoder.path, model)
        sft = SftTrainer(model, tmp_path / name / "state.pt", plan)
        # The clock stops for so many steps, and then the time is up.
        ticks = chain(repeat(0.0, steps + 1), repeat(100.0))
        monkeypatch.setattr("duet_training.sft.trainer.time.monotonic", lambda: next(ticks))
        done = sft.train(partial(teacher.examples, "decoder"), until=50.0)
        monkeypatch.undo()
        return done, sft

    done, whole = train("whole", 6)
    assert done
    stopped, part = train("parts", 2)
    assert (stopped, part.step) == (False, 2)
    done, resumed = train("parts", 6)
    assert done
    theirs = resumed.model.state_dict()
    assert all(torch.equal(w, theirs[name]) for name, w in whole.model.state_dict().items())
    written = load_file(tmp_path / "parts/model/model.safetensors")
    assert all(torch.equal(weight, theirs[name]) for name, weight in written.items())


def test_termination_saves_after_the_step(start, teacher, tmp_path, monkeypatch):
    model, state, plan = tmp_path / "model", tmp_path / "state.pt", Plan(6, tokens=256)
    shutil.copytree(load_pair(start).decoder.path, model)
    sft = SftTrainer(model, state, plan)
    learn = sft._learn

    def terminated(batch):
        os.kill(os.getpid(), signal.SIGTERM)
        return learn(batch)

    monkeypatch.setattr(sft, "_learn", terminated)
    before = signal.getsignal(signal.SIGTERM)
    examples = partial(teacher.examples, "decoder")
    assert not sft.train(examples, until=float("inf"))
    assert (sft.step, SftTrainer(model, state, plan).step) == (1, 1)
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_state_never_says_more_than_the_model_has(start, teacher, tmp_path, monkeypatch):
    """Killed while it saves: what was there stays whole, and the steps are made again."""
    model, state, plan = tmp_path / "model", tmp_path / "state.pt", Plan(2, tokens=256)
    shutil.copytree(load_pair(start).decoder.path, model)
    began = {file.name: file.read_bytes() for file in model.iterdir()}
    sft = SftTrainer(model, state, plan)

    def killed(scratch, **_):
        (scratch / "model.safetensors").write_bytes(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(sft.model, "save_pretrained", killed)
        with pytest.raises(KeyboardInterrupt):
            sft.train(partial(teacher.examples, "decoder"), until=float("inf"))
    assert {file.name: file.read_bytes() for file in model.iterdir()} == began
    assert [file.name for file in tmp_path.iterdir()] == ["model"]
    again = SftTrainer(model, state, plan)
    assert again.step == 0
    assert again.train(partial(teacher.examples, "decoder"), until=float("inf"))
    written = load_file(model / "model.safetensors")
    assert all(torch.equal(weight, sft.model.state_dict()[n]) for n, weight in written.items())


def test_a_time_limit_stops_and_the_loss_falls(tmp_path, capsys):
    out = str(tmp_path / "pair")
    command = [out, "--size", "tiny", "--tokens", "256", "--threads", "1"]
    steps = ["--reasoner-steps", "100", "--decoder-steps", "0"]
    assert main([*command, *steps, "--minutes", "0"]) == UNFINISHED
    assert main([*command, *steps]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if "loss" in line]
    losses = [float(line.split("loss")[1].split()[0]) for line in lines]
    assert losses[-1] < 0.8 * losses[0]


def test_a_damaged_state_is_one_clear_line(start, tmp_path):
    state = tmp_path / "state.pt"
    torch.save({"step": 3}, state)
    with pytest.raises(CheckpointError, match=r"cannot continue from .*state.pt"):
        SftTrainer(load_pair(start).decoder.path, state, Plan(5))


def test_an_unknown_size_is_named(tmp_path):
    with pytest.raises(ConfigError, match="no size 'huge'; there are: "):
        make_start(tmp_path, "huge", 0)


def test_the_rate_rises_and_falls():
    plan = Plan(1000, rate=1.0, warmup=10, decay=0.5)
    rates = [plan.rate_at(step) for step in (0, 9, 400, 750, 999)]
    assert rates == [0.1, 1.0, 1.0, 0.5, 0.02]


def test_muon_in_float32_takes_the_steps_of_torchs_own():
    """Which rounds to bfloat16 on the way: alike in direction and size, not to the last digit."""
    torch.manual_seed(0)
    for shape in ((24, 40), (40, 24)):
        start = torch.randn(shape)
        mine, peer = (torch.nn.Parameter(start.clone()) for _ in range(2))
        own = Float32Muon([mine], lr=0.1, weight_decay=0.01)
        torchs = torch.optim.Muon([peer], lr=0.1, weight_decay=0.01, adjust_lr_fn="match_rms_adamw")
        for _ in range(4):
            slope = torch.randn(shape)
            mine.grad, peer.grad = slope.clone(), slope.clone()
            own.step()
            torchs.step()
        moved, expected = (mine - start).detach(), (peer - start).detach()
        assert float((moved - expected).norm() / expected.norm()) < 0.02


def test_a_decoder_that_has_something_to_learn_reads_only_what_is_concluded(start):
    pair = load_pair(start)
    teacher = Teacher(pair, SCOPES["easy"], "concluded")
    shown = teacher.examples("decoder", random.Random(4), 300)
    tokenizer = Tokenizer.from_file(str(pair.reasoner.path / "tokenizer.json"))
    prompts = [tokenizer.decode(example.prompt) for example in shown]
    # No question has an equation; what ends early does not say the answer.
    reading = [prompt for prompt in prompts if "=" in prompt]
    assert sum("So the answer is" in prompt for prompt in reading) > 0.7 * len(reading) > 0


def test_other_examples_continue_where_the_first_were_stopped(start, tmp_path, monkeypatch):
    """A place in a chunk of the first may be beyond the end of the same chunk of the others."""
    monkeypatch.setattr(trainer, "CHUNK", 64)
    pair = load_pair(start)
    model = shutil.copytree(pair.decoder.path, tmp_path / "model")
    draws = [
        partial(Teacher(pair, SCOPES["easy"], name).examples, "reasoner")
        for name in ("broad", "terse")
    ]
    broad, terse = (
        len(batched(examples(random.Random("0/0"), 64), 512, random)) for examples in draws
    )
    assert terse < broad - 1
    for examples, steps in zip(draws, (broad - 1, broad + 3), strict=True):
        sft = SftTrainer(model, tmp_path / "state.pt", Plan(steps, tokens=512))
        assert sft.train(examples, until=float("inf"))
        assert sft.step == steps


def test_of_a_drill_only_results_are_trained(start, teacher):
    prompts = PairPrompts(load_pair(start))
    drills = [e for e in teacher.examples("reasoner", random.Random(3), 40) if e.loss_mask]
    assert drills
    for example in drills:
        ids, labels = (t[0].tolist() for t in Batch((example,), 1, len(example)).tensors())
        equations = prompts.signal_text(example.response).strip(" .").split(". ")
        assert len(equations) >= DRILLED
        trained = [i for i, label in enumerate(labels) if label != IGNORED]
        assert all(labels[i] == ids[i] for i in trained)
        results = prompts.signal_text([labels[i] for i in trained])
        assert results == "".join(f"{each.split('=')[1]}." for each in equations)
