"""Training on images with .lst files from pretrained weights, tuning, batch transform and an endpoint, with boto3."""

from common import (
    image_folders,
    list_length,
    test_image,
    timestamp,
    upload_lists_and_images,
    write_lists,
)
from low_level import channels, create_model, deploy_and_ask, train, transform, tune

prefix = "ic-lstformat"
folder = image_folders()
train_list, validation_list = write_lists(folder)
addresses = upload_lists_and_images(prefix, folder, train_list, validation_list)
data = channels(addresses, "application/x-image")

train(
    f"sagemaker-imageclassification-notebook-{timestamp()}",
    "ml.p2.xlarge",
    data,
    num_training_samples=list_length(train_list),
    top_k=2,
    resize=48,
    epochs=2,
    checkpoint_frequency=2,
    use_pretrained_model=1,
)
model_data = tune("ml.p2.xlarge", data)
model_name = create_model("test-image-classification-model", model_data)

first_class = sorted(path.name for path in folder.iterdir())[0]
transform(model_name, f"{addresses['validation']}{first_class}/", "ml.p2.xlarge")

config_name = f"sagemaker-imageclassification-notebook-epc--{timestamp()}"
assert len(config_name) == 63
deploy_and_ask(model_name, "ml.p2.xlarge", test_image(), config_name, f"ic-lst-{timestamp()}")
