import pytest

from imclass.images.gpu.decoder import NvjpegDecoder, suits_hardware
from imclass.images.header import read_header
from tests.images.gpu.conftest import CPU, REFUSED, LibjpegDecoder, as_tensors

pytest.importorskip("triton")


class FakeTorchvision:
    """`torchvision.io` whose nvJPEG refuses a list with any image that contains `REFUSED`."""

    class ImageReadMode:
        RGB, GRAY = "rgb", "grey"

    def __init__(self, problem: str = "Failed to decode batch: 2") -> None:
        self.problem = problem
        self.calls: list[int] = []

    def decode_jpeg(self, encoded, *, mode, device):
        self.calls.append(len(encoded))
        if any(REFUSED in image.numpy().tobytes() for image in encoded):
            raise RuntimeError(f"Error while decoding JPEG images: {self.problem}")
        return LibjpegDecoder().decode(encoded, 1 if mode == "grey" else 3)


def nvjpeg(io: FakeTorchvision) -> NvjpegDecoder:
    decoder = object.__new__(NvjpegDecoder)
    decoder._device, decoder._io = CPU, io
    return decoder


def test_one_refused_image_does_not_cost_the_others(jpeg, photo) -> None:
    encoded = [jpeg(photo(number, 40, 50)) for number in range(8)]
    encoded[5] += REFUSED
    images = as_tensors(encoded)
    io = FakeTorchvision()
    decoded = nvjpeg(io).decode(images, 3)
    assert [image is None for image in decoded] == [number == 5 for number in range(8)]
    assert all(image.shape == (3, 40, 50) for image in decoded if image is not None)
    assert io.calls == [8, 4, 4, 2, 1, 1, 2]
    assert nvjpeg(io).decode([], 1) == []
    [grey] = nvjpeg(io).decode(images[:1], 1)
    assert grey is not None
    assert grey.shape == (1, 40, 50)


@pytest.mark.parametrize("problem", ["CUDA out of memory. Tried to allocate", "CUDA error: unspecified launch failure"])
def test_faults_of_the_device_are_no_bad_images(jpeg, photo, problem: str) -> None:
    with pytest.raises(RuntimeError, match=problem[:15]):
        nvjpeg(FakeTorchvision(problem)).decode(as_tensors([jpeg(photo(0, 40, 50)), REFUSED]), 3)


@pytest.mark.parametrize("cut", [3, 1000, -1, -2])
def test_what_is_cut_off_is_found_in_memory_of_others(jpeg, photo, cut: int) -> None:
    data = jpeg(photo(0, 70, 90))
    header = read_header(data)
    assert suits_hardware(memoryview(data), header)
    assert suits_hardware(memoryview(data + bytes(7)), header)  # zeros behind the end marker are usual
    assert not suits_hardware(memoryview(data[:cut]), header)


def test_a_png_in_memory_of_others_is_left_to_the_cpu(png, photo) -> None:
    data = png(photo(1, 70, 90))
    assert not suits_hardware(memoryview(data), read_header(memoryview(data)))
