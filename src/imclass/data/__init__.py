"""Data sets as bytes and labels: RecordIO, lists, augmented manifests and class folders behind one `Source`."""

from imclass.data.channel_settings import ChannelSettings, parse_input_data_config, read_input_data_config
from imclass.data.channels import Channels, find_model, open_channels
from imclass.data.class_names import read_class_names
from imclass.data.folders import find_split_folders
from imclass.data.in_advance import in_advance
from imclass.data.label_checks import check_labels, check_model_width, check_width
from imclass.data.location import check_stream, local_path, located
from imclass.data.lst_writer import write_lst
from imclass.data.opening import open_pair, open_source
from imclass.data.pipe import LabelRules, Pass, PipeChannel, Seat
from imclass.data.recordio import ImageHeader, ImageRecord, pack_image, unpack_image
from imclass.data.recordio_reader import Record, read_records
from imclass.data.recordio_sequence import iterate_records
from imclass.data.recordio_writer import RecordWriter
from imclass.data.source import ArrivedSamples, Sample, Source, Subset
from imclass.data.split import split

__all__ = [
    "ArrivedSamples",
    "ChannelSettings",
    "Channels",
    "ImageHeader",
    "ImageRecord",
    "LabelRules",
    "Pass",
    "PipeChannel",
    "Record",
    "RecordWriter",
    "Sample",
    "Seat",
    "Source",
    "Subset",
    "check_labels",
    "check_model_width",
    "check_stream",
    "check_width",
    "find_model",
    "find_split_folders",
    "in_advance",
    "iterate_records",
    "local_path",
    "located",
    "open_channels",
    "open_pair",
    "open_source",
    "pack_image",
    "parse_input_data_config",
    "read_class_names",
    "read_input_data_config",
    "read_records",
    "split",
    "unpack_image",
    "write_lst",
]
