"""Numbers as people read them."""

from duet_report.intervals import Interval


def number(value: float) -> str:
    """Three significant digits, with an SI prefix from a million on.

    Examples:
        >>> number(1234567), number(3.14159), number(1234)
        ('1.23M', '3.14', '1234')
    """
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{number(value / size)}{prefix}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.3g}"


def share(interval: Interval, digits: int = 0) -> str:
    """A share with its interval, in percent.

    Examples:
        >>> share(Interval(value=0.96, low=0.94, high=0.97))
        '96% (94% to 97%)'
    """
    return "{:.{d}%} ({:.{d}%} to {:.{d}%})".format(
        interval.value, interval.low, interval.high, d=digits
    )


def points(difference: Interval, digits: int = 1) -> str:
    """A difference of shares in percentage points, with its interval.

    Examples:
        >>> points(Interval(value=-0.01, low=-0.024, high=0.004))
        '-1.0 points (-2.4 to +0.4)'
    """
    value, low, high = (100 * each for each in vars(difference).values())
    return f"{value:+.{digits}f} points ({low:+.{digits}f} to {high:+.{digits}f})"
