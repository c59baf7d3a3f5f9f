"""Types of options."""

from typing import Any

import click

from duet_contract.sampling import TEMPERATURE_RULE, valid_temperature


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
