"""Data on other machines: fetched into a cache, or streamed.

`imclass.data.location` is the way in for everybody else; it imports these modules, and obstore with them, only
when an address is given.
"""
