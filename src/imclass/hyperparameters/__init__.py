"""Every hyperparameter of imclass: those of the original algorithm and imclass's own.

`parse` turns what a user or SageMaker sends into one frozen `Hyperparameters`, or one error that lists
everything that is wrong. `FIELDS` holds the facts about each of them for help texts and documentation.
"""

from imclass.hyperparameters.coerce import Value
from imclass.hyperparameters.combinations import combination_problems, warnings_of
from imclass.hyperparameters.depths import LARGE_DEPTHS, SMALL_DEPTHS, is_possible_depth
from imclass.hyperparameters.fields import FIELDS, FieldFacts
from imclass.hyperparameters.parse import BadHyperparametersError, parse, to_strings
from imclass.hyperparameters.recipes import (
    MODERN_FINE_TUNE,
    MODERN_LARGE,
    MODERN_SMALL,
    RECIPES,
    recipe_defaults,
)
from imclass.hyperparameters.schema import Hyperparameters, TunableRange

__all__ = [
    "FIELDS",
    "LARGE_DEPTHS",
    "MODERN_FINE_TUNE",
    "MODERN_LARGE",
    "MODERN_SMALL",
    "RECIPES",
    "SMALL_DEPTHS",
    "BadHyperparametersError",
    "FieldFacts",
    "Hyperparameters",
    "TunableRange",
    "Value",
    "combination_problems",
    "is_possible_depth",
    "parse",
    "recipe_defaults",
    "to_strings",
    "warnings_of",
]
