"""Do a data set's classes and their names fit what is to be learnt?"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from imclass import artifact
from imclass.data import Source
from imclass.errors import DataError, listing

MOST_CLASSES = 100_000  # more are believed only when num_classes says so


def count_classes(source: Source, multi_label: bool) -> int:
    """Number of classes that a source's names, label columns or largest label tell.

    Raises:
        DataError: a label that no data set has.
    """
    if multi_label:
        return int(source.labels.shape[1])
    if source.class_names is not None:
        return len(source.class_names)
    largest = float(source.labels.max())
    if not largest < MOST_CLASSES:
        index = int(source.labels[:, 0].argmax())
        raise DataError(
            f"{source.key(index)} has label {largest:g}, which would make {largest + 1:g} classes",
            where=source.name,
            fix="Mend the label, or set num_classes if it is right.",
        )
    return max(0, int(largest)) + 1


def with_class_count(hyperparameters: Mapping[str, object], class_names: Sequence[str] | None) -> dict[str, object]:
    """The given hyperparameters, with the number of classes that class names tell where num_classes is not given.

    Raises:
        DataError: a name stands for two classes.
    """
    if class_names is None:
        return dict(hyperparameters)
    twice = [name for name, count in Counter(class_names).items() if count > 1]
    if twice:
        raise DataError(
            f"several classes have the same name:\n{listing(twice)}", where="class names", fix="Give each its own."
        )
    given = {name: value for name, value in hyperparameters.items() if value is not None}
    return {"num_classes": len(class_names), **given}


def known_class_names(
    class_names: Sequence[str] | None, num_classes: int | None, model: artifact.Description | None, path: Path | None
) -> tuple[str, ...] | None:
    """The class names that are known before the data is opened: given, or those of the model to go on from.

    Args:
        class_names: as the user gave them, None if not.
        num_classes: as the hyperparameters say.
        model: to go on from, whose file is `path`.

    Raises:
        DataError: there are more or fewer names than classes, or the model calls its classes otherwise.
        ArtifactError: the model has another number of classes.
    """
    if class_names is None:
        return model.class_names if model else None
    if num_classes != len(class_names):
        raise DataError(
            f"there are {len(class_names)} class names, but num_classes is {num_classes}",
            where="class names",
            fix="Give one name for each class, or leave num_classes out: the names tell it.",
        )
    if model is not None:
        names = artifact.supplemented(model, str(path), class_names=class_names).class_names
        if model.class_names not in (None, names):
            pairs = enumerate(zip(class_names, model.class_names or (), strict=True))
            different = [f"class {number}: {new!r}, in the model {old!r}" for number, (new, old) in pairs if new != old]
            raise DataError(
                f"the class names are not those of the model:\n{listing(different)}",
                where=str(path),
                fix="Leave the class names out: those of the model count.",
            )
    return tuple(class_names)


def check_names_suffice(class_names: Sequence[str], *sources: Source) -> None:
    """Check that every class that labels show has a name.

    Raises:
        DataError: there are too few names.
    """
    for source in sources:
        classes = count_classes(source, multi_label=source.labels.shape[1] > 1)
        if classes > len(class_names):
            raise DataError(
                f"the labels show {classes} classes, but there are {len(class_names)} class names",
                where=source.name,
                fix="Give one name for each class, in the order of the class numbers, from 0 on.",
            )
