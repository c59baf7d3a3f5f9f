"""Define the contract of cloud, device and training: wire, manifest, prompts, encodings, receipt.

It imports no other package of this repository, and nothing heavier than protobuf and pydantic.
Device commands therefore start fast.
"""
