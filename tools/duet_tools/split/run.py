"""One run of the command: checks everything first, measures, writes the report."""

import contextlib
import os
from pathlib import Path
from typing import Literal

import grpc
from pydantic import BaseModel, ConfigDict
from rich.console import Console

from duet_contract.channels import Pem, tls_credentials
from duet_contract.errors import TransportError
from duet_device.errors import DeviceError
from duet_device.identity.credentials import identity_for
from duet_device.pairs.pair import Pair, load_decoder
from duet_device.policy.calibrations import HOW, calibration_of
from duet_device.settings import default_threads
from duet_tools.errors import BenchError, UsageProblem
from duet_tools.link.profiles import link_named
from duet_tools.progress import plain, progress_bar, public_command
from duet_tools.report.build import FILES, build, write
from duet_tools.report.text import terminal
from duet_tools.results.conditions import Plan
from duet_tools.results.figures import Figure, Results
from duet_tools.results.folder import Folder
from duet_tools.results.machine import commit, describe_machine, today
from duet_tools.results.questions import QuestionRow, have_answers, read_questions
from duet_tools.results.report import Objective, Prices, Report
from duet_tools.results.settings import RunSettings, fingerprint
from duet_tools.split.checking import find_check
from duet_tools.split.connections import Connections
from duet_tools.split.endpoint import KEY_VARIABLE, Endpoint, served_model
from duet_tools.split.link_pool import LinkPool
from duet_tools.split.measurement import Measurement, needs_decoder
from duet_tools.split.modes.base import ModeSettings
from duet_tools.split.modes.large import answers_in_reasoning
from duet_tools.split.notes import notes_of
from duet_tools.split.servers import Servers, check_pair
from duet_tools.subjects.workload import Workload

_PREFIX_CACHING = ("--enable-prefix-caching", "--no-enable-prefix-caching")


class Options(BaseModel):
    """What the command was given; None: the pair's or the device's own."""

    model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)

    data: Path
    """File of questions, JSON lines."""
    limit: int | None
    """Number of questions that are asked; None: all."""
    plan: Plan
    """Modes, links, loads and budgets."""
    sweep_steps: int
    """Number of rates in a sweep."""
    large_limit: int | None
    """Maximum tokens of the large model alone; None: default budget plus answer."""
    answer_limit: int | None
    """Maximum answer tokens of the device."""
    temperature: float | None
    """Sampling temperature."""
    seed: int
    """Seed of sampling, arrivals and links."""
    warm_up: int
    """Uncounted questions before each condition."""
    timeout: float
    """Time limit per question in seconds."""
    connect_timeout: float
    """Connection timeout in seconds."""
    connections: Literal["new", "kept"]
    """A new connection for each question, or one that each device keeps."""
    threads: int | None
    """Threads of the decoder."""
    pair: str
    """Name or directory of the pair."""
    server: str | None
    """HOST:PORT of a running DUET service; None: one is started."""
    openai: str | None
    """HOST:PORT or URL of a running OpenAI server of vLLM; None: one is started."""
    tls_ca: Path | None
    """Certificate of the service's authority, PEM; None: not given."""
    tls_cert: Path | None
    """Certificate of the device, PEM; None: not given."""
    tls_key: Path | None
    """Private key of the device, PEM; None: not given."""
    service_flags: tuple[str, ...]
    """Further flags of a service that is started."""
    engine_flags: tuple[str, ...]
    """Flags of vLLM for every engine that is started."""
    verifier: str
    """Name of the verifier of answers."""
    objectives: tuple[Objective, ...]
    """Time limits that a question must meet to count as goodput."""
    price_host_hour: float | None
    """Price per hour of the host; None: not given."""
    price_million_tokens: float | None
    """Price per million large-model tokens; None: not given."""
    price_gib: float | None
    """Price per GiB over the link; None: not given."""
    figures_file: Path | None
    """Results of `duet-bench figures` to include; None: there is no such file."""
    out: Path
    """Directory of the report."""
    resume: bool
    """Whether the run in `out` is continued."""


