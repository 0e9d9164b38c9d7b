"""The secret of the only user, which is in a file and in no command line, log or process list."""

from pathlib import Path

from imclass.errors import UserError


def read_secret(path: Path) -> str:
    """The secret access key in a file.

    Raises:
        UserError: the file cannot be read, or has none.
    """
    try:
        secret = path.read_text("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"the secret access key cannot be read: {error}", where=str(path)) from error
    if len(secret) < 16 or not secret.isprintable() or " " in secret:
        raise UserError(
            "the file holds no secret access key",
            where=str(path),
            fix="Write one line of at least 16 printable characters, say of `openssl rand -hex 20`.",
        )
    return secret
