"""Devices of other versions: without the fields that came later, and with fields that are not known."""

from duet_contract.v1.inference_pb2 import (
    SIGNAL_ENCODING_TEXT,
    SIGNAL_ENCODING_TOKEN_IDS,
    ReasonRequest,
)

# Field 99, text: of no version.
LATER_FIELD = b"\x9a\x06\x03new"
# Encoding 77, of no version, as the first choice.
LATER_ENCODING = b"\x18\x4d"


async def test_a_request_that_is_only_a_question(cloud):
    # As the first version sent it, byte for byte: field 1.
    request = ReasonRequest.FromString(b"\x0a\x05What?")
    *chunks, last = [each async for each in cloud.inference.Reason(request)]
    assert last.end.encoding == SIGNAL_ENCODING_TEXT
    assert chunks[0].chunk.text
    assert not last.end.HasField("mean_log_probability")


async def test_a_request_with_fields_of_a_later_version(cloud):
    asked = ReasonRequest(
        question="What?", encodings=[SIGNAL_ENCODING_TOKEN_IDS], vocabulary=cloud.vocabulary
    )
    data = asked.SerializeToString() + LATER_FIELD
    *chunks, last = [each async for each in cloud.inference.Reason(ReasonRequest.FromString(data))]
    assert last.end.encoding == SIGNAL_ENCODING_TOKEN_IDS
    assert chunks[0].chunk.tokens.ids


async def test_an_encoding_of_a_later_version_is_passed_over(cloud):
    asked = ReasonRequest(
        question="What?", encodings=[SIGNAL_ENCODING_TOKEN_IDS], vocabulary=cloud.vocabulary
    )
    data = LATER_ENCODING + asked.SerializeToString()
    *_, last = [each async for each in cloud.inference.Reason(ReasonRequest.FromString(data))]
    assert last.end.encoding == SIGNAL_ENCODING_TOKEN_IDS
