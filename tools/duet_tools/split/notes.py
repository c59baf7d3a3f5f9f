"""Notes of a report: what was done how, as its plan, pair and settings decide it."""

from duet_tools.results.conditions import Plan
from duet_tools.results.settings import RunSettings
from duet_tools.split.modes.large import answers_in_reasoning
from duet_tools.subjects.workload import Workload


def notes_of(
    plan: Plan, workload: Workload, settings: RunSettings, has_answers: bool
) -> tuple[str, ...]:
    """Return what a reader must know to read the figures right."""
    notes = []
    if has_answers:
        notes.append(f"Answers were checked by {settings.verifier}.")
    else:
        notes.append("Accuracy is left out: not every question of the data has an answer.")
    if "duet" in plan.modes:
        notes.append(
            "With one question at once the device answered while the cloud worked. Under load, "
            "signals were recorded as they arrived, and the device's part was measured afterwards "
            "on the idle machine, on the recorded clock; a signal that came again for the same "
            "question was answered once."
        )
        notes.append(
            "What evaluation on arrival saved was measured for each signal, by evaluating it "
            "again in one go behind its prompt."
        )
    if "auto" in plan.modes:
        notes.append(
            "Auto: the device judged each question by the pair's calibration. Tokens of signals "
            "that it did not need after all count as the large model's."
        )
    if {"large-alone", "truncated"} & set(plan.modes):
        notes.append(
            "The large model alone is vLLM's OpenAI server on the same weights and engine flags, "
            "connected as the split is; the service itself stops where reasoning ends. Where it "
            "tells its own times, as one that is started here does, its last event carries them, "
            "about 200 of the bytes down."
        )
        if answers_in_reasoning(workload):
            notes.append(
                "This pair's large model reasons and answers in one: alone, its first answer token "
                "is the first token of all, reasoning included."
            )
    if "truncated" in plan.modes:
        notes.append(
            "Truncated: reasoning cut at the budget, then an answer by the large model behind it, "
            "two requests on one connection."
        )
    if not settings.started_here:
        notes.append("The service was running already, with settings of its own.")
    elif "--no-enable-prefix-caching" in settings.engine_flags:
        notes.append("Prefix caching was off: every condition asks the same questions.")
    if not workload.manifest.evaluation:
        notes.append(f"The pair {workload.manifest.id} has no figures of its own in its manifest.")
    notes.append(
        "Each device kept its connection, which was open before the first question."
        if settings.connections == "kept"
        else "Each question had a new connection, which counts in its times and bytes."
    )
    notes.append("Wire bytes are those that TCP carries, without TCP's and IP's own headers.")
    if settings.tls:
        notes.append("TLS was on between device and service; the OpenAI server has none.")
    return tuple(notes)
