"""The contract between cloud, device and training: wire, manifest, prompts, encodings, receipt.

Imported as `duet_contract`. It imports no other room, and nothing heavier than protobuf and
pydantic, so that a device command starts at once.
"""