def run(options: Options) -> None:
    """Measure and write.

    Raises:
        UsageProblem: an option cannot be satisfied; nothing was measured.
        BenchError: something failed; what was measured is in the folder.
        KeyboardInterrupt: interrupted; likewise.
    """
    questions = read_questions(options.data, options.limit)
    workload = Workload.open(options.pair)
    plan = _plan(options, workload)
    for link in plan.links:
        link_named(link)
    has_answers = have_answers(questions)
    check = find_check(options.verifier) if has_answers else None
    common = _common(options, workload)
    figures = Results.read(options.figures_file).figures if options.figures_file else ()
    if options.server:
        check_pair(options.server, workload.manifest.reference, common.credentials)
    openai = None
    if options.openai:
        openai = Endpoint.parse(options.openai, os.environ.get(KEY_VARIABLE))
        if {"large-alone", "truncated"} & set(plan.modes):
            served_model(openai)
    _check_reasoner(options, plan, workload)
    settings = _settings(options, plan, workload, common, questions)
    folder = Folder(options.out, settings, resume=options.resume)
    console = Console(stderr=True)
    notes = notes_of(plan, workload, settings, has_answers)
    pair = Pair(workload.directory, common.manifest)
    facts = _facts(options, settings, figures, notes)
    with progress_bar(console) as progress, contextlib.ExitStack() as stack:
        total = plan.most_conditions(options.sweep_steps) * len(questions)
        task = progress.add_task("starting", total=total)

        def say(what: str) -> None:
            progress.update(task, description=what)

        decoder = None
        if needs_decoder(plan):
            try:
                decoder = load_decoder(pair, common.threads)
            except DeviceError as error:
                raise UsageProblem(str(error)) from error
            stack.callback(decoder.close)
        measurement = Measurement(
            plan=plan,
            common=common,
            workload=workload,
            pair=pair,
            decoder=decoder,
            servers=Servers(
                workload,
                options.server,
                openai,
                settings.engine_flags,
                options.service_flags,
                common.credentials,
                say,
            ),
            pool=stack.enter_context(LinkPool()),
            questions=questions,
            check=check,
            folder=folder,
            warm_up=options.warm_up,
            sweep_steps=options.sweep_steps,
            say=say,
            step=lambda count: progress.advance(task, count),
        )
        stopped = measurement.run()
        say("writing the report")
        report = build(folder, stopped, facts, questions, workload.manifest.evaluation)
        write(folder, report, questions)
    _end(console, report, options.out)


def _end(console: Console, report: Report, out: Path) -> None:
    console.print(plain(terminal(report)), soft_wrap=True)
    files = ", ".join(FILES)
    console.print(plain(f"written: {out}/{files}"), soft_wrap=True)
    if report.partial == "interrupted":
        raise KeyboardInterrupt
    if report.partial:
        raise BenchError(f"{report.partial}; continue with --resume")


def _plan(options: Options, workload: Workload) -> Plan:
    manifest, asked = workload.manifest, options.plan
    budgets = asked.budgets or (manifest.defaults.budget,)
    if most := next((b for b in budgets if b > manifest.limits.budget), None):
        raise UsageProblem(
            f"--budgets: {most} is above what the pair takes, {manifest.limits.budget}"
        )
    plan = Plan(**{**vars(asked), "budgets": budgets, "links": asked.links or ("none",)})
    plan.conditions()
    if "auto" in plan.modes:
        try:
            calibration = calibration_of(Pair(workload.directory, manifest))
        except DeviceError as error:
            raise UsageProblem(f"mode auto: {error}") from error
        if calibration is None:
            raise UsageProblem(
                f"mode auto: {manifest.id} has no calibration; make one with: {HOW} --pair "
                f"{manifest.id}"
            )
    if "large-alone-service" in plan.modes and not answers_in_reasoning(workload):
        raise UsageProblem(
            f"large-alone-service: the service of {manifest.id} stops where reasoning ends and "
            "never answers; large-alone asks vLLM's OpenAI server"
        )
    return plan


