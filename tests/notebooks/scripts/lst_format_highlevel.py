"""Training on images with .lst files with the SDK, tuning, and an endpoint of the best model."""

from common import image_folders, list_length, test_image, upload_lists_and_images, write_lists
from high_level import check_answer, make_estimator, set_hyperparameters, training_inputs, tune
from sagemaker.serializers import IdentitySerializer

prefix = "ic-lstformat-highlevel"
folder = image_folders()
train_list, validation_list = write_lists(folder)
addresses = upload_lists_and_images(prefix, folder, train_list, validation_list)
data = training_inputs(addresses, "application/jpeg")

estimator = make_estimator(prefix, "ml.p2.xlarge")
set_hyperparameters(estimator, num_training_samples=list_length(train_list), use_pretrained_model=1, resize=48)
estimator.fit(inputs=data, logs=True)

predictor = tune(estimator, "DEMO-ic-lst", data).deploy(initial_instance_count=1, instance_type="ml.m4.xlarge")
predictor.serializer = IdentitySerializer("image/jpeg")
check_answer(predictor.predict(test_image()))
predictor.delete_endpoint()
