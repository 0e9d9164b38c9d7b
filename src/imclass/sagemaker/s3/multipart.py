"""Objects that come in parts.

UPLOADS/BUCKET/ID/upload.json     the key and what is known of the object to be
UPLOADS/BUCKET/ID/00001.json      part 1: size, ETag, checksum, when it came, and in which file it is
UPLOADS/BUCKET/ID/00001.TOKEN     its content
"""

import hashlib
import itertools
import json
import re
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from secrets import token_hex

from imclass.pending_file import PendingFile
from imclass.sagemaker.s3.checksums import ALGORITHMS, Checksum, ChecksumType, Digest, Hashes, composite, encode
from imclass.sagemaker.s3.descriptions import Attributes, Description
from imclass.sagemaker.s3.errors import S3Error
from imclass.sagemaker.s3.paths import check_key
from imclass.sagemaker.s3.staging import StagedFile
from imclass.sagemaker.s3.store import Precondition, Store

MOST_PARTS = 10_000
LEAST_PART_BYTES = 5 << 20
"""Of all parts but the last."""
COPY_BYTES = 1 << 20

_ID = re.compile(r"[0-9a-f]{32}")
_PART = re.compile(r"\d{5}\.json")


@dataclass(frozen=True)
class Upload:
    """An upload that has begun.

    Attributes:
        folder: of its parts.
        bucket: of the object.
        key: of the object.
        initiated: seconds since 1970.
        attributes: of the object.
        algorithm: of the checksums of the parts, or None.
        kind: of the checksum of the object.
    """

    folder: Path
    bucket: str
    key: str
    initiated: float
    attributes: Attributes
    algorithm: str | None
    kind: ChecksumType

    @property
    def id(self) -> str:
        """How clients name it."""
        return self.folder.name


@dataclass(frozen=True)
class Part:
    """A part that has arrived.

    Attributes:
        number: 1 to 10,000.
        size: bytes.
        etag: without quotes.
        algorithm: of its checksum: that of the upload, or the client's own where the upload has none; or None.
        checksum: base64, or None.
        modified: seconds since 1970.
        file: its name in the folder of the upload.
    """

    number: int
    size: int
    etag: str
    algorithm: str | None
    checksum: str | None
    modified: float
    file: str


@dataclass(frozen=True)
class NamedPart:
    """A part as a client names it to complete an upload.

    Attributes:
        number: of the part.
        etag: without quotes.
        checksum: base64, or None.
    """

    number: int
    etag: str
    checksum: str | None


