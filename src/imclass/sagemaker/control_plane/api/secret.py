"""Secrets of the only user, which are in files and in no command line, log or process list."""

from pathlib import Path

from imclass.errors import UserError


def read_secret(path: Path, what: str = "secret access key") -> str:
    """The secret in a file.

    Args:
        what: it is, in messages.

    Raises:
        UserError: the file cannot be read, or has none.
    """
    try:
        secret = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the {what} cannot be read: {error}", where=str(path)) from error
    if len(secret) < 16 or not secret.isprintable() or " " in secret:
        raise UserError(
            f"the file holds no {what}",
            where=str(path),
            fix="Write one line of at least 16 printable characters, say of `openssl rand -hex 20`.",
        )
    return secret
