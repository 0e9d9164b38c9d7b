"""Prediction with a trained model."""

from imclass.inference.conversion import Conversion, convert_to_mxnet
from imclass.inference.pixels import ImageInput
from imclass.inference.predictor import PredictedBatch, Predictor, load

__all__ = ["Conversion", "ImageInput", "PredictedBatch", "Predictor", "convert_to_mxnet", "load"]