def _check_reasoner(options: Options, plan: Plan, workload: Workload) -> None:
    """A device has no part of the reasoner, which some modes and every engine need."""
    modes = set(plan.modes)
    by_openai = modes & {"large-alone", "truncated"}
    missing = []
    if modes & {"duet", "auto", "large-alone-service"} and not options.server:
        missing.append("--server")
    if by_openai and not options.openai:
        missing.append("--openai")
    # The start of the answer after the reasoning is counted in tokens.
    divided = by_openai if not answers_in_reasoning(workload) else by_openai - {"large-alone"}
    if not (missing or divided):
        return
    try:
        _ = workload.stop_id
    except UsageProblem as error:
        instead = [f"give {' and '.join(missing)}"] if missing else []
        if divided:
            instead.append(f"leave {' and '.join(sorted(divided))} out")
        raise UsageProblem(f"{error}, or {' and '.join(instead)}") from error


def _common(options: Options, workload: Workload) -> ModeSettings:
    manifest = workload.manifest
    defaults, limits = manifest.defaults, manifest.limits
    answer = options.answer_limit or defaults.answer
    # Room in the engines' context after the longest question; see `Workload.max_context`.
    most = min(limits.budget, manifest.reasoner.context - limits.question)
    large = options.large_limit or min(defaults.budget + answer, most)
    if large > most:
        raise UsageProblem(f"--large-limit: {large} does not fit into the context; at most {most}")
    changed = manifest.model_copy(
        update={"defaults": defaults.model_copy(update={"answer": answer})}
    )
    temperature = options.temperature
    return ModeSettings(
        manifest=changed,
        large_limit=large,
        temperature=defaults.temperature if temperature is None else temperature,
        seed=options.seed,
        timeout=options.timeout,
        connect_timeout=options.connect_timeout,
        threads=options.threads or default_threads(),
        credentials=_credentials(options),
        connections=Connections(kept=options.connections == "kept"),
    )


def _credentials(options: Options) -> grpc.ChannelCredentials | None:
    if options.tls_ca and not options.server:
        raise UsageProblem("--tls-ca needs --server: a service that is started here is plaintext")
    if (options.tls_cert is None) != (options.tls_key is None):
        raise UsageProblem("--tls-cert and --tls-key belong together")
    if options.tls_ca is None:
        if options.tls_cert:
            raise UsageProblem("--tls-cert needs --tls-ca")
        if options.server is None:
            return None
        # Links are reached on this machine; what counts is where they lead.
        try:
            identity = identity_for(options.server)
            return identity.credentials() if identity else None
        except DeviceError as error:
            raise UsageProblem(str(error)) from error
    try:
        return tls_credentials(
            Pem.read(options.tls_ca),
            Pem.read(options.tls_cert) if options.tls_cert else None,
            Pem.read(options.tls_key) if options.tls_key else None,
        )
    except TransportError as error:
        raise UsageProblem(str(error)) from error


def _settings(
    options: Options,
    plan: Plan,
    workload: Workload,
    common: ModeSettings,
    questions: list[QuestionRow],
) -> RunSettings:
    engine = options.engine_flags
    if not any(flag in _PREFIX_CACHING for flag in engine):
        # Every condition asks the same questions; the second one is not to find the first one's work.
        engine = ("--no-enable-prefix-caching", *engine)
    return RunSettings(
        **vars(plan),
        pair=workload.manifest.reference,
        data=options.data.name,
        data_sha256=fingerprint(questions),
        questions=len(questions),
        large_limit=common.large_limit,
        answer_limit=common.manifest.defaults.answer,
        temperature=common.temperature,
        seed=options.seed,
        warm_up=options.warm_up,
        connections=options.connections,
        verifier=options.verifier,
        tls=common.credentials is not None,
        started_here=options.server is None,
        engine_flags=engine,
    )


def _facts(
    options: Options, settings: RunSettings, figures: tuple[Figure, ...], notes: tuple[str, ...]
) -> Report:
    return Report(
        pair=settings.pair,
        settings=settings,
        links=(),
        conditions=(),
        machine=describe_machine(),
        commit=commit(),
        date=today(),
        command=public_command(),
        objectives=options.objectives,
        prices=Prices(
            host_hour=options.price_host_hour,
            million_tokens=options.price_million_tokens,
            gib=options.price_gib,
        ),
        figures=figures,
        notes=notes,
    )
