"""The HTTP server of `imclass serve`.

From a request to its answer:

    bodies        reads the body, within a size and a time
    requests      finds the images in it
    service       one model: checks, decodes (`decoding`), queues, and gives probabilities
    batcher       makes batches of what many requests bring, for one of the `backends`
    responses     writes probabilities in the form that the request accepts
    application   the routes, built from these parts
    server        sockets, TLS, signals
    running       all of it, put together
"""
