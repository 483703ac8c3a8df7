"""What a user can get wrong, said in one line: the flag, its value, what is wrong and the remedy."""


class UserError(Exception):
    """A mistake in what the user gave; the command line prints it as one line and exits with status 2.

    Args:
        flag: The option as it is typed, e.g. ``--data.root``.
        value: What it held.
        problem: What is wrong with it, without a full stop.
        remedy: What to do instead, a sentence.
    """

    def __init__(self, flag: str, value: object, problem: str, remedy: str) -> None:
        self.flag, self.value, self.problem, self.remedy = flag, value, problem, remedy
        super().__init__(" ".join(f"{flag} {value}: {problem}. {remedy}".split()))


def refuse_less(flag: str, value: int | None, least: int) -> None:
    """Raise the `UserError` if a number is given and is too small."""
    if value is not None and value < least:
        raise UserError(flag, value, f"is less than {least}", f"Give {least} or more.")
