"""Errors of the contract. A message is one line that says what is wrong and what to do."""


def first_line(error: BaseException) -> str:
    r"""The first line of an error's message, where another library raised it; else its type.

    Examples:
        >>> first_line(OSError("no such file\nsee the manual")), first_line(OSError())
        ('no such file', 'OSError')
    """
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


class ContractError(Exception):
    """Base of every error that `duet_contract` raises."""


class ManifestError(ContractError):
    """A manifest that is missing, malformed, of a newer schema, or at odds with itself."""


class PairNotFoundError(ManifestError):
    """No pair of that name or directory."""


class NoDirectoryError(ContractError):
    """The user has no home directory, so there is no place for what DUET stores."""


class IntegrityError(ContractError):
    """A file of a pair is missing, of another size, or of another sha256 than its manifest says."""


class PromptError(ContractError):
    """Text that cannot go into a prompt."""


class FormulaError(ContractError):
    """A formula that cannot be parsed or computed."""


class NoFormula(FormulaError):
    """The reasoner says that no formula answers the question."""


class EncodingError(ContractError):
    """A chunk of a signal that the device cannot read."""


class AddressError(ContractError):
    """Text that is not the address of a server."""


class TransportError(ContractError):
    """TLS 1.3 is unavailable, or certificates and keys cannot be used for it."""


class CertificateExpired(TransportError):
    """A certificate whose validity period is over, or has not begun."""


class EnrollmentCodeError(ContractError):
    """Text that is not an enrollment code."""


class KeyProblem(ContractError):
    """A key file that cannot be read, written or trusted."""


class SignatureError(ContractError):
    """A pair's signature is missing, malformed, invalid, or made with an untrusted key."""
