"""Files of a multipart/form-data body, RFC 7578."""

from http import HTTPStatus

from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header

from imclass.inference.serving.problems import RequestError


class _Collector:
    """Gathers the contents of the parts while the parser goes over the body."""

    def __init__(self) -> None:
        self.files: list[bytes] = []
        self.not_files: list[str] = []
        self._headers: dict[str, bytes] = {}
        self._field = bytearray()
        self._value = bytearray()
        self._content = bytearray()
        self.is_complete = False

    def on_part_begin(self) -> None:
        self._headers = {}
        self._content = bytearray()

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        self._headers[self._field.decode("latin-1").lower()] = bytes(self._value)
        self._field, self._value = bytearray(), bytearray()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._content += data[start:end]

    def on_part_end(self) -> None:
        _, options = parse_options_header(self._headers.get("content-disposition", b""))
        if b"filename" in options:
            self.files.append(bytes(self._content))
        else:
            self.not_files.append(options.get(b"name", b"").decode("utf-8", "replace"))

    def on_end(self) -> None:
        self.is_complete = True


def file_parts(boundary: str, body: bytes) -> tuple[bytes, ...]:
    """Contents of the files in a body, in their order.

    Args:
        boundary: of the Content-Type.

    Raises:
        RequestError: 400, the body is damaged, or has parts that are no files.
    """
    if not boundary:
        raise _bad("the content type of the form names no boundary")
    collector = _Collector()
    names = [name for name in dir(collector) if name.startswith("on_")]
    try:
        parser = MultipartParser(boundary, {name: getattr(collector, name) for name in names})  # type: ignore[arg-type]
        parser.write(body)
        parser.finalize()
    except MultipartParseError as error:
        raise _bad(f"the form is damaged: {error}") from error
    if not collector.is_complete:
        raise _bad("the form is truncated: its last boundary is missing")
    if collector.not_files:
        raise _bad(f"the form has fields that are no files: {', '.join(collector.not_files)}. Send files only.")
    return tuple(collector.files)


def _bad(message: str) -> RequestError:
    return RequestError(HTTPStatus.BAD_REQUEST, message)
