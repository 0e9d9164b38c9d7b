"""How long it takes to open a RecordIO file of many records: by a scan, by its .idx, by the cached index.

    python bench/recordio_index.py [--records 1000000] [--bytes 2000]

Writes a file of that many records to a temporary folder and opens it in fresh processes, with a warm file cache. Prints
seconds and the largest memory of each.
"""

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from imclass.data import RecordWriter, pack_image

OPEN = """
import resource, sys, time
from imclass.data import open_source
began = time.perf_counter()
count = len(open_source(sys.argv[1]))
seconds = time.perf_counter() - began
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{count:,} records in {seconds:.2f} s, at most {peak:.0f} MB of memory")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--bytes", type=int, default=2_000, help="of an image")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "many.rec"
        image = bytes(range(256)) * (arguments.bytes // 256 + 1)
        with RecordWriter(path) as writer:
            for number in range(arguments.records):
                writer.write(number, pack_image(number % 1000, image[: arguments.bytes], number))
        cache = path.with_name("many.rec.index.npz")
        print(f".idx    {opened(path)}")
        cache.unlink(missing_ok=True)
        path.with_suffix(".idx").unlink()
        print(f"scan    {opened(path)}")
        print(f"cached  {opened(path)}" if cache.exists() else "cached  (no index was kept: too few records)")


def opened(path: Path) -> str:
    done = subprocess.run([sys.executable, "-c", OPEN, str(path)], capture_output=True, text=True, check=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
