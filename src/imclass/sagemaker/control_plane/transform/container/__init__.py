"""A transform job inside its container: a model server, and what sends it the objects one after the other.

    order       what is to be done, written by the control plane
    job         the story
    server      the container's `serve`, started, watched and ended
    records     objects taken apart into the bodies of requests
    processing  what is filtered before a request, and what is made of its answer
    client      requests, with their repetitions
    in_order    many requests at a time, with the answers in order
    results     answers put together, one file an object

The control plane may be killed meanwhile: nothing here needs it.
"""
