"""The peers of `bench/serving.py`, each run as a program of its own.

python bench/serving_peers.py litserve MODEL PORT MAX_BATCH    serves a model with LitServe and imclass's predictor
python bench/serving_peers.py mxnet PREFIX C,H,W BATCH SECONDS
                                                               prints images/s of MXNet's forward pass
"""

import base64
import sys
import time


def serve_with_litserve(model: str, port: int, max_batch: int) -> None:
    """POST /predict takes {"image": BASE64}. The predictor decodes a batch on its own threads."""
    import litserve

    from imclass.inference import Predictor

    class Classifier(litserve.LitAPI):
        def setup(self, device: str) -> None:
            self.predictor = Predictor.load(model, device="cpu")
            self.predictor.predict([])

        def decode_request(self, request: dict) -> bytes:
            return base64.b64decode(request["image"])

        def batch(self, inputs: list[bytes]) -> list[bytes]:
            return inputs

        def predict(self, images: object) -> object:
            return self.predictor.predict(images if isinstance(images, list) else [images])

        def unbatch(self, output: object) -> object:
            return list(output)

        def encode_response(self, output: object) -> list[float]:
            return output.reshape(-1).tolist()

    api = Classifier(max_batch_size=max_batch, batch_timeout=0.005)
    server = litserve.LitServer(api, accelerator="cpu", timeout=120)
    server.run(port=port, host="127.0.0.1", generate_client_file=False, log_level="error")


def time_mxnet(prefix: str, shape: tuple[int, ...], batch: int, seconds: float) -> None:
    """Random pixels, no decoding."""
    import mxnet as mx

    symbol, arguments, auxiliaries = mx.model.load_checkpoint(prefix, 0)
    module = mx.mod.Module(symbol, data_names=["data"], label_names=None, context=mx.cpu())
    module.bind([("data", (batch, *shape))], for_training=False)
    module.set_params(arguments, auxiliaries)
    pixels = mx.io.DataBatch([mx.nd.random.uniform(0, 255, (batch, *shape))])

    def forward() -> None:
        module.forward(pixels, is_train=False)
        module.get_outputs()[0].wait_to_read()

    forward()
    began, batches = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        forward()
        batches += 1
    print(batches * batch / (time.perf_counter() - began))


if __name__ == "__main__":
    if sys.argv[1] == "litserve":
        serve_with_litserve(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        time_mxnet(sys.argv[2], tuple(map(int, sys.argv[3].split(","))), int(sys.argv[4]), float(sys.argv[5]))
