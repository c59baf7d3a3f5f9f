"""Checks of a run: models, prompts, data, VERL's configuration, memory, contents of `out`."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from duet_contract.errors import ContractError, first_line
from duet_contract.json_data import read_json
from duet_training.data.rows import Problem, paths_of, read_rows
from duet_training.data.selection import (
    check_apart,
    check_decoder_prompts,
    content_digest,
    fitting,
    judged_by,
)
from duet_training.errors import ConfigError, TrainingError, one_line
from duet_training.evaluation.verifiers import make_verifier
from duet_training.pair.description import Pair, fetch, hub_id, read_pair
from duet_training.pair.lora import check_adapter
from duet_training.pair.prompting import PairPrompts
from duet_training.preflight.findings import Finding
from duet_training.preflight.memory import (
    ModelShape,
    adapter_sizes,
    cached_tokens,
    engine_of,
    phases,
    shape_of,
)
from duet_training.rl.checkpoints import Checkpoints
from duet_training.rl.dense import check_references
from duet_training.settings.binding import binding
from duet_training.settings.run import Settings
from duet_training.verl_backend.config import policy_config


def local_pair(settings: Settings) -> Iterator[Finding | Pair]:
    """Yield findings about the models, then the pair if all models are on this machine."""
    pair = read_pair(settings.pair)
    paths: dict[str, Path] = {}
    for name, model in (("reasoner", pair.reasoner), ("decoder", pair.decoder)):
        repository = hub_id(settings.pair, model.path)
        if not repository:
            paths[name] = (settings.pair.parent / model.path.expanduser()).resolve()
            continue
        try:
            paths[name] = fetch(repository, cached=True)
        except ConfigError:
            yield _on_the_hub(name, repository)
    for name, path in paths.items():
        missing = [
            file for file in ("config.json", "tokenizer.json") if not (path / file).is_file()
        ]
        if missing:
            yield Finding("fail", name, f"{path} has no {missing[0]}")
            return
    if len(paths) == 2:
        models = {name: getattr(pair, name) for name in paths}
        yield pair.model_copy(
            update={n: m.model_copy(update={"path": paths[n]}) for n, m in models.items()}
        )


def _on_the_hub(name: str, repository: str) -> Finding:
    from huggingface_hub import HfApi

    try:
        HfApi().model_info(repository, timeout=5)
    except Exception as error:  # the hub's, httpx's and the resolver's own
        return Finding(
            "fail", name, f"{repository} is not in the hub's cache; the hub: {first_line(error)}"
        )
    return Finding("warn", name, f"{repository} is on the hub, and will be fetched when training")


def model(name: str, path: Path, needed: int) -> Iterator[Finding]:
    """Check a model's weights, tokenizer and context; `needed`: tokens of the longest sequence."""
    config: dict[str, Any] = read_json((path / "config.json"), finite=False)
    if not any(path.glob("*.safetensors")) and not any(path.glob("pytorch_model*.bin")):
        yield Finding("fail", name, f"{path} has no weights")
        return
    context = int(config.get("max_position_embeddings") or 0)
    if context and context < needed:
        yield Finding("fail", f"{name}'s context", f"{context} tokens, {needed} needed")
    settings_file = path / "tokenizer_config.json"
    tokenizer = read_json(settings_file, finite=False) if settings_file.is_file() else {}
    has = {
        "pad token": bool(tokenizer.get("pad_token")),
        "chat template": bool(tokenizer.get("chat_template"))
        or (path / "chat_template.jinja").is_file(),
    }
    # Neither is used: the pair spells its prompts out, and padding is always masked.
    lacking = [f"no {what} (not needed)" for what, there in has.items() if not there]
    words = len(read_json((path / "tokenizer.json"), finite=False)["model"]["vocab"])
    if words > int(config["vocab_size"]):
        yield Finding(
            "fail",
            f"{name}'s vocabulary",
            f"the tokenizer knows {words} tokens, the model {config['vocab_size']}",
        )
    size = shape_of(path).parameters / 1e6
    about = f"{path}: {size:,.1f}M weights, {config['vocab_size']} tokens, context {context}"
    yield Finding("ok", name, "; ".join([about, *lacking]))


def prompts(pair: Pair, settings: Settings) -> Iterator[Finding | PairPrompts]:
    """Check that prompts can be built, and answers rewarded: end tokens, vocabularies."""
    built = PairPrompts(pair)
    built.check_reward(settings.objective.reward)
    how = "token ids" if built.shared_vocabulary else "text: the vocabularies differ"
    yield Finding("ok", "prompts", f"signals travel as {how}")
    yield built


