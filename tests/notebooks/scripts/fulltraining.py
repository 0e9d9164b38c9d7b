"""Training from scratch on .rec files, tuning, batch transform and an endpoint, with boto3."""

from common import BATHTUBS, EXAMPLES, aws, bucket, record_files, test_image, timestamp
from low_level import channels, create_model, deploy_and_ask, put, train, transform, tune

prefix = "ic-fulltraining"
train_file, validation_file = record_files()
data = channels(put(prefix, {"train": train_file, "validation": validation_file}), "application/x-recordio")

train(f"DEMO-imageclassification--{timestamp()}", "ml.p3.2xlarge", data)
model_data = tune("ml.p3.2xlarge", data)
model_name = create_model("DEMO-full-image-classification-model", model_data)

aws("s3", "sync", f"s3://{EXAMPLES}/{BATHTUBS}", "bathtubs", "--quiet")
batch_input = f"s3://{bucket}/{prefix}/test/"
aws("s3", "cp", "bathtubs", batch_input, "--recursive", "--quiet")
transform(model_name, batch_input, "ml.c5.xlarge")

now = timestamp()
deploy_and_ask(model_name, "ml.m4.xlarge", test_image(), f"DEMO-imageclassification-epc--{now}", f"DEMO-ep-{now}")
