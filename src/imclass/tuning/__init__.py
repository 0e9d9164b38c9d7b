"""Search for good hyperparameters, in the words of SageMaker's tuning jobs.

`ranges` says what is searched and `search` how. `proposals` and `stopping` decide, as pure functions of the trials so
far: which values come next, and which trial is not worth its time. `imclass tune` (`tune`) and the tuning jobs of the
control plane run the trials, each in its own way.
"""
