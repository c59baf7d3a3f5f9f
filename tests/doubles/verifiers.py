"""A verifier that random models can satisfy, and that a test can make fail."""


class DigitVerifier:
    """Right if the answer holds a digit. `broken` makes every score NaN, `never` 0."""

    broken = never = False

    def score(self, responses, truths):
        if DigitVerifier.broken:
            return [float("nan")] * len(responses)
        if DigitVerifier.never:
            return [0.0] * len(responses)
        return [float(any(c.isdigit() for c in response)) for response in responses]

    def examples(self):
        from duet_training.evaluation.verifiers import Truth

        return (("7", Truth("7"), 1.0), ("none", Truth("7"), 0.0))

    def close(self):
        pass
