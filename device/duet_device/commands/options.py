"""Types of options that take numbers in a range."""

import math
from typing import Any

import click

from duet_contract.sampling import TEMPERATURE_RULE, valid_temperature


class FiniteRange(click.FloatRange):
    """A number in a range. NaN is in none, although every comparison with it says otherwise."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See `click.ParamType`."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not in the range {self._describe_range()}.", param, ctx)
        return number


class Temperature(click.types.FloatParamType):
    """A sampling temperature that decoder and cloud take as it is."""

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """See `click.ParamType`."""
        number: float = super().convert(value, param, ctx)
        if not valid_temperature(number):
            self.fail(f"{value!r}: {TEMPERATURE_RULE}", param, ctx)
        return number
