"""Prediction with a trained model."""

from imclass.inference.pixels import ImageInput
from imclass.inference.predictor import PredictedBatch, Predictor, load

__all__ = ["ImageInput", "PredictedBatch", "Predictor", "load"]
