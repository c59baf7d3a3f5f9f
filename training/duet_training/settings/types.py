"""The types of settings: bounded numbers, and the base of every part."""

from typing import Annotated

from pydantic import ConfigDict, Field

from duet_contract.described import Described

# Bounded, so that products of settings stay within what VERL, vLLM and NumPy count with.
Count = Annotated[int, Field(gt=0, le=2**31 - 1)]
Whole = Annotated[int, Field(ge=0, le=2**31 - 1)]
NotNegative = Annotated[float, Field(ge=0, le=1e9)]
Positive = Annotated[float, Field(gt=0, le=1e9)]
Signed = Annotated[float, Field(ge=-1e9, le=1e9)]
Rate = Annotated[float, Field(ge=0, le=1)]
Temperature = Annotated[float, Field(ge=0, le=100)]
Share = Annotated[float, Field(gt=0, le=1)]
# -1 is all tokens, as in vLLM.
TopK = Annotated[int, Field(ge=-1, le=2**31 - 1)]


class Part(Described):
    """A part of the settings: no unknown keys, no NaN, not changed once read."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)
