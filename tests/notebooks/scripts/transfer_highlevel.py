"""Training from pretrained weights with the SDK, tuning, and an endpoint of the best model."""

from common import bucket, record_files, s3, test_image
from high_level import check_answer, make_estimator, set_hyperparameters, training_inputs, tune

prefix = "ic-transfer-highlevel"
train_file, validation_file = record_files()
addresses = {}
for channel, file in (("train", train_file), ("validation", validation_file)):
    s3.upload_file(file, bucket, f"{prefix}/{channel}/{file}")
    addresses[channel] = f"s3://{bucket}/{prefix}/{channel}"
data = training_inputs(addresses, "application/x-recordio")

estimator = make_estimator(prefix, "ml.p3.2xlarge")
set_hyperparameters(estimator, use_pretrained_model=1)
estimator.fit(inputs=data, logs=True)

predictor = tune(estimator, "DEMO-ic-tra", data).deploy(initial_instance_count=1, instance_type="ml.m4.xlarge")
check_answer(predictor.predict(test_image(), initial_args={"ContentType": "application/x-image"}))
predictor.delete_endpoint()
