"""The version of imclass, in one place."""

VERSION = "0.1.0"
