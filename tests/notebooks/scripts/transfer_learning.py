"""Training on .rec files from pretrained weights, tuning, batch transform and an endpoint, with boto3."""

from pathlib import Path

from common import BATHTUBS, EXAMPLES, aws, bucket, record_files, s3, test_image, timestamp
from low_level import channels, create_model, deploy_and_ask, put, train, transform, tune

prefix = "ic-transfer-learning"
train_file, validation_file = record_files()
data = channels(put(prefix, {"train": train_file, "validation": validation_file}), "application/x-recordio")

train(f"DEMO-imageclassification-{timestamp()}", "ml.p3.2xlarge", data, use_pretrained_model=1)
model_data = tune("ml.p3.2xlarge", data)
model_name = create_model("DEMO-transfer-image-classification-model", model_data)

Path("bathtubs").mkdir()
for each in s3.list_objects(Bucket=EXAMPLES, Prefix=f"{BATHTUBS}/")["Contents"]:
    content = s3.get_object(Bucket=EXAMPLES, Key=each["Key"])["Body"].read()
    Path("bathtubs", Path(each["Key"]).name).write_bytes(content)
batch_input = f"s3://{bucket}/{prefix}/test/"
aws("s3", "cp", "bathtubs", batch_input, "--recursive", "--quiet")
transform(model_name, batch_input, "ml.c5.xlarge")

now = timestamp()
deploy_and_ask(model_name, "ml.m4.xlarge", test_image(), f"DEMO-transfer-epc-{now}", f"DEMO-transfer-ep-{now}")
