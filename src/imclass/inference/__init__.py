"""Prediction with a trained model, and its conversion for other programs."""

from imclass.inference.activation_map import ActivationMap
from imclass.inference.conversion import Conversion, convert
from imclass.inference.pixels import ImageInput
from imclass.inference.predictor import PredictedBatch, Predictor, load
from imclass.inference.quantisation import Quantisation, quantise

__all__ = [
    "ActivationMap",
    "Conversion",
    "ImageInput",
    "PredictedBatch",
    "Predictor",
    "Quantisation",
    "convert",
    "load",
    "quantise",
]