class Uploads:
    """All uploads into a store; methods block."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def create(
        self, bucket: str, key: str, attributes: Attributes, algorithm: str | None, kind: ChecksumType
    ) -> Upload:
        """Begin an upload.

        Raises:
            S3Error: NoSuchBucket, or the key is none.
        """
        self._store.bucket_folder(bucket)
        check_key(key)
        folder = self._store.uploads / bucket / token_hex(16)
        folder.mkdir(parents=True)
        fields = {
            "key": key, "initiated": time.time(), "headers": dict(attributes.headers),
            "metadata": dict(attributes.metadata), "algorithm": algorithm, "kind": kind,
        }  # fmt: skip
        _write_json(folder / "upload.json", fields)
        return _read_upload(folder)

    def find(self, bucket: str, key: str, upload_id: str) -> Upload:
        """An upload that has begun and has not ended.

        Raises:
            S3Error: NoSuchBucket, NoSuchUpload.
        """
        self._store.bucket_folder(bucket)
        if _ID.fullmatch(upload_id):
            try:
                upload = _read_upload(self._store.uploads / bucket / upload_id)
            except FileNotFoundError:
                raise _no_such_upload(upload_id) from None
            if upload.key == key:
                return upload
        raise _no_such_upload(upload_id)

    def put_part(
        self, upload: Upload, number: int, staged: StagedFile, hashes: Hashes, algorithm: str | None = None
    ) -> Part:
        """Keep a part; one of the same number is replaced.

        Args:
            hashes: of its content, with the algorithm of the upload.
            algorithm: among those of `hashes`, of the checksum that the client sent; for uploads that have none.

        Raises:
            S3Error: NoSuchUpload: it has ended meanwhile.
        """
        staged.finish()
        algorithm = upload.algorithm or algorithm
        checksum = encode(hashes.digest(algorithm)) if algorithm else None
        name = f"{number:05}.{token_hex(8)}"
        part = Part(number, hashes.size, hashes.etag, algorithm, checksum, time.time(), name)
        old = [path for path in upload.folder.glob(f"{number:05}.*") if path.suffix != ".json"]
        try:
            staged.path.replace(upload.folder / name)
        except FileNotFoundError:
            raise _no_such_upload(upload.id) from None
        _write_json(upload.folder / f"{number:05}.json", asdict(part))
        for path in old:
            path.unlink(missing_ok=True)
        return part

    def parts(self, upload: Upload) -> list[Part]:
        """The parts that are there, by number.

        Raises:
            S3Error: NoSuchUpload: it has ended meanwhile.
        """
        try:
            names = sorted(path for path in upload.folder.iterdir() if _PART.fullmatch(path.name))
            return [Part(**json.loads(path.read_bytes())) for path in names]
        except FileNotFoundError:
            raise _no_such_upload(upload.id) from None

    def complete(
        self, upload: Upload, named: Sequence[NamedPart], checksum: str | None, precondition: Precondition
    ) -> Description:
        """Put the parts together to an object.

        Args:
            named: parts by ascending number.
            checksum: base64, of the whole object as the client computed it, or None.

        Raises:
            S3Error: InvalidPart, InvalidPartOrder, EntityTooSmall, BadDigest, NoSuchUpload, PreconditionFailed.
        """
        chosen = _choose(self.parts(upload), named)
        whole = ALGORITHMS[upload.algorithm]() if upload.algorithm and upload.kind == "FULL_OBJECT" else None
        with self._store.stage() as staged:
            for part in chosen:
                _append(upload, part, staged, whole)
            found = _checksum(upload, chosen, whole)
            if checksum is not None and found is not None and checksum != found.value.partition("-")[0]:
                raise S3Error(
                    "BadDigest", f"The {found.algorithm} you specified did not match the calculated checksum."
                )
            digests = hashlib.md5(b"".join(bytes.fromhex(part.etag) for part in chosen), usedforsecurity=False)
            etag = f"{digests.hexdigest()}-{len(chosen)}"
            attributes = Attributes(upload.attributes.headers, upload.attributes.metadata, found)
            description = self._store.put(upload.bucket, upload.key, staged, etag, attributes, precondition)
        shutil.rmtree(upload.folder, ignore_errors=True)  # the object is there; what is left of the upload does no harm
        return description

    def abort(self, upload: Upload) -> None:
        """End an upload without an object."""
        (upload.folder / "upload.json").unlink(missing_ok=True)
        shutil.rmtree(upload.folder, ignore_errors=True)  # a part may be arriving; without its first file it has ended

    def unfinished(self, bucket: str) -> list[Upload]:
        """The uploads into a bucket, by key and time.

        Raises:
            S3Error: NoSuchBucket.
        """
        self._store.bucket_folder(bucket)
        found = [_read_upload(path.parent) for path in (self._store.uploads / bucket).glob("*/upload.json")]
        return sorted(found, key=lambda upload: (upload.key, upload.initiated, upload.id))


def _choose(parts: Sequence[Part], named: Sequence[NamedPart]) -> list[Part]:
    """The parts that a client named, if they are as it says."""
    if any(after.number <= before.number for before, after in itertools.pairwise(named)):
        message = "The list of parts was not in ascending order. Parts must be ordered by part number."
        raise S3Error("InvalidPartOrder", message)
    by_number = {part.number: part for part in parts}
    chosen = []
    for name in named:
        part = by_number.get(name.number)
        if part is None or part.etag != name.etag or name.checksum not in (None, part.checksum):
            message = "One or more of the specified parts could not be found. The part may not have been uploaded, "
            message += "or the specified entity tag may not match the part's entity tag."
            raise S3Error("InvalidPart", message, PartNumber=str(name.number), ETag=name.etag)
        chosen.append(part)
    for part in chosen[:-1]:
        if part.size < LEAST_PART_BYTES:
            message = "Your proposed upload is smaller than the minimum allowed size"
            details = {"ProposedSize": str(part.size), "MinSizeAllowed": str(LEAST_PART_BYTES)}
            raise S3Error("EntityTooSmall", message, PartNumber=str(part.number), ETag=part.etag, **details)
    return chosen


def _append(upload: Upload, part: Part, staged: StagedFile, whole: Digest | None) -> None:
    try:
        with (upload.folder / part.file).open("rb", buffering=0) as file:
            while data := file.read(COPY_BYTES):
                staged.write(data)
                if whole is not None:
                    whole.update(data)
    except FileNotFoundError:
        raise _no_such_upload(upload.id) from None


def _checksum(upload: Upload, parts: Sequence[Part], whole: Digest | None) -> Checksum | None:
    if upload.algorithm is None:
        return None
    if whole is not None:
        return Checksum(upload.algorithm, encode(whole.digest()))
    return composite(upload.algorithm, [part.checksum for part in parts if part.checksum is not None])


def _read_upload(folder: Path) -> Upload:
    fields = json.loads((folder / "upload.json").read_bytes())
    attributes = Attributes(fields["headers"], fields["metadata"])
    return Upload(
        folder, folder.parent.name, fields["key"], fields["initiated"], attributes, fields["algorithm"], fields["kind"]
    )


def _write_json(path: Path, fields: object) -> None:
    with PendingFile(path, to_disk=False) as file:
        file.write(json.dumps(fields).encode())


def _no_such_upload(upload_id: str) -> S3Error:
    message = "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted "
    return S3Error("NoSuchUpload", message + "or completed.", UploadId=upload_id)
