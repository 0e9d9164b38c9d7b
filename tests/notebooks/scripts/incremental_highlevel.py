"""Training with the SDK, then further training of that model with a model channel, tuning, and an endpoint."""

from common import record_files, test_image
from high_level import check_answer, make_estimator, set_hyperparameters, training_inputs, tune, upload_records
from sagemaker.inputs import TrainingInput
from sagemaker.serializers import IdentitySerializer

prefix = "ic-incremental"
addresses = upload_records(prefix, *record_files())
data = training_inputs(addresses, "application/x-recordio")

estimator = make_estimator(prefix, "ml.p3.2xlarge")
set_hyperparameters(estimator, learning_rate=0.1)
estimator.fit(inputs=data, logs=True)

further = make_estimator(prefix, "ml.p3.2xlarge")
set_hyperparameters(further, learning_rate=0.01)
model = TrainingInput(
    estimator.model_data,
    distribution="FullyReplicated",
    content_type="application/x-sagemaker-model",
    s3_data_type="S3Prefix",
)
further.fit(inputs={**data, "model": model}, logs=True)

best = tune(estimator, "DEMO-ic-inc", data).best_estimator()
print("the best model is at", best.model_data)

predictor = further.deploy(initial_instance_count=1, instance_type="ml.m4.xlarge")
predictor.serializer = IdentitySerializer("image/jpeg")
check_answer(predictor.predict(test_image()))
predictor.delete_endpoint()
