"""An S3 whose objects are plain files in a folder, for clients on this machine.

`application` answers requests, `store` keeps objects, `paths` tells which file an object is.
"""
