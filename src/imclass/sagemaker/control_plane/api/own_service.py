"""What this server can do that AWS's API has no operation for, as a service in the form of botocore's models.

POST /  X-Amz-Target: Imclass.InterruptTrainingJob  {"TrainingJobName": "job-1"}  ->  {}
"""

from typing import Any

NAME = "imclass"
TARGET = "Imclass"
MODEL: dict[str, Any] = {
    "version": "2.0",
    "metadata": {
        "apiVersion": "2026-01-31",
        "endpointPrefix": NAME,
        "jsonVersion": "1.1",
        "protocol": "json",
        "serviceFullName": "imclass control plane",
        "serviceId": "imclass",
        "signatureVersion": "v4",
        "targetPrefix": TARGET,
    },
    "operations": {
        "InterruptTrainingJob": {
            "name": "InterruptTrainingJob",
            "http": {"method": "POST", "requestUri": "/"},
            "input": {"shape": "InterruptTrainingJobRequest"},
        }
    },
    "shapes": {
        "InterruptTrainingJobRequest": {
            "type": "structure",
            "required": ["TrainingJobName"],
            "members": {"TrainingJobName": {"shape": "TrainingJobName"}},
        },
        "TrainingJobName": {"type": "string", "min": 1, "max": 63, "pattern": "[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}"},
    },
}
