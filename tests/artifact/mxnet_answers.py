"""Runs a model in MXNet itself: `python mxnet_answers.py PREFIX EPOCH INPUT.npy OUTPUT.npy`, in MXNet's environment."""

import sys

import mxnet
import numpy as np

prefix, epoch, images, answers = sys.argv[1:]
symbol, arguments, statistics = mxnet.model.load_checkpoint(prefix, int(epoch))
batch = np.load(images)
module = mxnet.mod.Module(symbol, label_names=["softmax_label"])
module.bind([("data", batch.shape)], for_training=False)
module.set_params(arguments, statistics)
module.forward(mxnet.io.DataBatch([mxnet.nd.array(batch)]), is_train=False)
np.save(answers, module.get_outputs()[0].asnumpy())
