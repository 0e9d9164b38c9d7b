"""The AWS account that this server plays."""

from dataclasses import dataclass

NUMBER = "000000000000"
ROLE_NAME = "imclass"
ROLE_ID = "AROAIMCLASS0000000000"


@dataclass(frozen=True)
class Account:
    """One account in one region; what requests say about theirs is not looked at.

    Attributes:
        region: such as us-east-1.
        number: 12 digits.
    """

    region: str = "us-east-1"
    number: str = NUMBER

    def arn(self, kind: str, name: str) -> str:
        """Of a SageMaker resource, such as kind `training-job`. The name is in lower case, as AWS has it."""
        return f"arn:aws:sagemaker:{self.region}:{self.number}:{kind}/{name.lower()}"

    @property
    def role_arn(self) -> str:
        """Of the one role that there is."""
        return f"arn:aws:iam::{self.number}:role/{ROLE_NAME}"

    @property
    def session_arn(self) -> str:
        """Of the one caller that there is: the role, assumed."""
        return f"arn:aws:sts::{self.number}:assumed-role/{ROLE_NAME}/SageMaker"

    def log_group_arn(self, group: str) -> str:
        return f"arn:aws:logs:{self.region}:{self.number}:log-group:{group}"