def data(settings: Settings, built: PairPrompts | None) -> Iterator[Finding | str]:
    """Check files, rows, too long prompts, and the verifiers' own examples.

    Yield the digest of the training data as well, if prompts can be built.
    """
    files: dict[str, Path | Sequence[Path]] = {"training data": settings.data.train}
    if settings.validate_.every:
        for name, held_out in settings.data.held_out.items():
            files[f"validation data {name}".strip()] = held_out
    trained: list[Problem] = []
    verifiers: set[str] = set()
    for what, file in files.items():
        problems = judged_by(read_rows(file), settings.data.verifier)
        verifiers |= {problem.verifier for problem in problems}
        text = f"{len(problems)} rows"
        if what == "training data":
            trained = problems
        else:
            check_apart(trained, problems, file, " ".join(map(str, paths_of(settings.data.train))))
        if built:
            kept, too_long = fitting(problems, built, settings.data.max_prompt)
            text += f", {too_long} prompts longer than {settings.data.max_prompt} tokens"
            problems = kept
            if "decoder" in settings.policies:
                check_decoder_prompts(kept, built, settings.tokens.decoder_prompt)
            if what == "training data":
                yield content_digest(kept)
                if settings.objective.reward == "dense":
                    answer, limit = settings.objective.dense_answer, settings.tokens.answer
                    check_references(kept, built, answer, limit)
        if what == "training data" and len(problems) < settings.batch.questions:
            yield Finding("fail", what, f"{text}: fewer than a step's {settings.batch.questions}")
        elif built and too_long > 0.5 * (too_long + len(problems)):
            yield Finding("warn", what, f"{text}: more than half are left out")
        else:
            yield Finding("ok", what, text)
    for name in sorted(verifiers):
        make_verifier(name, 1, settings.data.verifier_seconds).close()
        yield Finding("ok", f"verifier {name}", "tells right from wrong")


def adapters(settings: Settings, paths: dict[str, Path]) -> Iterator[Finding]:
    """Check that each adapter fits its model, and report its size."""
    for name in settings.policies:
        adapter = settings.lora.of(name)
        if adapter.rank and name in paths:
            size = check_adapter(name, paths[name], adapter) / 1e6
            yield Finding("ok", f"{name}'s adapter", f"rank {adapter.rank}: {size:,.2f}M weights")


def verl(settings: Settings, paths: dict[str, Path]) -> Iterator[Finding | dict[str, Any]]:
    """Check that VERL knows every setting, then yield its configuration of each policy."""
    configs = {
        name: policy_config(settings, name, str(paths.get(name, "unknown")))
        for name in settings.policies
    }
    yield Finding("ok", "VERL's settings", f"composed for {' and '.join(configs)}")
    yield configs


def memory(
    settings: Settings, shapes: dict[str, ModelShape], configs: dict[str, Any]
) -> Iterator[Finding | dict[str, dict[str, float]]]:
    """Compare the estimate of each phase to the devices' memory, then yield the phases."""
    hardware = settings.hardware
    if hardware.platform == "cpu":
        return
    adapters = adapter_sizes(settings, shapes)
    engines = {
        name: engine_of(configs[name], shape, hardware.ranks_of(name), adapters[name])
        for name, shape in shapes.items()
    }
    device = hardware.device_memory
    found = phases(engines, device, shared=hardware.shared_pool, empty_cache=hardware.empty_cache)
    phase, most = max(((name, sum(parts.values())) for name, parts in found.items()), key=_size)
    text = f"at most {most:.1f} of {device:g} GiB ({phase})"
    if most > device:
        advice = "lower gpu_memory_utilization or sizes"
        if not hardware.empty_cache:
            advice = f"set hardware.empty_cache=true, {advice}"
        yield Finding("fail", "GPU memory", f"{text}: {advice}")
    else:
        yield Finding("warn" if most > 0.95 * device else "ok", "GPU memory", text)
    for name, engine in engines.items():
        tokens, part = cached_tokens(engine, device), configs[name].actor_rollout_ref
        longest = part.rollout.max_model_len
        many = f"{tokens} tokens a server, {tokens / longest:.1f} sequences of {longest}"
        yield Finding("ok" if tokens >= longest else "fail", f"{name}'s KV cache", many)
    yield found


def _size(pair: tuple[str, float]) -> float:
    return pair[1]


def earlier_run(settings: Settings, digest: str | None) -> Iterator[Finding]:
    """Report the contents of `out`, and whether this run may resume from them.

    `digest`: of the training data; None: not compared.
    """
    checkpoints = Checkpoints(
        settings.out / "checkpoints", binding(settings), settings.checkpoint, digest
    )
    if checkpoints.steps() and not settings.resume:
        yield Finding("fail", "out", f"{settings.out} holds a run: resume=true, or another `out`")
    elif settings.resume:
        last = checkpoints.last()
        if last:
            yield Finding("ok", "out", f"continues after step {last[0].step} of {settings.out}")
        else:
            yield Finding("warn", "out", f"resume=true, but {settings.out} has no checkpoint")
    else:
        yield Finding("ok", "out", f"{settings.out} holds no run")


def as_finding(what: str, error: TrainingError | ContractError | OSError) -> Finding:
    """Convert a check's error to a finding."""
    return Finding("fail", what, one_line(error))
