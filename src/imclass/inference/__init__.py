"""Prediction with a trained model."""

from imclass.inference.activation_map import ActivationMap
from imclass.inference.conversion import Conversion, convert_to_mxnet
from imclass.inference.pixels import ImageInput
from imclass.inference.predictor import PredictedBatch, Predictor, load

__all__ = ["ActivationMap", "Conversion", "ImageInput", "PredictedBatch", "Predictor", "convert_to_mxnet", "load"]
