"""A peer of `bench/serving.py`: LitServe with imclass's predictor.

    python bench/serving_litserve.py MODEL PORT MAX_BATCH

POST /predict takes {"image": BASE64}. The predictor decodes a batch on its own threads, with the same torch code.
"""

import base64
import sys

import litserve
import numpy as np

from imclass.inference import Predictor


class Classifier(litserve.LitAPI):
    """Batches of encoded images to rows of probabilities."""

    model = ""

    def setup(self, device: str) -> None:
        self.predictor = Predictor.load(self.model, device="cpu")

    def decode_request(self, request: dict[str, str]) -> bytes:
        return base64.b64decode(request["image"])

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        return inputs

    def predict(self, images: list[bytes]) -> np.ndarray:
        return self.predictor.predict(images)

    def unbatch(self, output: np.ndarray) -> list[np.ndarray]:
        return list(output)

    def encode_response(self, output: np.ndarray) -> list[float]:
        return output.tolist()


def main() -> None:
    model, port, max_batch = sys.argv[1:]
    api = Classifier(max_batch_size=int(max_batch), batch_timeout=0.005)
    api.model = model
    server = litserve.LitServer(api, accelerator="cpu", timeout=120)
    server.run(port=int(port), host="127.0.0.1", generate_client_file=False, log_level="error")


if __name__ == "__main__":
    main()
