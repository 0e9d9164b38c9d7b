"""Training on images with several labels with the SDK, tuning, and an endpoint of the best model."""

import json

from common import image_folders, list_length, test_image, upload_lists_and_images, write_lists
from high_level import make_estimator, set_hyperparameters, training_inputs, tune
from sagemaker.serializers import IdentitySerializer

CLASSES = 5

prefix = "ic-multilabel"
folder = image_folders()


def labels_of(place, path):
    """One column a class: the folder of the image, and what its number says."""
    number = int("".join(character for character in path.stem if character.isdigit()))
    return [place % 3 == 0, place % 3 == 1, place % 3 == 2, number % 2 == 0, number % 3 == 0]


train_list, validation_list = write_lists(folder, labels_of)
addresses = upload_lists_and_images(prefix, folder, train_list, validation_list)
data = training_inputs(addresses, "application/x-image")

estimator = make_estimator(prefix, "ml.p2.xlarge")
set_hyperparameters(
    estimator,
    num_classes=CLASSES,
    num_training_samples=list_length(train_list),
    use_pretrained_model=1,
    use_weighted_loss=1,
    augmentation_type="crop_color_transform",
    precision_dtype="float32",
    multi_label=1,
    learning_rate=0.001,
    resize=48,
)
estimator.fit(inputs=data, logs=True)

tuner = tune(estimator, "DEMO-ic-mul", data)
predictor = tuner.deploy(
    initial_instance_count=1, instance_type="ml.m4.xlarge", serializer=IdentitySerializer("application/x-image")
)
probabilities = json.loads(predictor.predict(test_image()))
assert len(probabilities) == CLASSES
assert all(0 <= each <= 1 for each in probabilities), probabilities
predictor.delete_endpoint()
