"""The pictures of a report and what is said of each."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from imclass.data import Source
from imclass.images.inspection import SharedImage
from imclass.inference import Predictor
from imclass.reports.findings import Findings
from imclass.reports.pictures import Album, Picture
from imclass.reports.subject import Subject
from imclass.reports.suspicions import Suspicion
from imclass.training.answers import Answers

SUSPECTS_SHOWN = 48
SHARED_SHOWN = 24


@dataclass(frozen=True)
class Exhibit:
    """Pictures of one image, or of two that are alike.

    Attributes:
        key: name of the image.
        pictures: with what is below each.
        facts: (what, value) about them.
    """

    key: str
    pictures: list[tuple[Picture, str]]
    facts: list[tuple[str, str]]


@dataclass(frozen=True)
class Galleries:
    """All pictures of a report; a gallery is empty where its images cannot be had."""

    wrong: list[Exhibit] = field(default_factory=list)
    uncertain: list[Exhibit] = field(default_factory=list)
    label_errors: list[Exhibit] = field(default_factory=list)
    training_label_errors: list[Exhibit] = field(default_factory=list)
    shared: list[Exhibit] = field(default_factory=list)


def make_galleries(subject: Subject, findings: Findings) -> Galleries:
    """Draw all pictures."""
    predictor = Predictor(
        subject.description, subject.network, device=str(subject.computing.device), threads=subject.computing.threads
    )
    album = None if subject.validation is None else Album(subject.validation, predictor)
    training = None if subject.train is None else Album(subject.train, predictor)
    names = subject.class_names
    galleries = Galleries()
    if findings.single is not None and album is not None:
        single = findings.single
        told = _Teller(names, subject.answers, single.judged.probabilities, album)
        galleries.wrong.extend(map(told.wrong, single.wrong.tolist()))
        galleries.uncertain.extend(map(told.uncertain, single.uncertain.tolist()))
    if album is not None:
        galleries.label_errors.extend(_suspected(findings.label_errors, subject.answers, album))
    if findings.training_label_errors is not None and training is not None:
        assert subject.train_answers is not None
        found = findings.training_label_errors
        galleries.training_label_errors.extend(_suspected(found, subject.train_answers, training))
    if findings.curves is not None and album is not None:
        galleries.wrong.extend(_wrong_decision(row, k, subject, album) for row, k in findings.worst)
    if findings.shared and album is not None and training is not None:
        assert subject.train is not None
        assert subject.validation is not None
        galleries.shared.extend(_shared(findings.shared, training, subject.train, album, subject.validation))
    return galleries


@dataclass(frozen=True)
class _Teller:
    """Says of images what was answered.

    Attributes:
        names: of the classes.
        answers: to the images of the album.
        probabilities: (N, K), row by row those of the answers.
        album: draws.
    """

    names: Sequence[str]
    answers: Answers
    probabilities: NDArray[np.float64]
    album: Album

    def wrong(self, row: int) -> Exhibit:
        """A wrong answer, with what speaks for the answer and for the label."""
        probabilities = self.probabilities[row]
        label, answer = int(self.answers.labels[row, 0]), _likeliest(probabilities)[0]
        return self._exhibit(row, [answer, label], [("label", label), ("answer", answer)])

    def uncertain(self, row: int) -> Exhibit:
        """An answer between two classes, with what speaks for each."""
        first, second = _likeliest(self.probabilities[row])
        label = int(self.answers.labels[row, 0])
        return self._exhibit(row, [first, second], [("label", label), ("first", first), ("second", second)])

    def _exhibit(self, row: int, explained: Sequence[int], facts: Sequence[tuple[str, int]]) -> Exhibit:
        index, probabilities = int(self.answers.indices[row]), self.probabilities[row]
        maps = [(self.album.explained(index, k), f"for {self.names[k]}") for k in explained]
        return Exhibit(
            self.album.key(index),
            [(self.album.image(index), "image"), *maps],
            [(what, f"{self.names[k]}, {100 * probabilities[k]:.1f}%") for what, k in facts],
        )


def _likeliest(probabilities: NDArray[np.float64]) -> tuple[int, int]:
    """The two likeliest classes; twice the same where there is only one."""
    order = np.argsort(-probabilities, kind="stable")
    return int(order[0]), int(order[min(1, len(order) - 1)])


def _suspected(found: Sequence[Suspicion], answers: Answers, album: Album) -> list[Exhibit]:
    exhibits = []
    for each in found[:SUSPECTS_SHOWN]:
        index = int(answers.indices[each.row])
        facts = [("label", each.label), ("rather", each.rather)]
        exhibits.append(Exhibit(album.key(index), [(album.image(index), "")], facts))
    return exhibits


def _wrong_decision(row: int, k: int, subject: Subject, album: Album) -> Exhibit:
    index, name = int(subject.answers.indices[row]), subject.class_names[k]
    is_there = subject.answers.labels[row, k] > 0.5
    facts = [(name, "is in the labels and was not found" if is_there else "was found and is not in the labels")]
    pictures = [(album.image(index), "image"), (album.explained(index, k), f"for {name}")]
    return Exhibit(album.key(index), pictures, facts)


def _shared(
    shared: Sequence[SharedImage], training: Album, train: Source, album: Album, validation: Source
) -> list[Exhibit]:
    firsts = {train.key(index): index for index in range(len(train))}
    seconds = {validation.key(index): index for index in range(len(validation))}
    # Those with different labels first: one of the two is wrong.
    shown = sorted(shared, key=lambda each: not each.labels_differ)[:SHARED_SHOWN]
    return [
        Exhibit(
            album.key(seconds[each.second]),
            [(training.image(firsts[each.first]), "training"), (album.image(seconds[each.second]), "validation")],
            [
                ("bytes", "the same" if each.exact else "different, but they look alike"),
                ("labels", "different" if each.labels_differ else "the same"),
            ],
        )
        for each in shown
    ]
