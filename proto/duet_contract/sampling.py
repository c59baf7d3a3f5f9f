"""Validate sampling settings for cloud and device, so that neither changes them silently."""

LEAST_TEMPERATURE = 0.01
"""Least temperature above 0. Below it vLLM samples at 0.01, and says so in its log alone."""
MOST_TEMPERATURE = 2.0
MOST_SEED = 2**32 - 2
"""The value above it means "no seed" to llama.cpp."""
TEMPERATURE_RULE = f"a temperature is 0 or from {LEAST_TEMPERATURE:g} to {MOST_TEMPERATURE:g}"

# The wire carries single precision: 0.01 arrives 2.2e-10 lower.
_ROUNDING = 1e-9


def valid_temperature(temperature: float) -> bool:
    """Return whether models can be sampled at `temperature` as it is.

    Examples:
        >>> valid_temperature(0.0), valid_temperature(0.7), valid_temperature(1e-6)
        (True, True, False)
    """
    return temperature == 0 or LEAST_TEMPERATURE - _ROUNDING <= temperature <= MOST_TEMPERATURE
