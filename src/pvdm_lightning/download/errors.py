"""What can go wrong with a download."""


class DownloadError(Exception):
    """Why a file was not downloaded: a clause without a full stop."""


class UnreachableError(DownloadError):
    """There is no connection to the server; most often the machine has no network."""
