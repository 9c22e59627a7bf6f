class ExportProblem(Exception):
    """What stopped an export, in words for its owner: `message` says what and where, `hint` what to do next."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(f"{message} {hint}".strip())
        self.message = message
        self.hint = hint

    @property
    def sentence(self) -> str:
        return str(self)
