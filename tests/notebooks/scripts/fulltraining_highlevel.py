"""Training from scratch with the SDK, tuning, a compiled model, and an endpoint that takes arrays of pixels."""

from io import BytesIO
from pathlib import Path

import numpy as np
from common import SETTINGS, bucket, check_probabilities, record_files, role, test_image
from high_level import make_estimator, set_hyperparameters, training_inputs, tune, upload_records
from PIL import Image
from sagemaker.deserializers import JSONDeserializer
from sagemaker.mxnet import MXNetModel
from sagemaker.serializers import JSONSerializer

prefix = "ic-fulltraining-highlevel"
addresses = upload_records(prefix, *record_files())
data = training_inputs(addresses, "application/x-recordio")

estimator = make_estimator(prefix, "ml.p2.xlarge")
set_hyperparameters(estimator)
estimator.fit(inputs=data, logs=True)

best = tune(estimator, "DEMO-ic-ful", data).best_estimator()
shape = [int(side) for side in SETTINGS["image_shape"].split(",")]
compiled = best.compile_model(
    target_instance_family="ml_m4",
    input_shape={"data": [1, *shape]},
    output_path=f"s3://{bucket}/{prefix}/compiled",
    framework="mxnet",
    framework_version="1.8",
    role=role,
)

# A program of the user's own, which the SDK packs beside the compiled model.
Path("inference.py").write_text("def transform_fn(model, body, content_type, accept):\n    raise NotImplementedError\n")
model = MXNetModel(
    model_data=compiled.model_data,
    image_uri=compiled.image_uri,
    role=role,
    entry_point="inference.py",
    framework_version="1.8.0",
    py_version="py37",
    env={"MMS_DEFAULT_RESPONSE_TIMEOUT": "500"},
)
predictor = model.deploy(
    initial_instance_count=1,
    instance_type="ml.m4.xlarge",
    serializer=JSONSerializer(),
    deserializer=JSONDeserializer(),
)

pixels = Image.open(BytesIO(test_image())).convert("RGB").resize((shape[2], shape[1]))
check_probabilities(predictor.predict(np.asarray(pixels).tolist()))

predictor.delete_model()
predictor.delete_endpoint()
