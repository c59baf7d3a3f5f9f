"""The diagrams of the documents, drawn once for light and once for dark pages."""

from drawing import Canvas, Scheme


def question(scheme: Scheme) -> str:
    """How a question is answered: reasoner on the GPU host, decoder on the device."""
    canvas = Canvas(
        "A question goes to the large model on the GPU host, which sends back a short signal. "
        "The small model on your machine turns question, signal and private files into the answer.",
        440,
        416,
        scheme,
    )
    soft = scheme.soft
    canvas.box(8, 8, 424, 132, fill=scheme.surface)
    canvas.box(8, 208, 424, 200, fill=scheme.surface)
    canvas.text(24, 34, "GPU host", size=16, bold=True)
    canvas.box(24, 46, 186, 80, color=scheme.large)
    canvas.text(38, 72, "Reasoner", size=16, color=scheme.large, bold=True)
    canvas.text(38, 93, "large model, in vLLM;", size=13, color=soft)
    canvas.text(38, 111, "stops before the answer", size=13, color=soft)
    canvas.arrow((210, 86), (264, 86), color=scheme.large)
    canvas.text(274, 82, "3*8=24.", size=15, mono=True)
    canvas.text(274, 102, "40-24=16.", size=15, mono=True)

    canvas.arrow((316, 112), (316, 246), color=scheme.large)
    canvas.text(328, 164, "signal", size=15, color=scheme.large, bold=True)
    canvas.text(328, 182, "17 tokens", size=13, color=soft)
    canvas.text(328, 199, "under 300 bytes", size=13, color=soft)

    canvas.text(24, 236, "Your machine", size=16, bold=True)
    canvas.text(24, 266, "Question", size=15, bold=True)
    canvas.arrow((106, 261), (160, 261), (160, 128))
    canvas.text(148, 178, "question", size=13, color=soft, anchor="end")
    for row, line in enumerate(
        ("Nina had 40 euros. She", "bought 3 books for 8 euros", "each. How much is left?")
    ):
        canvas.text(24, 287 + 18 * row, line, size=13, color=soft)
    canvas.arrow((212, 283), (246, 283))

    canvas.box(248, 248, 168, 72, color=scheme.small)
    canvas.text(262, 272, "Decoder", size=16, color=scheme.small, bold=True)
    canvas.text(262, 291, "small model,", size=13, color=soft)
    canvas.text(262, 308, "in llama.cpp", size=13, color=soft)
    canvas.text(24, 362, "Private files", size=15, bold=True)
    canvas.arrow((136, 357), (282, 357), (282, 322), dashed=True)
    canvas.text(24, 386, "never leave your machine", size=13, color=soft)

    canvas.arrow((374, 320), (374, 362), color=scheme.small)
    canvas.text(296, 388, "Answer", size=15, bold=True)
    canvas.text(364, 389, "16", size=18, color=scheme.small, bold=True)
    return canvas.svg()


_STEPS = (
    ("device", "1", "commands, Client", "question, options, private files"),
    ("device", "2", "privacy", "redaction; what may be sent"),
    ("device", "3", "identity, link", "mutual TLS 1.3, Reason call"),
    ("cloud", "4", "identity", "certificate, role, limits"),
    ("cloud", "5", "admission, limits", "runs, waits or is refused at once"),
    ("cloud", "6", "reasoner, engine", "prompt; vLLM until the reasoning ends"),
    ("cloud", "7", "chunks", "first token at once, then buffered"),
    ("device", "8", "signal stream, decoder", "evaluates each chunk as it arrives"),
    ("device", "9", "generation, receipt", "answer, tokens, bytes, seconds"),
)


def architecture(scheme: Scheme) -> str:
    """The way of one question, package by package."""
    canvas = Canvas(
        "The way of one question: commands, privacy and link on the device; identity, admission, "
        "engine and chunks on the cloud; signal stream, decoder and receipt on the device.",
        880,
        470,
        scheme,
    )
    columns = {"device": 30, "cloud": 520}
    canvas.box(10, 10, 370, 450, fill=scheme.surface)
    canvas.text(30, 38, "duet_device", size=15, bold=True, mono=True)
    canvas.box(500, 10, 370, 450, fill=scheme.surface)
    canvas.text(520, 38, "duet_cloud", size=15, bold=True, mono=True)
    canvas.text(440, 38, "duet_contract", size=13, mono=True, anchor="middle")
    for row, word in enumerate(("wire, prompts,", "manifest, signatures,", "receipt")):
        canvas.text(440, 58 + 16 * row, word, size=11, color=scheme.soft, anchor="middle")
    rows = {"1": 56, "2": 124, "3": 192, "4": 124, "5": 192, "6": 260, "7": 328, "8": 328, "9": 396}
    for side, number, title, detail in _STEPS:
        x, y = columns[side], rows[number]
        color = scheme.small if side == "device" else scheme.large
        canvas.box(x, y, 330, 52, color=color)
        canvas.text(x + 14, y + 22, f"{number}  {title}", size=14, color=color, bold=True)
        canvas.text(x + 32, y + 40, detail, size=12, color=scheme.soft)
    for top in (108, 176):
        canvas.arrow((195, top), (195, top + 16))
    for top in (176, 244, 312):
        canvas.arrow((685, top), (685, top + 16))
    canvas.arrow((360, 218), (440, 218), (440, 150), (518, 150))
    canvas.text(440, 238, "question", size=12, color=scheme.soft, anchor="middle")
    canvas.arrow((520, 354), (362, 354), color=scheme.large)
    canvas.text(440, 346, "signal", size=12, color=scheme.large, anchor="middle", bold=True)
    canvas.arrow((195, 380), (195, 394))
    return canvas.svg()


PICTURES = {"question": question, "architecture": architecture}
