"""Batch transform: results for all images of a data set, on any number of processes.

From a request to its results:

    request         what is asked
    transforming    the story
    job             one process: what it opens, does and finishes
    pieces          how images are shared out
    predicting      decoding, computing and writing side by side
    rows            a result as bytes; `parquet` as columns
    output_folder   the folder of the results, here or in a bucket
    destinations    where results go; `assembling` puts single files together
    work_folder     what is kept to go on after an interruption
    processes       several processes under torchrun; `ray_cluster` many machines
"""

from imclass.inference.transform.pieces import Shard
from imclass.inference.transform.request import AssembleWith, Computing, Format, JoinSource, Request
from imclass.inference.transform.transforming import Summary, Watcher, transform

__all__ = [
    "AssembleWith",
    "Computing",
    "Format",
    "JoinSource",
    "Request",
    "Shard",
    "Summary",
    "Watcher",
    "transform",
]
