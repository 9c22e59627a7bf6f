import errno

DISK_FULL = "The disk is full, so nothing was stored. Make room and try again."


def is_full_disk(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


class DatasetProblem(Exception):
    """Something a user can put right. The message says what is wrong, where, and what to do next."""

    def __init__(self, message: str, *, line: int | None = None, field: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.field = field


class DatasetInUse(DatasetProblem):
    """The dataset has sessions. `certain` means that even a confirmed deletion is refused."""

    def __init__(self, message: str, *, certain: bool) -> None:
        super().__init__(message)
        self.certain = certain
