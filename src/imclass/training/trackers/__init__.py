"""Where a run can be followed: TensorBoard, MLflow, Weights & Biases, and what others plug in.

`tracker.Tracker` is what each of them is; `choosing.TRACKERS` names those that come with imclass; `tracking.Tracking`
keeps those of a run, each on a thread of its own (`sender.Sender`), so that none holds the training up.
"""
