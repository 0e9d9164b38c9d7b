"""The web console: what the control plane holds and does, as pages for people.

    a request                          application: who may, which page
      -> calls                         SageMaker's own operations, performed in this process
      -> sections                      the kinds of things that there are, each with a list and a page for one
      -> *_pages, curves, charts       what is special about some of them
      -> rendering, templates          HTML, made here; `assets` has its style and its script

The pages work without their script, which asks for a page again while something on it changes, follows logs and sends
pictures to endpoints. What an operation tells is shown; a section whose operations the server does not offer is not.
"""
