"""Notes of a report: what was done how, as its plan, pair and settings decide it."""

from duet_tools.results.conditions import Plan
from duet_tools.results.settings import RunSettings
from duet_tools.split.checking import RULE
from duet_tools.split.modes.large import answers_in_reasoning
from duet_tools.subjects.workload import Workload


def notes_of(
    plan: Plan, workload: Workload, settings: RunSettings, has_answers: bool
) -> tuple[str, ...]:
    """Return what a reader must know to read the figures right."""
    notes = []
    if has_answers:
        rule = ": the last box, else the final answer in prose" if settings.verifier == RULE else ""
        notes.append(f"Answers were checked by {settings.verifier}{rule}.")
    else:
        notes.append("Accuracy is left out: not every question of the data has an answer.")
    if "duet" in plan.modes:
        notes.append(
            "With one question at once the device answered while the cloud worked. Under load, "
            "signals were recorded as they arrived, and the device's part was measured afterwards "
            "on the idle machine, at the recorded times. Equal signals of a question were answered "
            "once."
        )
        notes.append(
            "saved_ms was measured for each signal: the device evaluated it again, in one batch "
            "after its prompt."
        )
    if "auto" in plan.modes:
        notes.append(
            "Auto: the device judged each question by the pair's calibration. Tokens of signals "
            "that it then did not need count as the large model's."
        )
    if {"large-alone", "truncated"} & set(plan.modes):
        notes.append(
            "The large model alone is vLLM's OpenAI server on the same weights and engine flags, "
            "connected as the split is; DUET's service stops where reasoning ends. A server that "
            "the bench starts reports its own times in its last event, about 200 bytes down."
        )
        if answers_in_reasoning(workload):
            notes.append(
                "This pair's large model does not separate reasoning from answer: alone, its first "
                "answer token is its first token."
            )
    if "truncated" in plan.modes:
        notes.append(
            "Truncated: the large model reasons up to the budget, and a second request on the same "
            "connection continues with the answer."
        )
    if not settings.started_here:
        notes.append("The service was already running; its settings are unknown.")
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
